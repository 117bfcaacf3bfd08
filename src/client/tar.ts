import { closeSync, fstatSync, readSync } from 'node:fs';
import { quote } from '../contract/names.ts';
import { encodeHeader, END, padding, type Member } from './tar-header.ts';
import { walk, type Found } from './tree.ts';

/** uid and gid of a cell's user `agent`, and the highest id that a cell has. */
export const AGENT = 1000;
const ID_MOST = 65_535;
/** Bytes that leave together, and that are read at once. */
const PIECE = 256 << 10;

/** Whose files are read, and by whom. */
export interface Reader {
  uid: number;
}

/** What a tree holds, before and while it is packed. */
export interface Tally {
  /** Files, directories and links. */
  files: number;
  /** Bytes of content, each hard link counted once, holes as what they read as. */
  bytes: number;
  /** Paths whose owner changes and was not the reader; the first thousand. */
  renamed: string[];
  renamedCount: number;
  /** Entries that stay root's inside, where `agent` cannot write them. */
  rootCount: number;
}

/** Counts a tree without reading a file. Throws `bad-archive` on what an app cannot hold. */
export function survey(root: string, reader: Reader): Tally {
  const tally: Tally = { files: 0, bytes: 0, renamed: [], renamedCount: 0, rootCount: 0 };
  const seen = new Set<string>();
  for (const found of walk(root)) {
    tally.files += 1;
    if (found.kind === 'file' && !isAgain(found, seen)) tally.bytes += found.stats.size;
    if (isKept(found, reader) && found.stats.uid === 0) tally.rootCount += 1;
    if (!isForeign(found, reader)) continue;
    tally.renamedCount += 1;
    if (tally.renamed.length < 1000) tally.renamed.push(found.path.toString());
  }
  return tally;
}

/**
 * A directory as a tar archive, in pieces of some 256 KiB. Read by who runs this: root's
 * archive keeps numeric owners that a cell can have, everybody else's belongs to `agent`.
 * Hard links within the tree stay links. `onRead` is told of content bytes as they are
 * read, `onChange` of a file that changed under the reader: its header's length holds.
 * Throws `bad-archive`.
 */
export function* pack(
  root: string,
  reader: Reader,
  tell: { onRead?: (bytes: number) => void; onChange?: (path: string) => void } = {},
): Generator<Buffer> {
  const first = new Map<string, Buffer>();
  let waiting: Buffer[] = [];
  let size = 0;
  const ready = function* (force: boolean): Generator<Buffer> {
    if (size < PIECE && !force) return;
    yield Buffer.concat(waiting);
    waiting = [];
    size = 0;
  };
  const add = (piece: Buffer): void => {
    waiting.push(piece);
    size += piece.length;
  };
  for (const found of walk(root)) {
    const before = found.kind === 'file' && found.stats.nlink > 1 ? first.get(keyOf(found)) : undefined;
    if (found.kind === 'file' && found.stats.nlink > 1 && before === undefined) first.set(keyOf(found), found.path);
    if (found.kind !== 'file' || before !== undefined) add(encodeHeader(memberOf(found, reader, before, 0)));
    else
      for (const piece of content(found, reader, tell)) {
        add(piece);
        yield* ready(false);
      }
    yield* ready(false);
  }
  add(END);
  yield* ready(true);
}

function* content(
  found: Found,
  reader: Reader,
  tell: { onRead?: (bytes: number) => void; onChange?: (path: string) => void },
): Generator<Buffer> {
  const fd = found.open();
  try {
    const { size } = fstatSync(fd);
    yield encodeHeader(memberOf(found, reader, undefined, size));
    let left = size;
    while (left > 0) {
      const piece = Buffer.allocUnsafe(Math.min(PIECE, left));
      const read = readSync(fd, piece);
      if (read === 0) break;
      left -= read;
      tell.onRead?.(read);
      yield piece.subarray(0, read);
    }
    // It was cut while it was read: zeros keep the length that the header promised.
    if (left > 0 || fstatSync(fd).size !== size) tell.onChange?.(quote(found.path.toString()));
    for (; left > 0; left -= PIECE) yield Buffer.alloc(Math.min(PIECE, left));
    yield padding(size);
  } finally {
    closeSync(fd);
  }
}

function memberOf(found: Found, reader: Reader, linked: Buffer | undefined, size: number): Member {
  const { stats, kind } = found;
  const owner = isKept(found, reader) ? { uid: stats.uid, gid: stats.gid } : { uid: AGENT, gid: AGENT };
  const link = linked ?? (kind === 'link' ? found.link : undefined);
  return {
    name: kind === 'directory' ? Buffer.concat([found.path, Buffer.from('/')]) : found.path,
    type: linked !== undefined ? '1' : kind === 'link' ? '2' : kind === 'directory' ? '5' : '0',
    mode: stats.mode,
    mtime: stats.mtimeMs / 1000,
    size,
    ...owner,
    ...(link === undefined ? {} : { link }),
  };
}

/** Only root may give files to others, and a cell has ids up to 65,535. */
const isKept = ({ stats }: Found, reader: Reader): boolean =>
  reader.uid === 0 && stats.uid <= ID_MOST && stats.gid <= ID_MOST;

const isForeign = (found: Found, reader: Reader): boolean => !isKept(found, reader) && found.stats.uid !== reader.uid;

const keyOf = ({ stats }: Found): string => `${stats.dev}:${stats.ino}`;

function isAgain(found: Found, seen: Set<string>): boolean {
  if (found.stats.nlink < 2) return false;
  const again = seen.has(keyOf(found));
  seen.add(keyOf(found));
  return again;
}
