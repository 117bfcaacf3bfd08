import { ioctl, isErrno } from './ioctl.ts';
import { search } from './search.ts';

/**
 * Simple quotas (Linux 6.7): every extent is charged to the subvolume that wrote it
 * first, at no cost that could be measured. btrfs-progs 6.2 cannot switch them on.
 */
const QUOTA_CTL = 0xc0109428;
const QGROUP_ASSIGN = 0x40189429;
const QGROUP_CREATE = 0x4010942a;
const QGROUP_LIMIT = 0x8030942b;

const ENABLE_SIMPLE = 4n;
const LIMIT_REFERENCED = 1n;
const QUOTA_TREE = 8n;
const INFO = 242;
const RELATION = 246;
const MAX = 0xffff_ffff_ffff_ffffn;

/** Number of a group: its level above bit 48. Level 0 is a subvolume's own. */
export const groupId = (level: number, id: bigint): bigint => (BigInt(level) << 48n) | id;
export const levelOf = (group: bigint): number => Number(group >> 48n);

/** Switches simple quotas on; on already is a success. */
export async function enableSimpleQuotas(fd: number): Promise<void> {
  const args = Buffer.alloc(16);
  args.writeBigUInt64LE(ENABLE_SIMPLE, 0);
  await ioctl(fd, QUOTA_CTL, 'btrfs simple quotas', args);
}

/** Makes a group. False: there is one of that number. */
export async function createGroup(fd: number, group: bigint): Promise<boolean> {
  return createOrRemove(fd, group, 1n, 'EEXIST');
}

/** Removes a group. False: something is charged to it yet, or it is gone. */
export async function removeGroup(fd: number, group: bigint): Promise<boolean> {
  return createOrRemove(fd, group, 0n, 'EBUSY', 'ENOENT');
}

async function createOrRemove(fd: number, group: bigint, create: bigint, ...tolerated: string[]): Promise<boolean> {
  const args = words(create, group);
  return ioctl(fd, QGROUP_CREATE, 'btrfs quota group', args).then(
    () => true,
    (error: unknown) => {
      if (isErrno(error, ...tolerated)) return false;
      throw error;
    },
  );
}

/** Counts what `member` is charged with in `group` too, which has a higher level. */
export async function assign(fd: number, member: bigint, group: bigint): Promise<void> {
  await relate(fd, words(1n, member, group), 'EEXIST');
}

/** The reverse: `group` counts `member` no more. */
export async function release(fd: number, member: bigint, group: bigint): Promise<void> {
  await relate(fd, words(0n, member, group), 'ENOENT');
}

async function relate(fd: number, args: Buffer, tolerated: string): Promise<void> {
  await ioctl(fd, QGROUP_ASSIGN, 'btrfs quota assign', args).catch((error: unknown) => {
    if (!isErrno(error, tolerated)) throw error;
  });
}

/** The most bytes that may be charged to a group; null: no limit. */
export async function limit(fd: number, group: bigint, bytes: number | null): Promise<void> {
  // All bits set clears a limit (btrfs_limit_qgroup: CLEAR_VALUE).
  const most = bytes === null ? MAX : BigInt(bytes);
  await ioctl(fd, QGROUP_LIMIT, 'btrfs quota limit', words(group, LIMIT_REFERENCED, most, 0n, 0n, 0n));
}

/** All groups as of the last commit (usage) and now (membership). */
export interface Quotas {
  /** Bytes charged, by group. */
  charged: ReadonlyMap<bigint, number>;
  /** Groups of a higher level that a group is in. */
  parents: ReadonlyMap<bigint, readonly bigint[]>;
  /** Groups that have members. */
  inhabited: ReadonlySet<bigint>;
}

/** Reads the quota tree in one pass. */
export async function readQuotas(fd: number): Promise<Quotas> {
  const charged = new Map<bigint, number>();
  const parents = new Map<bigint, bigint[]>();
  const inhabited = new Set<bigint>();
  const items = await search(fd, { tree: QUOTA_TREE, objectids: [0n, MAX], types: [INFO, RELATION] });
  for (const { objectid, type, offset, data } of items) {
    // struct btrfs_qgroup_info_item: generation, referenced, …
    if (type === INFO) charged.set(offset, Number(data.readBigUInt64LE(8)));
    // Each relation is kept in both directions.
    if (type !== RELATION || objectid > offset) continue;
    parents.set(objectid, [...(parents.get(objectid) ?? []), offset]);
    inhabited.add(offset);
  }
  return { charged, parents, inhabited };
}

function words(...values: readonly bigint[]): Buffer {
  const args = Buffer.alloc(values.length * 8);
  values.forEach((value, index) => args.writeBigUInt64LE(value, index * 8));
  return args;
}
