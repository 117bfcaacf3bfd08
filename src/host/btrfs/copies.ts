import { AppError } from '../../contract/errors.ts';
import type { Id } from '../../core/ids.ts';
import type { VolumePlace } from '../../core/places.ts';
import type { Volumes } from '../volumes.ts';
import { area, exists, mounted, understood, withVolume, type Context } from './context.ts';
import { FORKS } from './groups.ts';
import { commit, createSubvolume, flush, isErrno, snapshot, subvolumeId } from './ioctl.ts';
import { limit } from './quota.ts';

/** uid and gid of a cell's user `agent`, as on disk: ids there are the cell's own. */
const AGENT = 1000;

type Copies = Pick<Volumes, 'create' | 'freeze' | 'copy' | 'cap' | 'capForks'>;

/** Making volumes, and limiting what they may write. */
export function createCopies(context: Context): Copies {
  return {
    create: (id) => create(context, id),
    freeze: (of, as) => freeze(context, of, as),
    copy: (of, as, cap) => copy(context, of, as, cap),
    cap: async (id, bytes) => {
      const { root } = mounted(context);
      await limitTo(context, id, bytes);
      await commit(root);
    },
    capForks: async (bytes) => {
      const { root } = mounted(context);
      await limit(root, FORKS, bytes);
    },
  };
}

async function create(context: Context, id: Id): Promise<void> {
  const at: VolumePlace = { area: 'live', id };
  await createSubvolume(area(context, 'live'), id).catch((error: unknown) => {
    if (!isErrno(error, 'EEXIST')) throw understood(error, at);
  });
  await withVolume(context, at, async (handle) => {
    await handle.chown(AGENT, AGENT);
    await handle.chmod(0o755);
    await commit(handle.fd);
  });
}

async function freeze(context: Context, of: VolumePlace, as: VolumePlace): Promise<void> {
  const { root } = mounted(context);
  await fromSource(context, of, as, async (source) => {
    // The commit then finds little left to write, and production waits for it less.
    await flush(source, root, 'live');
    await snapshotOnce({ from: source, into: area(context, as.area), name: as.id, readOnly: true });
  });
}

async function copy(context: Context, of: VolumePlace, as: Id, cap: number | null): Promise<void> {
  const { root } = mounted(context);
  await fromSource(context, of, { area: 'live', id: as }, async (source) => {
    // The group comes first and is committed with the copy: at no time, a power cut included, is there one without its cap.
    const group = cap === null ? undefined : await context.groups.prepare(root, cap);
    const spec = { from: source, into: area(context, 'live'), name: as, readOnly: false };
    let made = false;
    try {
      made = await snapshotOnce(group === undefined ? spec : { ...spec, group });
    } finally {
      if (group !== undefined) await context.groups.settled(root, group, made);
    }
    // It was there, from a call before this one: what that one was told to limit is limited.
    if (!made && cap !== null) await limitTo(context, as, cap);
  });
}

/** Works with a source's descriptor; that it is gone is no error where the copy is there already. */
async function fromSource(
  context: Context,
  of: VolumePlace,
  as: VolumePlace,
  work: (source: number) => Promise<void>,
): Promise<void> {
  try {
    await withVolume(context, of, (handle) => work(handle.fd));
  } catch (error) {
    if (!(error instanceof AppError && error.code === 'not-found' && (await exists(context, as)))) throw error;
  }
}

/** False: it is there already. Its making was one step of the kernel's, so it is whole. */
async function snapshotOnce(spec: Parameters<typeof snapshot>[0]): Promise<boolean> {
  return snapshot(spec).then(
    () => true,
    (error: unknown) => {
      if (isErrno(error, 'EEXIST')) return false;
      throw error;
    },
  );
}

async function limitTo(context: Context, id: Id, bytes: number): Promise<void> {
  const { root } = mounted(context);
  const subvolume = await withVolume(context, { area: 'live', id }, (handle) => subvolumeId(handle.fd));
  await context.groups.limitTo(root, subvolume, bytes);
}
