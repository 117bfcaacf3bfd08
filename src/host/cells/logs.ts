import {
  closeSync,
  fstatSync,
  linkSync,
  mkdirSync,
  openSync,
  read,
  renameSync,
  rmSync,
  statSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import type { FollowLog, LogLine } from '../cells.ts';

/**
 * Logs of sessions, in the supervisor's format: `TIME STREAM TAG TEXT`, where
 * the tag P says that the line goes on in the next one, and F that it ends.
 *
 * When the file is full the supervisor puts a new one in its place, and the old
 * one would be gone. So a second name, `.held`, keeps it; when the two are found
 * to be different files, the held one becomes `.1`. What is kept is `.1` and the
 * file itself, each at the most half of the log's size.
 */

/** Bytes that are read for a tail at the most. */
const TAIL_LIMIT = 16 << 20;
/** Bytes that are looked at first: enough for some hundred lines. */
const FIRST_LOOK = 128 << 10;
/** Bytes that are read and parsed at a time. */
const PIECE = 64 << 10;
/** Characters of one line; the rest is cut. */
const LINE_LIMIT = 64 << 10;

const held = (file: string): string => `${file}.held`;
const before = (file: string): string => `${file}.1`;

/** Makes a session's log ready for a new run: what an earlier one wrote is kept as the older half. */
export function prepareLog(file: string): void {
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  if (inodeOf(file) !== undefined) renameSync(file, before(file));
  rmSync(held(file), { force: true });
  writeFileSync(file, '', { mode: 0o600 });
  linkSync(file, held(file));
}

/** Keeps the half that the supervisor has put away. */
export function keepLog(file: string): void {
  const now = inodeOf(file);
  const was = inodeOf(held(file));
  if (now === undefined || now === was) return;
  if (was !== undefined) renameSync(held(file), before(file));
  try {
    linkSync(file, held(file));
  } catch {
    // Replaced again in this moment: the next look keeps it.
  }
}

/** Removes the logs of a directory. */
export async function removeLogs(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true });
}

/**
 * The last lines of a log, oldest first. No log is an empty one. Read and parsed in pieces: what
 * a cell has written must not hold up other callers.
 */
export async function tailLog(file: string, count: number): Promise<LogLine[]> {
  keepLog(file);
  if (count <= 0) return [];
  const parts = [before(file), file].map((name) => openIfThere(name)).filter((fd) => fd !== undefined);
  try {
    for (let most = FIRST_LOOK; ; most *= 4) {
      const { lines, whole } = await linesAtEnd(parts, most, count);
      // The oldest may be the rest of a longer one, so it counts only where all was read.
      if (whole || lines.length > count) return lines.slice(-count);
    }
  } finally {
    parts.forEach(closeSync);
  }
}

/** The newest lines, one more than `count` where there are so many, out of the last `most` bytes of the files. */
async function linesAtEnd(
  files: readonly number[],
  most: number,
  count: number,
): Promise<{ lines: LogLine[]; whole: boolean }> {
  const parser = createLineParser();
  const sizes = files.map((fd) => fstatSync(fd).size);
  let skipped = Math.max(0, sizes.reduce((sum, size) => sum + size, 0) - Math.min(most, TAIL_LIMIT));
  const whole = skipped === 0 || most >= TAIL_LIMIT;
  let lines: LogLine[] = [];
  for (const [index, fd] of files.entries()) {
    const size = sizes[index] ?? 0;
    const start = Math.min(skipped, size);
    skipped -= start;
    for (let at = start; at < size; at += PIECE) {
      const text = await readPiece(fd, at, Math.min(PIECE, size - at));
      const added = parser.push(at === start && start > 0 ? text.slice(text.indexOf('\n') + 1) : text);
      lines = lines.concat(added).slice(-count - 1);
    }
  }
  return { lines, whole };
}

/**
 * Calls with the lines that are added, until the signal aborts; with `after`, also with those
 * written since then. The next are read when the call has been dealt with: what is written
 * faster than it is read is passed over, and never waits in memory.
 */
