import { ioctl } from './ioctl.ts';

/** Reading btrfs's own trees: everything that one question needs in one pass, without opening a path. */
const TREE_SEARCH_V2 = 0xc0709411;
/** struct btrfs_ioctl_search_args_v2 up to its buffer, and the header before each item. */
const ARGS = 112;
const HEADER = 32;
const BUFFER = 64 << 10;

const ROOT_TREE = 1n;
const TOP_LEVEL = 5n;
const ROOT_REF = 156;
const MAX = 0xffff_ffff_ffff_ffffn;

/** One item of a tree: its key, and its content. */
export interface TreeItem {
  objectid: bigint;
  type: number;
  offset: bigint;
  data: Buffer;
}

export interface TreeRange {
  tree: bigint;
  /** First and last, inclusive. */
  objectids: readonly [bigint, bigint];
  types: readonly [number, number];
}

/** All items of a range, in key order. */
export async function search(fd: number, range: TreeRange): Promise<TreeItem[]> {
  const found: TreeItem[] = [];
  let from = { objectid: range.objectids[0], type: range.types[0], offset: 0n };
  for (;;) {
    const items = await page(fd, range, from);
    const last = items.at(-1);
    if (last === undefined) return found;
    // The kernel compares whole keys, so items of other types may stand in between.
    found.push(...items.filter(({ type }) => type >= range.types[0] && type <= range.types[1]));
    if (last.offset === MAX) return found;
    from = { objectid: last.objectid, type: last.type, offset: last.offset + 1n };
  }
}

async function page(fd: number, range: TreeRange, from: Omit<TreeItem, 'data'>): Promise<TreeItem[]> {
  const args = Buffer.alloc(ARGS + BUFFER);
  const words = [range.tree, from.objectid, range.objectids[1], from.offset, MAX, 0n, MAX];
  words.forEach((word, index) => args.writeBigUInt64LE(word, index * 8));
  args.writeUInt32LE(from.type, 56);
  args.writeUInt32LE(range.types[1], 60);
  args.writeUInt32LE(0xffff_ffff, 64);
  args.writeBigUInt64LE(BigInt(BUFFER), 104);
  await ioctl(fd, TREE_SEARCH_V2, 'btrfs tree search', args);
  const items: TreeItem[] = [];
  for (let at = ARGS, left = args.readUInt32LE(64); left > 0; left -= 1) {
    const size = args.readUInt32LE(at + 28);
    items.push({
      objectid: args.readBigUInt64LE(at + 8),
      offset: args.readBigUInt64LE(at + 16),
      type: args.readUInt32LE(at + 24),
      data: args.subarray(at + HEADER, at + HEADER + size),
    });
    at += HEADER + size;
  }
  return items;
}

/** A subvolume, as the directory entry that it hangs on. */
export interface Subvolume {
  id: bigint;
  /** The subvolume that holds it; 5 is the pool's root. */
  parent: bigint;
  /** Inode of the directory that it is in. */
  directory: bigint;
  name: string;
}

/** The subvolumes that hang directly below `parent` (default: the pool's root), deleted ones no more. */
export async function subvolumes(fd: number, parent: bigint = TOP_LEVEL): Promise<Subvolume[]> {
  const items = await search(fd, { tree: ROOT_TREE, objectids: [parent, parent], types: [ROOT_REF, ROOT_REF] });
  return items.map(({ objectid, offset, data }) => ({
    id: offset,
    parent: objectid,
    directory: data.readBigUInt64LE(0),
    name: data.toString('utf8', 18, 18 + data.readUInt16LE(16)),
  }));
}
