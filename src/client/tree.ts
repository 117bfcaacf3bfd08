import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readlinkSync, type Stats } from 'node:fs';
import { AppError } from '../contract/errors.ts';
import { quote } from '../contract/names.ts';

/** One thing in a tree that is read, with the directory that holds it open. */
export interface Found {
  /** From the tree's root: `data/rows`. */
  path: Buffer;
  stats: Stats;
  kind: 'file' | 'directory' | 'link';
  /** Where a symlink points. */
  link: Buffer;
  /** Opens the file that was seen, and no other that took its place. The caller closes it. */
  open(): number;
}

const SLASH = Buffer.from('/');
const FOLDER = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
/** Non-blocking, so that a FIFO which took the file's place does not hang us. */
const FILE = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * Everything below a directory, a directory before what is in it, by name.
 *
 * Each directory is held open and its entries are reached through /proc/self/fd, so a
 * directory that is swapped for a symlink meanwhile leads nowhere: who may write in the
 * tree must not be able to make a root that reads it read something else.
 * Symlinks are told, never followed. Throws `bad-archive` on a device, socket or FIFO.
 */
export function* walk(root: string): Generator<Found> {
  const fd = enter(root, Buffer.from(root));
  try {
    yield* within(fd, Buffer.alloc(0));
  } finally {
    closeSync(fd);
  }
}

function* within(folder: number, above: Buffer): Generator<Found> {
  const names = readdirSync(`/proc/self/fd/${folder}`, { encoding: 'buffer' }).toSorted((a, b) => a.compare(b));
  for (const name of names) {
    const at = Buffer.concat([Buffer.from(`/proc/self/fd/${folder}/`), name]);
    const path = above.length === 0 ? name : Buffer.concat([above, SLASH, name]);
    const stats = look(at);
    // It was removed between the two system calls: it is not there, as for any other reader.
    if (stats === undefined) continue;
    const found = describe(path, at, stats);
    yield found;
    if (found.kind !== 'directory') continue;
    const fd = enter(at, path);
    try {
      yield* within(fd, path);
    } finally {
      closeSync(fd);
    }
  }
}

function describe(path: Buffer, at: Buffer, stats: Stats): Found {
  const nothing = Buffer.alloc(0);
  const open = (): number => openSame(at, path, stats);
  if (stats.isFile()) return { path, stats, kind: 'file', link: nothing, open };
  if (stats.isDirectory()) return { path, stats, kind: 'directory', link: nothing, open };
  if (stats.isSymbolicLink())
    return { path, stats, kind: 'link', link: readlinkSync(at, { encoding: 'buffer' }), open };
  const what = stats.isFIFO() ? 'a FIFO' : stats.isSocket() ? 'a socket' : 'a device';
  throw new AppError('bad-archive', `Cannot read ${quote(path.toString())} into an app: it is ${what}`, {
    why: 'An app holds files, directories and links. What a program makes when it starts need not come with it.',
    next: [`remove ${quote(path.toString())}, or give a directory without it`],
  });
}

function openSame(at: Buffer, path: Buffer, seen: Stats): number {
  let fd: number;
  try {
    fd = openSync(at, FILE);
  } catch (error) {
    throw unreadable(path, error);
  }
  const now = fstatSync(fd);
  if (now.isFile() && now.ino === seen.ino && now.dev === seen.dev) return fd;
  closeSync(fd);
  throw new AppError('bad-archive', `${quote(path.toString())} was replaced while it was read`, {
    next: ['stop what writes there, and repeat the command'],
  });
}

function look(at: Buffer): Stats | undefined {
  return lstatSync(at, { throwIfNoEntry: false });
}

function enter(at: string | Buffer, path: Buffer): number {
  try {
    return openSync(at, FOLDER);
  } catch (error) {
    throw unreadable(path, error);
  }
}

const REASONS: Record<string, string> = {
  EACCES: 'you may not read it',
  EPERM: 'you may not read it',
  ENOENT: 'there is nothing of that name',
  ENOTDIR: 'it is not a directory',
  ELOOP: 'it is a symlink, and links are not followed',
  EMFILE: 'too many directories below each other',
};

function unreadable(path: Buffer, error: unknown): AppError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const reason = REASONS[code] ?? (error instanceof Error ? error.message : String(error));
  const next = code === 'EACCES' || code === 'EPERM' ? ['read it as its owner, or as root'] : ['ls -l'];
  return new AppError('bad-archive', `Cannot read ${quote(path.toString())}: ${reason}`, { next, cause: error });
}
