import { randomInt } from 'node:crypto';
import type { Paths } from '../paths.ts';
import type { Room, Volumes } from '../volumes.ts';
import { holesLeft } from './backing.ts';
import { pathOf, type Context } from './context.ts';
import { createCopies } from './copies.ts';
import { createGroups, FORKS } from './groups.ts';
import { createManifests } from './manifests.ts';
import { createPlaces } from './places.ts';
import { createPool } from './pool.ts';
import { readQuotas } from './quota.ts';
import { space } from './space.ts';

export interface BtrfsDeps {
  paths: Paths;
  /** Kernel release as in `uname -r`; this machine's by default. */
  release?: string;
  /** A whole number from 1 up to, not including, its argument; numbers the groups of caps. */
  random?: (below: number) => number;
}

/**
 * The pool on btrfs: in a loop file, or on a device. A copy is one ioctl, whatever the size.
 * Every call but `make`, `open` and `close` throws `no-pool` while it is not mounted.
 */
export function createBtrfsVolumes(deps: BtrfsDeps): Volumes {
  const random = deps.random ?? ((below) => randomInt(1, below));
  const context: Context = { paths: deps.paths, pool: createPool(deps), groups: createGroups(random) };
  const { pool, groups } = context;
  return {
    can: { atomic: 'tree', ownQuota: true },
    make: (options, progress) => pool.make(options, progress),
    open: async () => {
      const opened = await pool.open();
      const now = pool.current();
      if (now !== undefined) await groups.sweep(now.root);
      return opened;
    },
    close: () => pool.close(),
    room: () => room(context),
    ...createCopies(context),
    ...createPlaces(context),
    ...createManifests(context),
    mountSource: (id) => pathOf(context, { area: 'live', id }),
  };
}

async function room(context: Context): Promise<Room | undefined> {
  const root = context.pool.current()?.root;
  if (root === undefined) return undefined;
  const [{ size, used, free }, quotas, holes] = await Promise.all([
    space(root),
    readQuotas(root),
    holesLeft(context.paths.poolFile),
  ]);
  return { size, used, free: Math.min(free, holes ?? free), forks: quotas.charged.get(FORKS) ?? 0 };
}
