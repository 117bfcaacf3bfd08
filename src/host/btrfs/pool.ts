import { constants } from 'node:fs';
import { mkdir, open, type FileHandle } from 'node:fs/promises';
import { release as kernelRelease } from 'node:os';
import path from 'node:path';
import { AppError } from '../../contract/errors.ts';
import type { VolumePlace } from '../../core/places.ts';
import type { Paths } from '../paths.ts';
import type { MakePool } from '../volumes.ts';
import { detach } from './backing.ts';
import { FORKS } from './groups.ts';
import { commit, filesystemId } from './ioctl.ts';
import { requireKernel } from './kernel.ts';
import { buildPool, poolDevice } from './make.ts';
import { filesystemGone, limitWriteBack, mountPool, unmountPool } from './mounts.ts';
import { createGroup, enableSimpleQuotas } from './quota.ts';

export type Area = VolumePlace['area'] | 'manifest';
const AREAS = ['live', 'base', 'point', 'trash', 'manifest'] as const satisfies readonly Area[];
/** How directories and subvolumes are opened: never through a link. */
export const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** The mounted pool: descriptors of its root and its directories. They keep it mounted. */
export interface OpenPool {
  root: number;
  areas: ReadonlyMap<Area, number>;
  /** The directories by inode, as the tree of roots names them. */
  inodes: ReadonlyMap<bigint, Area>;
}

export interface Pool {
  make(options: MakePool, progress: (label: string, ms: number) => void): Promise<void>;
  open(): Promise<boolean>;
  close(): Promise<void>;
  /** Undefined while it is not mounted. */
  current(): OpenPool | undefined;
}

/** Making, mounting and unmounting, one at a time. `release` as in `uname -r`. */
export function createPool(deps: { paths: Paths; release?: string }): Pool {
  const { paths, release = kernelRelease() } = deps;
  const hold = createHold(paths.pool);
  const alone = createQueue();

  const openPool = async (): Promise<boolean> => {
    if (hold.current() === undefined) {
      const device = await poolDevice(paths);
      if (device === undefined) return false;
      requireKernel(release);
      await mountPool(device, paths.pool);
      await hold.take();
    }
    const pool = hold.current();
    if (pool !== undefined) await limitWriteBack(pool.root);
    return true;
  };
  const closePool = async (): Promise<void> => {
    const pool = hold.current();
    const id = pool === undefined ? undefined : await filesystemId(pool.root);
    await hold.drop();
    await unmountPool(paths.pool);
    await detach(paths.poolFile);
    if (id !== undefined && !(await filesystemGone(id))) throw stillHeld();
  };

  return {
    make: (options, progress) =>
      alone(async () => {
        requireKernel(release);
        if (await openPool()) return;
        await buildPool({ paths, options, progress, furnish });
        await openPool();
      }),
    open: () => alone(openPool),
    close: () => alone(closePool),
    current: hold.current,
  };
}

const stillHeld = (): AppError =>
  new AppError('busy', 'The pool stays attached until the last cell, or other mount namespace, lets go of it');

/** Runs one piece of work after the other. */
function createQueue(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const result = last.then(work);
    last = result.catch(() => {});
    return result;
  };
}

interface Hold {
  current: () => OpenPool | undefined;
  take: () => Promise<void>;
  drop: () => Promise<void>;
}

/** The descriptors of a mounted pool: all of them, or none. */
function createHold(mountPoint: string): Hold {
  const handles: FileHandle[] = [];
  let current: OpenPool | undefined;
  const drop = async (): Promise<void> => {
    current = undefined;
    for (const handle of handles.splice(0)) await handle.close();
  };
  const take = async (): Promise<void> => {
    try {
      for (const name of ['', ...AREAS]) handles.push(await open(path.join(mountPoint, name), DIRECTORY));
      current = await describe(handles);
    } catch (error) {
      await drop();
      throw error;
    }
  };
  return { current: () => current, take, drop };
}

/** Fills an empty filesystem: quotas, and the directories. */
export async function furnish(directory: string): Promise<void> {
  const root = await open(directory, DIRECTORY);
  try {
    await enableSimpleQuotas(root.fd);
    await createGroup(root.fd, FORKS);
    for (const area of AREAS) await mkdir(path.join(directory, area), { recursive: true, mode: 0o700 });
    await commit(root.fd);
  } finally {
    await root.close();
  }
}

async function describe(handles: readonly FileHandle[]): Promise<OpenPool> {
  const [root, ...rest] = handles;
  const areas = new Map<Area, number>();
  const inodes = new Map<bigint, Area>();
  for (const [index, area] of AREAS.entries()) {
    const handle = rest[index];
    if (handle === undefined) continue;
    areas.set(area, handle.fd);
    inodes.set((await handle.stat({ bigint: true })).ino, area);
  }
  return { root: root?.fd ?? -1, areas, inodes };
}
