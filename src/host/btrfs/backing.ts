import { open, readdir, readFile, stat, statfs, unlink } from 'node:fs/promises';
import path from 'node:path';
import { AppError } from '../../contract/errors.ts';
import { formatBytes } from '../../contract/units.ts';
import { exec } from '../exec.ts';
import { callAsync } from '../syscalls.ts';
import { ioctl, isErrno } from './ioctl.ts';

/** The pool's file on the machine's disk, and the loop device over it. */

const SYS_FALLOCATE = 285;
/** btrfs wants 109 MiB at the least; below this nothing of use fits. */
const LEAST = 256 << 20;
const GIB = 2 ** 30;
const BTRFS_MAGIC = 0x9123683e;
const FS_IOC_SETFLAGS = 0x40086602;

/**
 * Makes a file whose blocks are all there: on a sparse one over a full disk `dd` and `sync`
 * returned 0, and then the pool went read-only for everyone. Throws `no-room`, `usage`, `unsupported`.
 */
export async function preallocate(file: string, size: number): Promise<void> {
  if (size < LEAST)
    throw new AppError('usage', `Cannot make a pool of ${formatBytes(size)}: it needs ${formatBytes(LEAST)} or more`);
  const directory = path.dirname(file);
  const disk = await diskOf(directory);
  if (disk.free - size < disk.margin) throw noRoom(size, disk);
  const handle = await open(file, 'w', 0o600);
  try {
    if (disk.copyOnWrite) await noCopyOnWrite(handle.fd);
    await callAsync('syscall', 'fallocate', SYS_FALLOCATE, handle.fd, 0, 0, size, 0, 0);
    await handle.sync();
  } catch (error) {
    await unlink(file);
    if (isErrno(error, 'ENOSPC', 'EDQUOT', 'EFBIG')) throw noRoom(size, disk, error);
    if (!isErrno(error, 'EOPNOTSUPP')) throw error;
    throw new AppError('unsupported', `Cannot reserve disk space in "${directory}": its filesystem has no fallocate`, {
      next: ['bulkhead init --device DEVICE'],
    });
  } finally {
    await handle.close();
  }
}

interface Disk {
  free: number;
  /** What else lives on the disk must be able to go on writing. */
  margin: number;
  copyOnWrite: boolean;
}

async function diskOf(directory: string): Promise<Disk> {
  const { bavail, blocks, bsize, type } = await statfs(directory);
  const margin = Math.min(5 * GIB, Math.floor(blocks * bsize * 0.05));
  return { free: bavail * bsize, margin, copyOnWrite: type === BTRFS_MAGIC };
}

/** A file on btrfs would be copied on each write, and its reserved blocks be of no use (FS_NOCOW_FL, while it is empty). */
async function noCopyOnWrite(fd: number): Promise<void> {
  const flags = Buffer.alloc(8);
  flags.writeUInt32LE(0x0080_0000, 0);
  await ioctl(fd, FS_IOC_SETFLAGS, 'no copy on write', flags);
}

function noRoom(size: number, { free, margin }: Disk, cause?: unknown): AppError {
  const most = Math.floor((free - margin) / GIB);
  const left = `${formatBytes(free)} of the disk is free, and ${formatBytes(margin)} stays so`;
  return new AppError('no-room', `Cannot make a pool of ${formatBytes(size)}: ${left}`, {
    next: most >= 1 ? [`bulkhead init --size ${most}G`] : ['bulkhead init --device DEVICE'],
    cause,
  });
}

/** What the disk can still give to a sparse file; undefined when all its blocks are there, or there is no file. */
export async function holesLeft(file: string): Promise<number | undefined> {
  const { size, blocks } = await stat(file).catch(() => ({ size: 0, blocks: 0 }));
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
