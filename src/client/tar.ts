import { constants, type Stats } from 'node:fs';
import { lstat, open, readdir, readlink } from 'node:fs/promises';
import path from 'node:path';
import { AppError } from '../contract/errors.ts';
import { quote } from '../contract/names.ts';

/** What was taken in, for people. */
export interface TarCount {
  files: number;
  bytes: number;
  /** Entries whose owner became 1000 inside. */
  renamed: number;
  /** Files that changed while they were read. */
  changed: string[];
}

export interface TarOptions {
  /** Keep numeric owners: only root may give files to others. */
  owners: boolean;
  /** The owner where they are not kept. */
  owner: number;
}

const BLOCK = 512;
const PIECE = 256 << 10;

/**
 * A directory as a tar stream (POSIX.1-2001, pax), read as the caller: links are kept
 * as links and never followed, hard links within the tree as hard links, holes as
 * zeros. Throws `bad-archive` on a device, a socket or a FIFO, naming it.
 */
export async function* tar(root: string, options: TarOptions, count: TarCount): AsyncGenerator<Buffer> {
  const seen = new Map<string, string>();
  const own = process.getuid?.() ?? 0;
  const info = await lstat(root).catch((error: NodeJS.ErrnoException) => {
    throw new AppError('bad-archive', `Cannot read ${quote(root)}: ${error.code ?? error.message}`);
  });
  if (!info.isDirectory()) throw new AppError('bad-archive', `${quote(root)} is not a directory`);
  const ownerOf = (stats: Stats): { uid: number; gid: number } => {
    if (options.owners) return { uid: stats.uid, gid: stats.gid };
    if (stats.uid !== own) count.renamed += 1;
    return { uid: options.owner, gid: options.owner };
  };

  async function* entry(name: string): AsyncGenerator<Buffer> {
    const file = path.join(root, name);
    const stats = await lstat(file);
    const base = { name, mode: stats.mode & 0o7777, mtime: stats.mtimeMs / 1000, ...ownerOf(stats) };
    count.files += 1;
    if (stats.isDirectory()) {
      yield header({ ...base, name: `${name}/`, type: '5', size: 0 });
      for (const child of (await readdir(file)).toSorted()) yield* entry(path.join(name, child));
      return;
    }
    if (stats.isSymbolicLink()) {
      yield header({ ...base, type: '2', size: 0, link: await readlink(file) });
      return;
    }
    if (!stats.isFile()) throw special(file, stats);
    const key = `${stats.dev}:${stats.ino}`;
    const first = stats.nlink > 1 ? seen.get(key) : undefined;
    if (first !== undefined) {
      yield header({ ...base, type: '1', size: 0, link: first });
      return;
    }
    if (stats.nlink > 1) seen.set(key, name);
    yield header({ ...base, type: '0', size: stats.size });
    yield* content(file, stats, count);
  }

  for (const child of (await readdir(root)).toSorted()) yield* entry(child);
  yield Buffer.alloc(BLOCK * 2);
}

async function* content(file: string, stats: Stats, count: TarCount): AsyncGenerator<Buffer> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch((error: NodeJS.ErrnoException) => {
    throw new AppError('bad-archive', `Cannot read ${quote(file)}: ${error.code ?? error.message}`, { next: ['read it as its owner, or leave it out'] });
  });
  let left = stats.size;
  try {
    while (left > 0) {
      const piece = Buffer.allocUnsafe(Math.min(PIECE, left));
      const { bytesRead } = await handle.read(piece, 0, piece.length);
      if (bytesRead === 0) break;
      left -= bytesRead;
      yield piece.subarray(0, bytesRead);
    }
    if (left > 0 || (await handle.stat()).mtimeMs !== stats.mtimeMs) count.changed.push(file);
  } finally {
    await handle.close();
  }
  // It was cut while it was read: the header's length is kept, with zeros.
  for (; left > 0; left -= PIECE) yield Buffer.alloc(Math.min(PIECE, left));
  count.bytes += stats.size;
  const over = stats.size % BLOCK;
  if (over > 0) yield Buffer.alloc(BLOCK - over);
}

function special(file: string, stats: Stats): AppError {
  const what = stats.isFIFO() ? 'a FIFO' : stats.isSocket() ? 'a socket' : 'a device';
  return new AppError('bad-archive', `Cannot take in ${quote(file)}: it is ${what}`, { next: [`remove ${quote(file)}, or make the app from another directory`] });
}

interface Header {
  name: string;
  mode: number;
  uid: number;
  gid: number;
  size: number;
  mtime: number;
  type: string;
  link?: string;
}

/** One ustar header, with a pax header before it where a field does not fit. */
function header(entry: Header): Buffer {
  const records = Object.entries({
    path: Buffer.byteLength(entry.name) > 100 || !ascii(entry.name) ? entry.name : undefined,
    linkpath: entry.link !== undefined && (Buffer.byteLength(entry.link) > 100 || !ascii(entry.link)) ? entry.link : undefined,
    size: entry.size > 0o77777777777 ? String(entry.size) : undefined,
    uid: entry.uid > 0o7777777 ? String(entry.uid) : undefined,
    gid: entry.gid > 0o7777777 ? String(entry.gid) : undefined,
  }).flatMap(([key, value]) => (value === undefined ? [] : [paxRecord(key, value)]));
  if (records.length === 0) return block(entry);
  const body = Buffer.from(records.join(''));
  const padding = Buffer.alloc((BLOCK - (body.length % BLOCK)) % BLOCK);
  const extended = block({ ...entry, name: 'pax', type: 'x', size: body.length, link: '' });
  return Buffer.concat([extended, body, padding, block(entry)]);
}

// oxlint-disable-next-line no-control-regex -- all that is not plain
const ascii = (text: string): boolean => /^[\u0020-\u007e]*$/.test(text);

/** `LENGTH key=value\n`, where the length counts itself. */
function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = Buffer.byteLength(rest);
  while (length !== Buffer.byteLength(rest) + String(length).length) length = Buffer.byteLength(rest) + String(length).length;
  return `${length}${rest}`;
}

function block(entry: Header): Buffer {
  const buffer = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, length: number): void => {
    const text = Math.max(0, Math.floor(value)).toString(8);
    buffer.write(text.length < length ? text.padStart(length - 1, '0') : '0'.repeat(length - 1), at, 'ascii');
  };
  buffer.write(entry.name, 0, 100, 'utf8');
  octal(entry.mode, 100, 8);
  octal(entry.uid, 108, 8);
  octal(entry.gid, 116, 8);
  octal(entry.size, 124, 12);
  octal(entry.mtime, 136, 12);
  buffer.write('        ', 148, 'ascii');
  buffer.write(entry.type, 156, 'ascii');
  buffer.write(entry.link ?? '', 157, 100, 'utf8');
  buffer.write('ustar\u000000', 257, 'ascii');
  const sum = buffer.reduce((total, byte) => total + byte, 0);
  buffer.write(`${sum.toString(8).padStart(6, '0')}\u0000 `, 148, 'ascii');
  return buffer;
}
