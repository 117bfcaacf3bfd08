import {
  closeSync,
  fstatSync,
  linkSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import type { LogLine } from '../cells.ts';

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

/** The last lines of a log, oldest first. No log is an empty one. */
export function tailLog(file: string, count: number): LogLine[] {
  keepLog(file);
  const parser = createLineParser();
  const texts = [before(file), file].map((part) => readEnd(part));
  const lines = texts.flatMap((text) => parser.push(text));
  return count <= 0 ? [] : lines.slice(-count);
}

/** Calls for every line that is added, until the signal aborts; with `after`, also for those written since then. */
export function followLog(
  file: string,
  signal: AbortSignal,
  line: (line: LogLine) => void,
  after?: string,
): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const reader = createReader(file);
    if (after === undefined) reader.skip();
    const look = (): void => {
      keepLog(file);
      for (const added of reader.read()) if (after === undefined || added.at > after) line(added);
    };
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    const watcher = watch(path.dirname(file), look);
    watcher.on('error', () => {});
    const end = (): void => {
      watcher.close();
      reader.close();
      resolve();
    };
    signal.addEventListener('abort', end, { once: true });
    look();
  });
}

/** Reads what is added to a file, also across its replacement. */
function createReader(file: string) {
  const parser = createLineParser();
  const buffer = Buffer.alloc(64 << 10);
  let fd = openIfThere(file);
  const drain = (): string[] => {
    const texts: string[] = [];
    for (let bytes = -1; fd !== undefined && bytes !== 0;) {
      bytes = readSync(fd, buffer, 0, buffer.length, null);
      texts.push(buffer.toString('latin1', 0, bytes));
    }
    return texts;
  };
  const close = (): void => {
    if (fd !== undefined) closeSync(fd);
    fd = undefined;
  };
  return {
    close,
    skip: (): void => void drain(),
    read: (): LogLine[] => {
      const texts = drain();
      if (fd === undefined || fstatSync(fd).ino !== inodeOf(file)) {
        // The rest of the old file was read above: nothing is added to it once it is replaced.
        close();
        fd = openIfThere(file);
        texts.push(...drain());
      }
      return texts.flatMap((text) => parser.push(text));
    },
  };
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

/** The end of a file, from the beginning of a line on. */
function readEnd(file: string): string {
  const fd = openIfThere(file);
  if (fd === undefined) return '';
  try {
    const { size } = fstatSync(fd);
    const start = Math.max(0, size - TAIL_LIMIT);
    const buffer = Buffer.alloc(size - start);
    const bytes = readSync(fd, buffer, 0, buffer.length, start);
    const text = buffer.toString('latin1', 0, bytes);
    return start === 0 ? text : text.slice(text.indexOf('\n') + 1);
  } finally {
    closeSync(fd);
  }
}
