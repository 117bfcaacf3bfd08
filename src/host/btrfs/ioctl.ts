import { addressOf, callAsync, SyscallError } from '../syscalls.ts';

/**
 * The calls of btrfs that this pool uses, by file descriptor and never on the
 * event loop's thread: most may wait for a disk. Numbers and layouts are those
 * of linux/btrfs.h.
 */
const SNAP_CREATE_V2 = 0x50009417;
const SUBVOL_CREATE_V2 = 0x50009418;
const SNAP_DESTROY_V2 = 0x5000943f;
const INO_LOOKUP = 0xd0009412;
const START_SYNC = 0x80089418;
const WAIT_SYNC = 0x40089416;
const FS_INFO = 0x8400941f;

const SUBVOL_RDONLY = 2n;
const SUBVOL_QGROUP_INHERIT = 4n;
const SUBVOL_SPEC_BY_ID = 16n;

/** struct btrfs_ioctl_vol_args_v2: one page, the name at 56. */
const VOLUME_ARGS = 4096;
const NAME_AT = 56;
const FIRST_INODE = 256n;

/**
 * Calls `ioctl` on a thread of its own. Throws `SyscallError`. The buffers stay
 * reachable until it has returned: the kernel writes into them meanwhile.
 */
export async function ioctl(
  fd: number,
  request: number,
  label: string,
  ...buffers: [Buffer, ...Buffer[]]
): Promise<Buffer> {
  await callAsync('ioctl', label, fd, request, buffers[0]);
  return buffers[0];
}

/** True for an error of the kernel with one of these names. */
export function isErrno(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof SyscallError && codes.includes(error.code);
}

export interface SnapshotSpec {
  /** The subvolume's own descriptor. */
  from: number;
  /** Descriptor of the directory that it goes into. */
  into: number;
  name: string;
  readOnly: boolean;
  /** Quota group that it belongs to from its first byte on. */
  group?: bigint;
}

/**
 * Copies a subvolume at one instant. The kernel writes out the source's dirty
 * pages, and commits: when this returns, the copy survives a power cut.
 */
export async function snapshot(spec: SnapshotSpec): Promise<void> {
  const args = volumeArgs(spec.name);
  args.writeBigInt64LE(BigInt(spec.from), 0);
  const flags = spec.readOnly ? SUBVOL_RDONLY : 0n;
  const inherit = spec.group === undefined ? undefined : inheritArgs(spec.group);
  args.writeBigUInt64LE(inherit === undefined ? flags : flags | SUBVOL_QGROUP_INHERIT, 16);
  if (inherit !== undefined) {
    args.writeBigUInt64LE(BigInt(inherit.length), 24);
    args.writeBigUInt64LE(addressOf(inherit), 32);
  }
  await ioctl(spec.into, SNAP_CREATE_V2, 'btrfs snapshot', args, ...(inherit === undefined ? [] : [inherit]));
}

/**
 * Writes out one subvolume's dirty pages, without a commit. It is the snapshot call under
 * a name that is taken: the kernel flushes the source first (btrfs_mksnapshot), then finds the name.
 * `taken` is an entry of the directory `into`.
 */
export async function flush(from: number, into: number, taken: string): Promise<void> {
  await snapshot({ from, into, name: taken, readOnly: true }).catch((error: unknown) => {
    if (!isErrno(error, 'EEXIST')) throw error;
  });
}

/** Makes an empty subvolume, and commits. */
export async function createSubvolume(into: number, name: string): Promise<void> {
  await ioctl(into, SUBVOL_CREATE_V2, 'btrfs subvolume create', volumeArgs(name));
}

/** Takes a subvolume out of its directory; its space follows in the background. Not durable before `commit`. */
export async function destroy(into: number, name: string): Promise<void> {
  await ioctl(into, SNAP_DESTROY_V2, 'btrfs subvolume delete', volumeArgs(name));
}

/** The same by number, wherever it is; `root` is the pool's root. No path inside a cell's tree is followed. */
export async function destroyById(root: number, id: bigint): Promise<void> {
  const args = Buffer.alloc(VOLUME_ARGS);
  args.writeBigUInt64LE(SUBVOL_SPEC_BY_ID, 16);
  args.writeBigUInt64LE(id, NAME_AT);
  await ioctl(root, SNAP_DESTROY_V2, 'btrfs subvolume delete', args);
}

/** Number of the subvolume that a descriptor is in. */
export async function subvolumeId(fd: number): Promise<bigint> {
  const args = Buffer.alloc(VOLUME_ARGS);
  args.writeBigUInt64LE(FIRST_INODE, 8);
  await ioctl(fd, INO_LOOKUP, 'btrfs inode lookup', args);
  return args.readBigUInt64LE(0);
}

/** Makes names, groups and limits durable: a commit. Unlike syncfs it waits for nobody's dirty pages. */
export async function commit(fd: number): Promise<void> {
  const transaction = Buffer.alloc(8);
  await ioctl(fd, START_SYNC, 'btrfs start sync', transaction);
  await ioctl(fd, WAIT_SYNC, 'btrfs wait sync', transaction);
}

/** The filesystem's UUID, by which sysfs knows it. */
export async function filesystemId(fd: number): Promise<string> {
  const args = await ioctl(fd, FS_INFO, 'btrfs filesystem info', Buffer.alloc(1024));
  const hex = args.toString('hex', 16, 32);
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

function volumeArgs(name: string): Buffer {
  const args = Buffer.alloc(VOLUME_ARGS);
  args.write(name, NAME_AT, 'utf8');
  return args;
}

/** struct btrfs_qgroup_inherit with one group and no limits of its own. */
function inheritArgs(group: bigint): Buffer {
  const args = Buffer.alloc(80);
  args.writeBigUInt64LE(1n, 8);
  args.writeBigUInt64LE(group, 72);
  return args;
}
