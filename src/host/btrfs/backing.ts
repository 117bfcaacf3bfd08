import { open, readdir, readFile, stat, statfs, unlink } from 'node:fs/promises';
import path from 'node:path';
import { AppError } from '../../contract/errors.ts';
import { formatBytes } from '../../contract/units.ts';
import { exec } from '../exec.ts';
import { callAsync } from '../syscalls.ts';
import { isErrno } from './ioctl.ts';

/** The pool's file on the machine's disk, and the loop device over it. */

const SYS_FALLOCATE = 285;
/** btrfs wants 109 MiB at the least; below this nothing of use fits. */
const LEAST = 256 << 20;
const GIB = 2 ** 30;

/**
 * Makes a file whose blocks are all there: on a sparse one over a full disk `dd` and `sync`
 * returned 0, and then the pool went read-only for everyone. Throws `no-room`, `usage`.
 */
export async function preallocate(file: string, size: number): Promise<void> {
  if (size < LEAST)
    throw new AppError('usage', `Cannot make a pool of ${formatBytes(size)}: it needs ${formatBytes(LEAST)} or more`);
  await refuseFullDisk(path.dirname(file), size);
  const handle = await open(file, 'w', 0o600);
  try {
    await callAsync('syscall', 'fallocate', SYS_FALLOCATE, handle.fd, 0, 0, size, 0, 0);
    await handle.sync();
  } catch (error) {
    await unlink(file);
    if (isErrno(error, 'ENOSPC', 'EDQUOT', 'EFBIG')) throw noRoom(size, 0, 0, error);
    if (isErrno(error, 'EOPNOTSUPP'))
      throw new AppError(
        'unsupported',
        `Cannot reserve disk space at "${path.dirname(file)}": its filesystem has no fallocate`,
        {
          next: ['bulkhead init --device DEVICE'],
        },
      );
    throw error;
  } finally {
    await handle.close();
  }
}

async function refuseFullDisk(directory: string, size: number): Promise<void> {
  const disk = await statfs(directory);
  const free = disk.bavail * disk.bsize;
  // What else lives on the disk must be able to go on writing.
  const margin = Math.min(5 * GIB, Math.floor(disk.blocks * disk.bsize * 0.05));
  if (free - size < margin) throw noRoom(size, free, margin);
}

function noRoom(size: number, free: number, margin: number, cause?: unknown): AppError {
  const most = Math.floor((free - margin) / GIB);
  return new AppError(
    'no-room',
    `Cannot make a pool of ${formatBytes(size)}: ${formatBytes(free)} of the disk is free, and ${formatBytes(margin)} stays so`,
    {
      next: most >= 1 ? [`bulkhead init --size ${most}G`] : ['bulkhead init --device DEVICE'],
      cause,
    },
  );
}

/** What the disk can still give to a sparse file; undefined when all its blocks are there. */
export async function holesLeft(file: string): Promise<number | undefined> {
  const { size, blocks } = await stat(file);
  const holes = size - blocks * 512;
  if (holes <= 0) return undefined;
  const disk = await statfs(path.dirname(file));
  return Math.min(holes, disk.bavail * disk.bsize);
}

/**
 * The loop device of a file; attached if it is not. Direct I/O keeps pages from being
 * cached twice, 4,096-byte sectors are what it needs. `--nooverlap` finds the device
 * that is there, also one that is only waiting for its last user.
 */
export async function attach(file: string): Promise<string> {
  const { stdout } = await exec('losetup', [
    '--find',
    '--show',
    '--nooverlap',
    '--direct-io=on',
    '--sector-size',
    '4096',
    file,
  ]);
  return stdout.trim();
}

/** The loop devices over a file, by name; also over one of that name that is deleted, which a killed maker leaves. */
export async function attached(file: string): Promise<string[]> {
  const found: string[] = [];
  for (const name of await readdir('/sys/block')) {
    if (!name.startsWith('loop')) continue;
    // Absent while nothing is attached.
    const backing = await readFile(`/sys/block/${name}/loop/backing_file`, 'utf8').catch(() => '');
    if ([file, `${file} (deleted)`].includes(backing.trimEnd())) found.push(`/dev/${name}`);
  }
  return found;
}

/** Lets go of a file's loop devices; while something uses one, the kernel does so after its last use. */
export async function detach(file: string): Promise<void> {
  // 1: another has let go of it meanwhile.
  for (const device of await attached(file)) await exec('losetup', ['--detach', device], { accept: [0, 1] });
}
