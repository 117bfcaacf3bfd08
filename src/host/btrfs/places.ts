import { rename } from 'node:fs/promises';
import { AppError } from '../../contract/errors.ts';
import { parseId } from '../../core/ids.ts';
import { placeName, type VolumePlace } from '../../core/places.ts';
import type { Volumes } from '../volumes.ts';
import { area, exists, mounted, notThere, pathOf, type Context } from './context.ts';
import { capGroup, destroyNested } from './groups.ts';
import { commit, destroy, isErrno } from './ioctl.ts';
import type { OpenPool } from './pool.ts';
import { readQuotas } from './quota.ts';
import { subvolumes } from './search.ts';

type Places = Pick<Volumes, 'toTrash' | 'fromTrash' | 'purge' | 'has' | 'list' | 'usage'>;

/** Where volumes are, and what they weigh. */
export function createPlaces(context: Context): Places {
  return {
    toTrash: (id, key) => move(context, { area: 'live', id }, { area: 'trash', id: key }),
    fromTrash: async (key, id) => {
      const [from, to] = [
        { area: 'trash', id: key },
        { area: 'live', id },
      ] as const;
      if ((await exists(context, from)) && (await exists(context, to)))
        throw new AppError('exists', `Cannot move "${placeName(from)}" back: "${placeName(to)}" is there`);
      await move(context, from, to);
    },
    purge: (at) => purge(context, at),
    has: (at) => exists(context, at),
    list: async () => (await placed(mounted(context))).map(({ at }) => at),
    usage: async (wanted) => usage(mounted(context), wanted),
  };
}

async function move(context: Context, from: VolumePlace, to: VolumePlace): Promise<void> {
  // Already there: a repeated call, also one after something new has taken the old place.
  if (await exists(context, to)) return;
  if (!(await exists(context, from))) throw notThere(from);
  await rename(pathOf(context, from), pathOf(context, to));
  await commit(mounted(context).root);
}

async function purge(context: Context, at: VolumePlace): Promise<void> {
  const pool = mounted(context);
  const found = (await placed(pool)).find((volume) => placeName(volume.at) === placeName(at));
  if (found !== undefined) {
    await destroyNested(pool.root, found.subvolume);
    await destroy(area(context, at.area), at.id).catch((error: unknown) => {
      if (!isErrno(error, 'ENOENT')) throw error;
    });
    await commit(pool.root);
  }
  await context.groups.sweep(pool.root);
}

interface Placed {
  at: VolumePlace;
  subvolume: bigint;
}

async function placed(pool: OpenPool): Promise<Placed[]> {
  const found: Placed[] = [];
  for (const { id: subvolume, directory, name } of await subvolumes(pool.root)) {
    const where = pool.inodes.get(directory);
    const id = parseId(name);
    if (where !== undefined && where !== 'manifest' && id !== undefined)
      found.push({ at: { area: where, id }, subvolume });
  }
  return found;
}

async function usage(pool: OpenPool, wanted: readonly VolumePlace[]): Promise<Map<string, number>> {
  const [volumes, quotas] = await Promise.all([placed(pool), readQuotas(pool.root)]);
  const names = new Set(wanted.map(placeName));
  const bytes = new Map<string, number>();
  for (const { at, subvolume } of volumes) {
    // A fork's cap group counts what is nested in it as well.
    const charged = quotas.charged.get(capGroup(quotas, subvolume) ?? subvolume);
    if (names.has(placeName(at)) && charged !== undefined) bytes.set(placeName(at), charged);
  }
  return bytes;
}
