import { rm } from 'node:fs/promises';
import { exec } from '../exec.ts';
import { pathsOf, type Paths } from '../paths.ts';
import { detach } from './backing.ts';
import { mountedAt } from './mounts.ts';

/** The place of a pool that a test or a bench makes for itself. */
export interface ScratchPool {
  paths: Paths;
  /** Takes everything away again, whatever state it is in. */
  remove(): Promise<void>;
}

/** An instance of its own, numbered by this process, so that several run beside each other. */
export function scratchPool(purpose: string): ScratchPool {
  const paths = pathsOf(`${purpose}-${process.pid}`);
  return {
    paths,
    remove: async () => {
      while ((await mountedAt(paths.pool)) !== undefined) await exec('umount', [paths.pool]);
      for (const file of [paths.poolFile, `${paths.poolFile}.making`]) await detach(file);
      await rm(paths.state, { recursive: true, force: true });
    },
  };
}
