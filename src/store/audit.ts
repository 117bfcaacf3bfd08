import { createSecretKey, randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import type { AuditRecord } from '../contract/authority.ts';
import { LINE_LIMIT, parseRecord, seal, START, type Entry, type Head } from './audit-chain.ts';
import { linesBackwards } from './audit-lines.ts';
import { BATCH, mend, type Anchor } from './audit-mend.ts';
import { verifyFile, type Verified } from './audit-verify.ts';

/** Append-only, hash-chained, keyed. A record is on the disk, and its head anchored, when `append` returns. */
export interface AuditFile {
  append(entry: Entry): Promise<AuditRecord>;
  /** The newest that `keep` takes, oldest first, out of the last 16 MiB. */
  read(options: { lines: number; keep: (record: AuditRecord) => boolean }): Promise<AuditRecord[]>;
  /** Calls back for each record from now on; returns its end. */
  tail(call: (record: AuditRecord) => void): () => void;
  verify(): Promise<Verified>;
  /** What was mended at the start, in sentences. */
  mended: readonly string[];
  close(): Promise<void>;
}

export interface AuditDeps {
  file: string;
  key: Buffer;
  anchor: Anchor;
  /** Milliseconds since 1970. */
  clock: () => number;
  newId?: () => string;
}

/** Bytes that `read` looks through at the most. */
const LOOK_BACK = 16 << 20;

interface Waiting {
  entry: Entry;
  done: (record: AuditRecord) => void;
  failed: (error: unknown) => void;
}

/** Opens the log, and mends what a crash left of it. */
export async function openAudit(deps: AuditDeps): Promise<AuditFile> {
  const { file, anchor, clock, newId = randomUUID } = deps;
  const key = createSecretKey(deps.key);
  const mended = await mend({ file, key, anchor });
  const handle = await openFile(file);
  const inTurn = createTurns();
  const listeners = new Set<(record: AuditRecord) => void>();
  const waiting: Waiting[] = [];
  let head = anchor.get() ?? START;
  let { size } = await handle.stat();
  let dirty = false;

  /** What stands after `size` is of a batch that failed: its callers were told so. */
  async function dropFailed(): Promise<void> {
    if (dirty) await handle.truncate(size);
    dirty = false;
  }

  async function write(lines: readonly Buffer[], next: Head): Promise<void> {
    await dropFailed();
    const text = Buffer.concat(lines);
    dirty = true;
    await handle.appendFile(text);
    await handle.datasync();
    anchor.set(next);
    dirty = false;
    head = next;
    size += text.length;
  }

  /** One write and one flush for all that wait: each sees its own record on the disk. */
  async function writeBatch(): Promise<void> {
    const batch = waiting.splice(0, BATCH);
    if (batch.length === 0) return;
    const lines: Buffer[] = [];
    let next = head;
    for (const { entry } of batch) {
      const sealed = seal(entry, new Date(clock()).toISOString(), { head: next, key });
      next = sealed.head;
      lines.push(sealed.line);
    }
    try {
      await write(lines, next);
    } catch (error) {
      await dropFailed().catch(() => {});
      for (const { failed } of batch) failed(error);
      return;
    }
    const records = lines.map((line) => JSON.parse(line.toString('utf8')) as AuditRecord);
    batch.forEach(({ done }, index) => done(records[index] as AuditRecord));
    for (const record of records) tell(listeners, record);
  }

  const append = (entry: Entry): Promise<AuditRecord> =>
    new Promise((done, failed) => {
      // A copy, as it is now. What is no JSON is the caller's error, and no other record's.
      waiting.push({ entry: JSON.parse(JSON.stringify(entry)) as Entry, done, failed });
      // Each of those that wait asks for a turn; the first turn writes for many, theirs find nothing left.
      void inTurn(writeBatch);
    });

  for (const sentence of mended) await append(mendEntry(sentence, newId()));
  return {
    mended,
    append,
    read: (options) => readNewest(handle, size, options),
    tail(call) {
      listeners.add(call);
      return () => void listeners.delete(call);
    },
    async verify() {
      // Between two batches, so that what is being written is not taken for an addition.
      const now = await inTurn(async () => ({
        head,
        anchored: anchor.get() ?? START,
        place: await place(file),
        own: await handle.stat(),
      }));
      if (now.anchored.mac !== now.head.mac)
        return {
          intact: false,
          records: 0,
          finding: `the head was changed: it names record ${now.anchored.seq}, and ${now.head.seq} was written last`,
        };
      if (now.place !== undefined && now.place.ino !== now.own.ino)
        return { intact: false, records: 0, finding: 'the file was replaced by another one' };
      return verifyFile(file, now.place?.size ?? 0, { key, anchored: now.anchored });
    },
    close: () => inTurn(() => handle.close()),
  };
}

async function openFile(file: string): Promise<FileHandle> {
  const { O_APPEND, O_CREAT, O_RDWR, O_NOFOLLOW, O_RDONLY, O_DIRECTORY } = constants;
  const handle = await open(file, O_APPEND | O_CREAT | O_RDWR | O_NOFOLLOW, 0o600);
  // A new file's name is on the disk only after its directory is.
  const directory = await open(path.dirname(file), O_RDONLY | O_DIRECTORY);
  await directory.sync();
  await directory.close();
  return handle;
}

async function readNewest(
  handle: FileHandle,
  size: number,
  { lines, keep }: { lines: number; keep: (record: AuditRecord) => boolean },
): Promise<AuditRecord[]> {
  const found: AuditRecord[] = [];
  if (lines <= 0) return found;
  for await (const { bytes } of linesBackwards(handle, size, { limit: LINE_LIMIT, most: LOOK_BACK })) {
    const record = parseRecord(bytes);
    if (record !== undefined && keep(record)) found.push(record);
    if (found.length >= lines) break;
  }
  return found.toReversed();
}

/** A listener that throws hears no more: the log does not stop for it. */
function tell(listeners: Set<(record: AuditRecord) => void>, record: AuditRecord): void {
  for (const call of listeners)
    try {
      call(record);
    } catch {
      listeners.delete(call);
    }
}

const place = (file: string): Promise<{ ino: number; size: number } | undefined> => stat(file).catch(() => undefined);

const mendEntry = (outcome: string, request: string): Entry => ({
  request,
  phase: 'event',
  operation: 'audit.mend',
  target: null,
  caller: { kind: 'service', uid: null, pid: null, name: 'audit', evidence: [] },
  outcome,
  code: null,
  arguments: null,
});

/** Runs one after the other. */
function createTurns(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const turn = last.then(work);
    last = turn.catch(() => {});
    return turn;
  };
}
