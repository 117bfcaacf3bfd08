import { constants } from 'node:fs';
import { open, stat, truncate, writeFile, type FileHandle } from 'node:fs/promises';
import type { AuditRecord } from '../contract/authority.ts';
import { check, seal, START, type Head } from './audit-chain.ts';

/** Where the head is kept, outside the file. */
export interface Anchor {
  get(): Head | undefined;
  set(head: Head): void;
}

/** What the caller of `append` gives; number, time and MAC are the log's own. */
export type Entry = Omit<AuditRecord, 'seq' | 'at' | 'mac'>;

/** Append-only, hash-chained, keyed. A record is on the disk when `append` returns. */
export interface AuditFile {
  append(entry: Entry): Promise<AuditRecord>;
  /** The newest that `keep` takes, oldest first. */
  read(options: { lines: number; keep: (record: AuditRecord) => boolean }): Promise<AuditRecord[]>;
  tail(call: (record: AuditRecord) => void): () => void;
  verify(): Promise<{ intact: boolean; records: number; finding: string | null }>;
  /** What was mended at the start, in sentences. */
  mended: readonly string[];
  close(): Promise<void>;
}

interface Waiting {
  entry: Entry;
  done: (record: AuditRecord) => void;
  failed: (error: unknown) => void;
}

/**
 * Opens the log. A start after a crash finds at most one batch that was written and
 * not anchored, or a last line that was cut: the first is anchored when its MACs are
 * right, the second is moved aside. Anything else is left as it is, for `verify`.
 */
export async function openAudit(deps: { file: string; key: Buffer; anchor: Anchor; clock: () => number }): Promise<AuditFile> {
  const { file, key, anchor, clock } = deps;
  const mended = await mend(deps);
  const { O_APPEND, O_CREAT, O_RDWR, O_NOFOLLOW } = constants;
  const handle = await open(file, O_APPEND | O_CREAT | O_RDWR | O_NOFOLLOW, 0o600);
  let head = anchor.get() ?? START;
  const listeners = new Set<(record: AuditRecord) => void>();
  let waiting: Waiting[] = [];
  let writing: Promise<void> | undefined;

  /** One write and one flush for all that wait: each sees its own record on the disk. */
  async function writeAll(): Promise<void> {
    while (waiting.length > 0) {
      const batch = waiting;
      waiting = [];
      let next = head;
      const records: AuditRecord[] = [];
      let text = '';
      for (const { entry } of batch) {
        const sealed = seal({ at: new Date(clock()).toISOString(), ...entry }, next, key);
        next = sealed.head;
        text += sealed.line;
        records.push(JSON.parse(sealed.line) as AuditRecord);
      }
      try {
        await handle.appendFile(text);
        await handle.datasync();
        anchor.set(next);
        head = next;
      } catch (error) {
        for (const { failed } of batch) failed(error);
        continue;
      }
      batch.forEach(({ done }, index) => done(records[index] as AuditRecord));
      for (const record of records) for (const call of listeners) call(record);
    }
    writing = undefined;
  }

  return {
    mended,
    append: (entry) =>
      new Promise((done, failed) => {
        waiting.push({ entry, done, failed });
        writing ??= writeAll();
      }),
    async read({ lines, keep }) {
      const found: AuditRecord[] = [];
      for await (const line of linesBackwards(handle)) {
        const record = parse(line);
        if (record !== undefined && keep(record)) found.push(record);
        if (found.length >= lines) break;
      }
      return found.toReversed();
    },
    tail(call) {
      listeners.add(call);
      return () => void listeners.delete(call);
    },
    async verify() {
      await writing;
      return verifyFile(file, key, anchor.get() ?? START);
    },
    async close() {
      await writing;
      await handle.close();
    },
  };
}

/** Reads the whole file, and holds it against the anchored head. */
export async function verifyFile(file: string, key: Buffer, anchored: Head) {
  const result = (records: number, finding: string | null) => ({ intact: finding === null, records, finding });
  const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW).catch(() => undefined);
  if (handle === undefined)
    return anchored.seq === 0 ? result(0, null) : result(0, `the file is missing; it had ${anchored.seq} records`);
  let head = START;
  try {
    for await (const line of handle.readLines({ autoClose: false, start: 0 })) {
      const checked = check(line, head, key);
      if ('wrong' in checked) return result(head.seq, checked.wrong);
      head = checked.head;
      if (head.seq === anchored.seq && head.mac !== anchored.mac) return result(head.seq, `record ${head.seq} is another than was written`);
    }
  } finally {
    await handle.close();
  }
  if (head.seq < anchored.seq) return result(head.seq, `records ${head.seq + 1} to ${anchored.seq} were cut off the end`);
  if (head.seq > anchored.seq) return result(head.seq, `records after ${anchored.seq} were never anchored`);
  return result(head.seq, null);
}

/** After a crash: see `openAudit`. */
async function mend({ file, key, anchor }: { file: string; key: Buffer; anchor: Anchor }): Promise<string[]> {
  const size = await stat(file).then((info) => info.size, () => 0);
  if (size === 0) return [];
  const said: string[] = [];
  const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW);
  let kept = 0;
  let head = anchor.get() ?? START;
  const beyond: string[] = [];
  let torn = '';
  try {
    for await (const line of linesBackwards(handle)) {
      if (kept === 0 && beyond.length === 0 && torn === '' && !line.endsWith('}')) torn = line;
      else if ((parse(line)?.seq ?? 0) > head.seq) beyond.push(line);
      else break;
      kept += 1;
      if (kept > 4096) break;
    }
  } finally {
    await handle.close();
  }
  if (torn !== '') {
    await writeFile(`${file}.torn-${head.seq + 1}`, torn, { mode: 0o600 });
    await truncate(file, size - Buffer.byteLength(torn));
    said.push('a record that was cut by a crash was moved aside from the audit log');
  }
  for (const line of beyond.toReversed()) {
    const checked = check(line, head, key);
    if ('wrong' in checked) return said;
    head = checked.head;
  }
  if (beyond.length > 0) {
    anchor.set(head);
    said.push(`${beyond.length} records of the audit log, written before a crash, were anchored`);
  }
  return said;
}

const PIECE = 64 << 10;

/** Lines from the end to the start, in pieces: the file may be large. A last line without its end comes first. */
async function* linesBackwards(handle: FileHandle): AsyncGenerator<string> {
  let at = (await handle.stat()).size;
  let rest = Buffer.alloc(0);
  let first = true;
  while (at > 0) {
    const from = Math.max(0, at - PIECE);
    const piece = Buffer.alloc(at - from);
    await handle.read(piece, 0, piece.length, from);
    rest = Buffer.concat([piece, rest]);
    at = from;
    for (;;) {
      const end = rest.lastIndexOf(10);
      if (end === -1) break;
      const line = rest.toString('utf8', end + 1);
      rest = rest.subarray(0, end);
      if (line !== '' || !first) yield line;
      first = false;
    }
    if (rest.length > PIECE * 4) throw new Error('the audit log has a line without an end');
  }
  if (rest.length > 0) yield rest.toString('utf8');
}

function parse(line: string): AuditRecord | undefined {
  try {
    return JSON.parse(line) as AuditRecord;
  } catch {
    return undefined;
  }
}

