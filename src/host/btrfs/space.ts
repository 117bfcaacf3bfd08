import { readFile } from 'node:fs/promises';
import { filesystemId, ioctl } from './ioctl.ts';

const SPACE_INFO = 0xc0109414;
const DEV_INFO = 0xd000941e;

const DATA = 1n;
const METADATA = 4n;
const GLOBAL_RESERVE = 1n << 49n;
/** Bits of the profiles that keep two copies (RAID1, DUP, RAID10), three, four. */
const COPIES: readonly (readonly [bigint, number])[] = [
  [16n | 32n | 64n, 2],
  [512n, 3],
  [1024n, 4],
];

/**
 * Bytes of data that one byte of metadata must be able to describe. 4 KiB written at random
 * cost about 4 + 53 + 80 bytes of checksum, file extent and extent item, in leaves half full,
 * which copy-on-write has twice for a moment.
 */
const DATA_PER_METADATA = 16;

/**
 * Metadata that is not counted as free. btrfs sets aside far more for each operation than it takes: with 4 MiB of 38 left
 * beside its own reserve, a rename of production's gave ENOSPC, after forks that made empty and small files.
 * And whoever looks comes late by a moment, in which forks go on.
 */
const metadataMargin = (size: number): number => Math.min(128 * MIB, Math.max(8 * MIB, size / 32));
const MIB = 1 << 20;

/** Room in a filesystem, bytes. */
export interface Space {
  size: number;
  used: number;
  free: number;
}

/**
 * What can still be written. statfs is not enough: btrfs answers ENOSPC with space
 * apparently free once no chunk is left for metadata, so the lesser of both counts.
 */
export async function space(fd: number): Promise<Space> {
  const [chunks, device, waiting] = await Promise.all([chunksOf(fd), deviceOf(fd), waitingOf(fd)]);
  const left = device.size - device.allocated;
  const data = sum(chunks.filter(({ flags }) => (flags & DATA) !== 0n));
  const metadata = sum(chunks.filter(({ flags }) => (flags & METADATA) !== 0n && (flags & GLOBAL_RESERVE) === 0n));
  const reserve = chunks.find(({ flags }) => (flags & GLOBAL_RESERVE) !== 0n)?.total ?? 0;
  const dataFree = data.total - data.used - waiting.data + left / data.copies;
  const metadataFree =
    metadata.total - metadata.used - waiting.metadata - reserve - metadataMargin(device.size) + left / metadata.copies;
  return {
    size: device.size,
    used: data.used * data.copies + metadata.used * metadata.copies,
    free: Math.max(0, Math.floor(Math.min(dataFree, metadataFree * DATA_PER_METADATA))),
  };
}

/**
 * Bytes that are written and not yet counted as used, which happens when a transaction is committed: up to half a minute
 * later. An upload had filled a pool while its room was still told as on the first day. (sysfs of btrfs; zero without it.)
 */
async function waitingOf(fd: number): Promise<{ data: number; metadata: number }> {
  const allocation = `/sys/fs/btrfs/${await filesystemId(fd)}/allocation`;
  const read = async (file: string): Promise<number> =>
    Number(await readFile(`${allocation}/${file}`, 'utf8').catch(() => '0'));
  const [planned, data, metadata] = await Promise.all(
    ['data/bytes_may_use', 'data/bytes_reserved', 'metadata/bytes_reserved'].map(read),
  );
  return { data: (planned ?? 0) + (data ?? 0), metadata: metadata ?? 0 };
}

interface Chunks {
  flags: bigint;
  total: number;
  used: number;
}

function sum(chunks: readonly Chunks[]): { total: number; used: number; copies: number } {
  const flags = chunks.reduce((all, chunk) => all | chunk.flags, 0n);
  const copies = COPIES.reduce((most, [bits, count]) => ((flags & bits) === 0n ? most : Math.max(most, count)), 1);
  return {
    total: chunks.reduce((all, chunk) => all + chunk.total, 0),
    used: chunks.reduce((all, chunk) => all + chunk.used, 0),
    copies,
  };
}

/** struct btrfs_ioctl_space_args: slots, count, then flags, total and used of each kind of chunk. */
async function chunksOf(fd: number): Promise<Chunks[]> {
  const slots = 32;
  const args = Buffer.alloc(16 + slots * 24);
  args.writeBigUInt64LE(BigInt(slots), 0);
  await ioctl(fd, SPACE_INFO, 'btrfs space info', args);
  const count = Math.min(slots, Number(args.readBigUInt64LE(8)));
  return Array.from({ length: count }, (_, index) => {
    const at = 16 + index * 24;
    const [flags, total, used] = [0, 8, 16].map((offset) => args.readBigUInt64LE(at + offset)) as [
      bigint,
      bigint,
      bigint,
    ];
    return { flags, total: Number(total), used: Number(used) };
  });
}

/** struct btrfs_ioctl_dev_info_args of the pool's one device. */
async function deviceOf(fd: number): Promise<{ size: number; allocated: number }> {
  const args = Buffer.alloc(4096);
  args.writeBigUInt64LE(1n, 0);
  await ioctl(fd, DEV_INFO, 'btrfs device info', args);
  return { allocated: Number(args.readBigUInt64LE(24)), size: Number(args.readBigUInt64LE(32)) };
}
