import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { mkdir, rmdir, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { AppError } from '../../contract/errors.ts';
import { start } from '../exec.ts';
import { addressOf, call, callAsync, closeFd, tryCall } from '../syscalls.ts';
import type { Places } from './places.ts';

/** Numbers from 424 on are the same on every architecture; the older ones are not. */
const SYS = {
  ...(process.arch === 'arm64' ? { mount: 40, umount2: 39 } : { mount: 165, umount2: 166 }),
  open_tree: 428,
  move_mount: 429,
  mount_setattr: 442,
};

const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const OPEN_TREE_CLONE = 1;
const OPEN_TREE_CLOEXEC = 0o2000000;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const MOUNT_ATTR_NOSUID = 0x2;
const MOUNT_ATTR_NODEV = 0x4;
const MOUNT_ATTR_IDMAP = 0x100000;
const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_PRIVATE = 1 << 18;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;
const EINVAL = -22;
const ENOENT = -2;

/** Bytes of the tmpfs that all bundles of an instance share; a bundle takes some 300 KiB. */
const TMPFS_SIZE = '256m';

const text = (value: string): Buffer => Buffer.from(`${value}\0`);

/** True where something is mounted on `directory`, by the kernel's own list. */
export function isMounted(directory: string): boolean {
  const list = readFileSync('/proc/self/mountinfo', 'utf8');
  return list.split('\n').some((line) => line.split(' ', 5)[4] === directory);
}

/**
 * Makes the tmpfs of the cells and the directories in it. A tmpfs of our own,
 * since `/run` is often mounted `noexec`, which would hold for the hooks bound
 * from it. Private, so that no mount in it spreads to another namespace.
 */
export function prepareRoot(places: Places): void {
  mkdirSync(places.root, { recursive: true, mode: 0o711 });
  if (!isMounted(places.root)) {
    const options = text(`mode=711,size=${TMPFS_SIZE}`);
    mount('bulkhead', places.root, 'tmpfs', MS_NOSUID | MS_NODEV, options);
    mount('none', places.root, '', MS_PRIVATE);
  }
  for (const directory of [places.mounts, places.runtime, places.temporary])
    mkdirSync(directory, { recursive: true, mode: 0o700 });
}

function mount(source: string, target: string, type: string, flags: number, data?: Buffer): void {
  const buffers = [text(source), text(target), text(type)] as const;
  const [a, b, c] = buffers.map(addressOf);
  call('syscall', `mount ${target}`, SYS.mount, a, b, c, flags, data === undefined ? 0 : addressOf(data), 0);
}

/** Takes away what is mounted on `target`, all layers, also when it is in use. Nothing mounted is a success. */
export function unmount(target: string): void {
  const name = text(target);
  const flags = MNT_DETACH | UMOUNT_NOFOLLOW;
  let result = existsSync(target) ? 0 : ENOENT;
  while (result === 0) result = tryCall('syscall', SYS.umount2, addressOf(name), flags, 0, 0, 0, 0);
  if (result !== EINVAL && result !== ENOENT)
    throw new AppError('failed', `Cannot unmount "${target}": errno ${-result}`);
}

/** Takes away the mount at `target` and the directory under it; only an empty one goes, so data under a mount cannot. */
export async function unmountAndRemove(target: string): Promise<void> {
  unmount(target);
  await rmdir(target).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
}

/**
 * Mounts `source` at `target` with the ids 0…65535 of its files shown as
 * `idBase`…, `nosuid,nodev` (mount_setattr(2), Linux 5.12; btrfs since 5.15).
 */
export async function mountIdmapped(source: string, target: string, idBase: number): Promise<void> {
  await mkdir(target, { recursive: true, mode: 0o700 });
  const mapping = await borrowMapping(idBase);
  try {
    const tree = await callAsync(
      'syscallPointers',
      `open_tree ${source}`,
      SYS.open_tree,
      AT_FDCWD,
      text(source),
      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC,
      null,
      0,
      0,
    );
    try {
      const attributes = Buffer.alloc(32);
      attributes.writeBigUInt64LE(BigInt(MOUNT_ATTR_IDMAP | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV), 0);
      attributes.writeBigUInt64LE(BigInt(mapping), 24);
      call(
        'syscallPointers',
        'mount_setattr',
        SYS.mount_setattr,
        tree,
        text(''),
        AT_EMPTY_PATH,
        attributes,
        attributes.length,
        0,
      );
      call(
        'syscallPointers',
        `move_mount ${target}`,
        SYS.move_mount,
        tree,
        text(''),
        AT_FDCWD,
        text(target),
        MOVE_MOUNT_F_EMPTY_PATH,
        0,
      );
    } finally {
      closeFd(tree);
    }
  } finally {
    closeSync(mapping);
  }
}

/**
 * A user namespace with the mapping, as a file descriptor. It is made by a child
 * that does nothing else, and lives on in the descriptor when the child has
 * ended. `cat` answers the byte that it is sent: then `unshare` is behind it.
 */
async function borrowMapping(idBase: number): Promise<number> {
  const child = await start('unshare', ['--user', '/usr/bin/cat'], { stdio: ['pipe', 'pipe', 'ignore'] });
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null || child.pid === undefined)
    throw new AppError('failed', 'Cannot start a process for the id mapping');
  stdin.on('error', () => {});
  try {
    stdin.write('.');
    const [answer]: unknown[] = await once(stdout, 'data', { signal: AbortSignal.timeout(10_000) });
    if (answer === undefined) throw new AppError('failed', 'The process for the id mapping ended early');
    const line = `0 ${idBase} 65536`;
    await Promise.all(['uid_map', 'gid_map'].map((file) => writeFile(`/proc/${child.pid}/${file}`, line)));
    return openSync(`/proc/${child.pid}/ns/user`, 'r');
  } finally {
    stdin.end();
  }
}
