import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { openAudit, type AuditFile } from '../../src/store/audit.ts';
import type { Entry, Head } from '../../src/store/audit-chain.ts';
import type { Anchor } from '../../src/store/audit-mend.ts';

/** An audit log in a directory of a test, with its anchor in memory. */
export interface Log {
  file: string;
  anchor: Anchor & { head: Head | undefined; fails: boolean; flushes: number };
  key: Buffer;
  open(): Promise<AuditFile>;
  /** As they stand in the file. */
  lines(): Promise<string[]>;
}

/** A log of its own for each number. */
export function aLog(directory: string, number: number): Log {
  const file = path.join(directory, `audit-${number}.jsonl`);
  const anchor: Log['anchor'] = {
    head: undefined,
    fails: false,
    flushes: 0,
    get: () => anchor.head,
    set(head) {
      if (anchor.fails) throw new Error('the disk is full');
      anchor.flushes += 1;
      anchor.head = head;
    },
  };
  const log: Log = {
    file,
    anchor,
    key: Buffer.alloc(32, 7),
    open: () => openAudit({ file, key: log.key, anchor, clock: () => 1_800_000_000_000 }),
    lines: async () => (await readFile(file, 'utf8')).split('\n').slice(0, -1),
  };
  return log;
}

/** An entry with defaults. */
export const anEntry = (more: Partial<Entry> = {}): Entry => ({
  request: '0d3c7a52-6f1e-4f57-9d8e-0a5b8f6f2c11',
  phase: 'intent',
  operation: 'fork.create',
  target: 'shop:fix',
  caller: { kind: 'unproven', uid: 1000, pid: 42, name: 'claude-code', evidence: ['CLAUDECODE=1 in process 41873'] },
  outcome: 'allowed',
  code: null,
  arguments: { ref: 'shop:fix' },
  ...more,
});

/** A log with so many records, closed; their targets are numbered. */
export async function writtenLog(log: Log, records: number): Promise<Log> {
  const audit = await log.open();
  await Promise.all(Array.from({ length: records }, (_, at) => audit.append(anEntry({ target: `shop:${at + 1}` }))));
  await audit.close();
  return log;
}

/** Opens the log as a start does; `intact`, or what verify finds. */
export async function verdict(log: Log): Promise<string> {
  const audit = await log.open();
  const { intact, finding } = await audit.verify();
  await audit.close();
  if (intact !== (finding === null)) throw new Error('a log is intact exactly where nothing was found');
  return finding ?? 'intact';
}

/** Writes the lines of the log anew. */
export const rewrite = async (log: Log, change: (lines: string[]) => string[]): Promise<void> =>
  writeFile(
    log.file,
    change(await log.lines())
      .map((line) => `${line}\n`)
      .join(''),
  );
