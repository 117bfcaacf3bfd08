import type { KeyObject } from 'node:crypto';
import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { check, LINE_LIMIT, parseRecord, START, type Head } from './audit-chain.ts';
import { linesBackwards } from './audit-lines.ts';

/** Records that are written and flushed together at the most; so many may be left unanchored by a crash. */
export const BATCH = 128;

/** Where the head is kept, outside the file. `set` is on the disk when it returns. */
export interface Anchor {
  get(): Head | undefined;
  set(head: Head): void;
}

/**
 * What a crash can leave is mended: a last line that was cut is moved aside, records
 * that were written and not yet anchored are anchored when their MACs are right.
 * Everything else is left as it is, for `verify`. Says what was done, in sentences.
 */
export async function mend({ file, key, anchor }: { file: string; key: KeyObject; anchor: Anchor }): Promise<string[]> {
  const { O_RDWR, O_NOFOLLOW } = constants;
  const head = anchor.get() ?? START;
  const handle = await open(file, O_RDWR | O_NOFOLLOW).catch(absent);
  if (handle === undefined) return head.seq === 0 ? [] : [`the audit log is missing; it had ${head.seq} records`];
  try {
    const { torn, beyond } = await readEnd(handle, head);
    const said: string[] = [];
    if (torn >= LINE_LIMIT) {
      // No record is so long. It gets an end, so that the next one has a line of its own.
      await handle.write('\n', (await handle.stat()).size);
      said.push('the audit log ends with what is no record');
    } else if (torn > 0) {
      await moveAside(handle, torn, `${file}.torn-${head.seq + 1}`);
      said.push(`the last line of the audit log, ${torn} bytes, was cut by a crash and was moved aside`);
    }
    const next = follow(beyond, head, key);
    if (next === undefined) return [...said, 'the audit log ends with records that were never anchored'];
    if (next === head) return said;
    anchor.set(next);
    return [...said, `${beyond.length} records of the audit log, written before a crash, were anchored`];
  } finally {
    await handle.close();
  }
}

/** Bytes after the last line's end, and the lines after the anchored head, in order. */
async function readEnd(handle: FileHandle, head: Head): Promise<{ torn: number; beyond: Buffer[] }> {
  const { size } = await handle.stat();
  let torn = 0;
  const beyond: Buffer[] = [];
  for await (const { bytes, whole } of linesBackwards(handle, size, {
    limit: LINE_LIMIT,
    most: (BATCH + 2) * LINE_LIMIT,
  })) {
    if (!whole) {
      torn = bytes.length;
      if (torn >= LINE_LIMIT) break;
    } else if ((parseRecord(bytes)?.seq ?? head.seq + 1) <= head.seq || beyond.length > BATCH) break;
    else beyond.unshift(bytes);
  }
  return { torn, beyond };
}

/** The head after these lines; undefined where they are not what was about to be anchored. */
function follow(beyond: readonly Buffer[], head: Head, key: KeyObject): Head | undefined {
  if (beyond.length > BATCH) return undefined;
  let next = head;
  for (const line of beyond) {
    const checked = check(line, next, key);
    if ('wrong' in checked) return undefined;
    next = checked.head;
  }
  return next;
}

/** Copied and flushed before it is cut off: nothing that was in the log is lost. */
async function moveAside(handle: FileHandle, length: number, name: string): Promise<void> {
  const { size } = await handle.stat();
  const bytes = Buffer.alloc(length);
  await handle.read(bytes, 0, length, size - length);
  const aside = await makeFree(name);
  try {
    await aside.writeFile(bytes);
    await aside.sync();
  } finally {
    await aside.close();
  }
  await handle.truncate(size - length);
  await handle.sync();
}

/** An earlier one of that name stays. */
async function makeFree(name: string): Promise<FileHandle> {
  for (let number = 1; ; number += 1) {
    const made = await open(number === 1 ? name : `${name}-${number}`, 'wx', 0o600).catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'EEXIST') return undefined;
        throw error;
      },
    );
    if (made !== undefined) return made;
  }
}

const absent = (error: NodeJS.ErrnoException): undefined => {
  if (error.code === 'ENOENT') return undefined;
  throw error;
};
