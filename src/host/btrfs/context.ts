import { lstat, open, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { AppError } from '../../contract/errors.ts';
import { placeName, type VolumePlace } from '../../core/places.ts';
import type { Paths } from '../paths.ts';
import type { Groups } from './groups.ts';
import { isErrno } from './ioctl.ts';
import { DIRECTORY, type Area, type OpenPool, type Pool } from './pool.ts';

/** What the parts of the pool's port share. */
export interface Context {
  paths: Paths;
  pool: Pool;
  groups: Groups;
}

/** The mounted pool. Throws `no-pool`. */
export function mounted(context: Context): OpenPool {
  const pool = context.pool.current();
  if (pool !== undefined) return pool;
  throw new AppError('no-pool', 'There is no pool, or it is not mounted', {
    next: ['bulkhead init', 'bulkhead doctor'],
  });
}

/** Descriptor of one of the pool's directories. Throws `no-pool`. */
export function area(context: Context, name: Area): number {
  const fd = mounted(context).areas.get(name);
  if (fd === undefined)
    throw new AppError('no-pool', `The pool has no directory "${name}"`, { next: ['bulkhead doctor'] });
  return fd;
}

/** Path of a volume's root; its directory is root's alone, so nobody can put a link there. */
export function pathOf(context: Context, at: VolumePlace): string {
  return path.join(context.paths.pool, at.area, at.id);
}

/** True where there is such a volume. Made by one ioctl, so what is there is whole. */
export async function exists(context: Context, at: VolumePlace): Promise<boolean> {
  mounted(context);
  return lstat(pathOf(context, at)).then(
    () => true,
    (error: unknown) => {
      if (missing(error)) return false;
      throw error;
    },
  );
}

/** Opens a volume's root, and nothing below it, for the time of `use`. Throws `not-found`. */
export async function withVolume<T>(
  context: Context,
  at: VolumePlace,
  use: (handle: FileHandle) => Promise<T>,
): Promise<T> {
  mounted(context);
  const handle = await open(pathOf(context, at), DIRECTORY).catch((error: unknown) => {
    throw missing(error) ? notThere(at) : error;
  });
  try {
    return await use(handle);
  } catch (error) {
    throw understood(error, at);
  } finally {
    await handle.close();
  }
}

export function notThere(at: VolumePlace): AppError {
  return new AppError('not-found', `There is no volume "${placeName(at)}" in the pool`, { next: ['bulkhead doctor'] });
}

/** The kernel's word for a full pool (which btrfs also says with space apparently free), or a broken one, as ours. */
export function understood(error: unknown, at: VolumePlace): unknown {
  if (isErrno(error, 'ENOSPC', 'EDQUOT'))
    return new AppError('pool-full', `Cannot make or change "${placeName(at)}": the pool is full`, {
      next: ['bulkhead ls', 'bulkhead trash ls'],
      cause: error,
    });
  if (isErrno(error, 'EROFS'))
    return new AppError('failed', `Cannot make or change "${placeName(at)}": the pool is read-only`, {
      why: 'btrfs stops writing after an error of the disk below it.',
      next: ['dmesg --level=err', 'bulkhead doctor'],
      cause: error,
    });
  return error;
}

export function missing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
