import { open, readFile, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { AppError } from '../../contract/errors.ts';
import { exec } from '../exec.ts';
import { filesystemId } from './ioctl.ts';

/**
 * `ssd` aloud: disks of virtual machines report themselves as rotating, and btrfs then
 * waits a tick for company at every parallel fsync. `nodiscard`: discards would punch the
 * preallocated file empty again.
 */
const OPTIONS = 'nosuid,nodev,noatime,ssd,nodiscard';

/** Bytes of dirty pages that the pool may have in write-back; one writing fork else raises production's p99 to a second. */
const WRITE_BACK = 64 << 20;

/** What is mounted at a directory: its device. Undefined: nothing. */
export async function mountedAt(directory: string): Promise<string | undefined> {
  const table = await readFile('/proc/self/mountinfo', 'utf8');
  // proc_pid_mountinfo(5): the mount point is the fifth field, the source the second after the hyphen. The last mount is on top.
  const line = table.split('\n').findLast((candidate) => candidate.split(' ')[4] === directory);
  return line?.split(' - ')[1]?.split(' ')[1];
}

/** Mounts a device at a directory, unless it is there. Private: what is mounted in it reaches no other namespace. */
export async function mountPool(device: string, directory: string): Promise<void> {
  const there = await mountedAt(directory);
  if (there === device) return;
  if (there !== undefined)
    throw new AppError('failed', `Cannot mount the pool: "${there}" is mounted at its place`, {
      next: ['bulkhead doctor'],
    });
  await exec('mount', ['--make-private', '-t', 'btrfs', '-o', OPTIONS, device, directory], { deadline: 300_000 });
}

/** Takes the mount away; nothing there is a success. Throws `busy`. */
export async function unmountPool(directory: string): Promise<void> {
  if ((await mountedAt(directory)) === undefined) return;
  const { code, stderr } = await exec('umount', [directory], { accept: [0, 32], deadline: 300_000 });
  if (code !== 0) throw new AppError('busy', 'The pool is in use and stays mounted', { why: stderr.trim() });
}

/**
 * Bounds the pool's share of the write-back cache. The kernel forgets it with the mount.
 * sysfs names it by the filesystem's UUID (/sys/fs/btrfs/UUID/bdi).
 */
export async function limitWriteBack(fd: number): Promise<void> {
  const bdi = `/sys/fs/btrfs/${await filesystemId(fd)}/bdi`;
  await writeFile(`${bdi}/strict_limit`, '1');
  await writeFile(`${bdi}/max_bytes`, String(WRITE_BACK));
}

/** Milliseconds for cells that start just now: a new mount namespace holds everything until it has left the old root. */
const LET_GO = 1000;

/** True when the kernel has closed a filesystem; false when a cell, or another mount namespace, holds it under a mount of its own. */
export async function filesystemGone(id: string): Promise<boolean> {
  for (const started = performance.now(); existsSync(`/sys/fs/btrfs/${id}`); await pause(20))
    if (performance.now() - started > LET_GO) return false;
  return true;
}

/** Makes a directory's entries durable. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  await handle.sync().finally(() => handle.close());
}