export async function followLog(file: string, signal: AbortSignal, call: FollowLog, after?: string): Promise<void> {
  const reader = createReader(file, after === undefined);
  const watcher = watchDirectory(path.dirname(file), signal);
  try {
    while (!signal.aborted) {
      keepLog(file);
      const added = await reader.read();
      if (added === undefined) await watcher.next();
      const wanted = (added ?? []).filter(({ at }) => after === undefined || at > after);
      if (wanted.length > 0) await call(wanted);
    }
  } finally {
    watcher.close();
    reader.close();
  }
}

/** `next` resolves when something in the directory has changed since it was last asked, or the signal has aborted. */
function watchDirectory(directory: string, signal: AbortSignal): { next: () => Promise<void>; close: () => void } {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  let changed = false;
  let wake = (): void => {};
  const look = (): void => {
    changed = true;
    wake();
  };
  const watcher = watch(directory, look);
  watcher.on('error', () => {});
  signal.addEventListener('abort', look, { once: true });
  return {
    next: async () => {
      if (!changed && !signal.aborted) await new Promise<void>((resolve) => (wake = resolve));
      changed = false;
    },
    close: () => watcher.close(),
  };
}

/** Reads what is added to a file, a piece at a time, also across its replacement. */
function createReader(file: string, fromEnd: boolean) {
  const parser = createLineParser();
  let fd = openIfThere(file);
  let at = fd === undefined || !fromEnd ? 0 : fstatSync(fd).size;
  let replaced = false;
  const close = (): void => {
    if (fd !== undefined) closeSync(fd);
    fd = undefined;
  };
  return {
    close,
    /** Undefined: there is nothing more now. */
    read: async (): Promise<LogLine[] | undefined> => {
      const text = fd === undefined ? '' : await readPiece(fd, at, PIECE);
      at += text.length;
      if (text !== '') return parser.push(text);
      if (fd !== undefined && !replaced) {
        // Only once it was seen to be replaced is nothing more added to the old one: its end is read again.
        replaced = fstatSync(fd).ino !== inodeOf(file);
        return replaced ? [] : undefined;
      }
      close();
      fd = openIfThere(file);
      at = 0;
      replaced = false;
      return fd === undefined ? undefined : [];
    },
  };
}

const readAt = promisify(read);

/** One character a byte. */
async function readPiece(fd: number, at: number, bytes: number): Promise<string> {
  const { bytesRead, buffer } = await readAt(fd, Buffer.allocUnsafe(bytes), 0, bytes, at);
  return buffer.toString('latin1', 0, bytesRead);
}

/**
 * Puts lines together. Text is taken as Latin-1, one character a byte, until a
 * line is whole, so that no character is cut between two reads.
 */
export function createLineParser(): { push(text: string): LogLine[] } {
  let rest = '';
  const open = new Map<string, LogLine>();
  const one = (text: string): LogLine | undefined => {
    const match = /^(\S+) (stdout|stderr) ([FP]) ?([^]*)$/.exec(text);
    if (match === null) return undefined;
    const [, at = '', stream = '', tag, piece = ''] = match;
    const begun = open.get(stream) ?? { at, stream: stream === 'stderr' ? 'stderr' : 'stdout', text: '' };
    begun.text = (begun.text + piece).slice(0, LINE_LIMIT);
    if (tag === 'P') open.set(stream, begun);
    else open.delete(stream);
    return tag === 'P' ? undefined : { ...begun, text: Buffer.from(begun.text, 'latin1').toString('utf8') };
  };
  return {
    push: (text) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      return lines.map(one).filter((line) => line !== undefined);
    },
  };
}

function inodeOf(file: string): number | undefined {
  return statSync(file, { throwIfNoEntry: false })?.ino;
}

function openIfThere(file: string): number | undefined {
  return inodeOf(file) === undefined ? undefined : openSync(file, 'r');
}
