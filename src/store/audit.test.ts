import assert from 'node:assert/strict';
import { mkdtemp, readFile, readdir, rename, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { BATCH, type Anchor } from './audit-mend.ts';
import { openAudit, type AuditFile } from './audit.ts';
import type { Entry, Head } from './audit-chain.ts';

const directory = await mkdtemp(path.join(os.tmpdir(), 'bulkhead-audit-'));
after(() => rm(directory, { recursive: true }));
let count = 0;

interface Log {
  file: string;
  anchor: Anchor & { head: Head | undefined; fails: boolean };
  key: Buffer;
  open(): Promise<AuditFile>;
  lines(): Promise<string[]>;
}

function aLog(): Log {
  count += 1;
  const file = path.join(directory, `audit-${count}.jsonl`);
  const anchor: Log['anchor'] = {
    head: undefined,
    fails: false,
    get: () => anchor.head,
    set(head) {
      if (anchor.fails) throw new Error('the disk is full');
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

const anEntry = (more: Partial<Entry> = {}): Entry => ({
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

/** A log with `records` records, closed. */
async function written(records: number): Promise<Log> {
  const log = aLog();
  const audit = await log.open();
  for (let number = 1; number <= records; number += 1) await audit.append(anEntry({ target: `shop:${number}` }));
  await audit.close();
  return log;
}

async function verdict(log: Log): Promise<string> {
  const audit = await log.open();
  const { intact, finding } = await audit.verify();
  await audit.close();
  assert.equal(intact, finding === null);
  return finding ?? 'intact';
}

const rewrite = async (log: Log, change: (lines: string[]) => string[]): Promise<void> =>
  writeFile(
    log.file,
    change(await log.lines())
      .map((line) => `${line}\n`)
      .join(''),
  );

test('records are numbered, complete, and readable by their owner alone', async () => {
  const log = await written(3);
  const records = (await log.lines()).map((line) => JSON.parse(line) as { seq: number; target: string; at: string });
  assert.deepEqual(
    records.map(({ seq, target }) => [seq, target]),
    [
      [1, 'shop:1'],
      [2, 'shop:2'],
      [3, 'shop:3'],
    ],
  );
  assert.equal(records[0]?.at, '2027-01-15T08:00:00.000Z');
  assert.equal((await stat(log.file)).mode & 0o777, 0o600);
  assert.equal(log.anchor.head?.seq, 3);
  assert.equal(await verdict(log), 'intact');
});

const TAMPERING: readonly [string, (log: Log) => Promise<unknown>, RegExp][] = [
  [
    'a changed record',
    (log) => rewrite(log, (lines) => lines.map((line, at) => (at === 2 ? line.replace('shop:3', 'shop:4') : line))),
    /record 3 was changed/,
  ],
  [
    'a changed time',
    (log) => rewrite(log, (lines) => lines.map((line) => line.replace('2027', '2026'))),
    /record 1 was changed/,
  ],
  ['a removed record', (log) => rewrite(log, (lines) => lines.toSpliced(2, 1)), /record 3 is missing/],
  ['a removed first record', (log) => rewrite(log, (lines) => lines.slice(1)), /record 1 is missing/],
  [
    'two records in another order',
    (log) => rewrite(log, (lines) => [...lines.slice(0, 1), ...lines.slice(1, 3).toReversed(), ...lines.slice(3)]),
    /record 2 is missing or was moved: number 3/,
  ],
  ['a record cut off the end', (log) => rewrite(log, (lines) => lines.slice(0, -1)), /record 5 was cut off the end/],
  [
    'several cut off the end',
    (log) => rewrite(log, (lines) => lines.slice(0, 2)),
    /records 3 to 5 were cut off the end/,
  ],
  ['an emptied file', (log) => truncate(log.file), /records 1 to 5 were cut off the end/],
  ['a missing file', (log) => rm(log.file), /missing/],
  [
    'a repeated record',
    (log) => rewrite(log, (lines) => lines.toSpliced(2, 0, lines[1] as string)),
    /number 2 stands in its place/,
  ],
  [
    'a line that is no record',
    (log) => rewrite(log, (lines) => lines.toSpliced(2, 0, 'hello')),
    /what follows record 2 is cut or malformed/,
  ],
  [
    'an empty line',
    (log) => rewrite(log, (lines) => lines.toSpliced(2, 0, '')),
    /what follows record 2 is cut or malformed/,
  ],
  ['another key', async (log) => void (log.key = Buffer.alloc(32, 8)), /record 1 was changed, or the key/],
  [
    'a line without an end',
    (log) => rewrite(log, (lines) => [...lines.slice(0, 2), 'x'.repeat(1 << 20), ...lines.slice(2)]),
    /record 2/,
  ],
];

for (const [what, tamper, finding] of TAMPERING)
  test(`verify finds ${what}`, async () => {
    const log = await written(5);
    await tamper(log);
    // The file as it was found: a start writes to it what it saw.
    const { verifyFile } = await import('./audit-verify.ts');
    const size = await stat(log.file).then(
      (info) => info.size,
      () => 0,
    );
    const found = await verifyFile(log.file, size, { key: log.key, anchored: log.anchor.head as Head });
    assert.equal(found.intact, false);
    assert.match(found.finding ?? '', finding);
  });

for (const [what, tamper] of TAMPERING)
  test(`a start goes on with the log after ${what}, and does not make it intact`, async () => {
    const log = await written(5);
    await tamper(log);
    const audit = await log.open();
    await audit.append(anEntry({ target: 'after' }));
    assert.equal((await audit.verify()).intact, false);
    assert.equal((await audit.read({ lines: 1, keep: () => true }))[0]?.target, 'after');
    await audit.close();
    assert.notEqual(await verdict(log), 'intact');
  });

test('any changed byte is found', async () => {
  const log = await written(3);
  const bytes = await readFile(log.file);
  const { verifyFile } = await import('./audit-verify.ts');
  await fc.assert(
    fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] as number) ^ change;
      await writeFile(log.file, changed);
      return !(await verifyFile(log.file, changed.length, { key: log.key, anchored: log.anchor.head as Head })).intact;
    }),
    { numRuns: 300 },
  );
});

test('an addition while the daemon runs is found, and a file that takes its place', async () => {
  const log = aLog();
  const audit = await log.open();
  await audit.append(anEntry());
  await writeFile(log.file, 'more\n', { flag: 'a' });
  assert.match((await audit.verify()).finding ?? '', /what follows record 1/);
  const text = await readFile(log.file);
  await rename(log.file, `${log.file}.old`);
  assert.match((await audit.verify()).finding ?? '', /missing/);
  await writeFile(log.file, text);
  assert.match((await audit.verify()).finding ?? '', /replaced/);
  await audit.close();
});

test('a head that was put back is found', async () => {
  const log = aLog();
  const audit = await log.open();
  await audit.append(anEntry());
  const early = log.anchor.head;
  await audit.append(anEntry());
  log.anchor.head = early;
  assert.match((await audit.verify()).finding ?? '', /head was changed/);
  await audit.close();
});

test('verify is right while others write', async () => {
  const log = aLog();
  const audit = await log.open();
  const writing = Promise.all(Array.from({ length: 200 }, () => audit.append(anEntry())));
  for (let round = 0; round < 5; round += 1) assert.equal((await audit.verify()).finding, null);
  await writing;
  assert.deepEqual(await audit.verify(), { intact: true, records: 200, finding: null });
  await audit.close();
});

test('a crash after the write and before the anchor is mended', async () => {
  const log = await written(3);
  const before = log.anchor.head;
  const audit = await log.open();
  await Promise.all([audit.append(anEntry()), audit.append(anEntry())]);
  await audit.close();
  log.anchor.head = before;
  const again = await log.open();
  assert.match(again.mended.join(), /2 records .* were anchored/);
  assert.equal((await again.verify()).finding, null);
  assert.equal((await again.read({ lines: 1, keep: () => true }))[0]?.operation, 'audit.mend');
  await again.close();
});

test('more than one batch that was never anchored is no crash', async () => {
  const log = await written(1);
  const before = log.anchor.head;
  const audit = await log.open();
  await Promise.all(Array.from({ length: BATCH + 1 }, () => audit.append(anEntry())));
  await audit.close();
  log.anchor.head = before;
  assert.match(await verdict(log), /record 2|number 2|never anchored/);
});

test('a line cut at any byte by a crash is moved aside, and the log is intact', async () => {
  const log = await written(2);
  const whole = await readFile(log.file);
  const anchored = log.anchor.head;
  const audit = await log.open();
  await audit.append(anEntry());
  await audit.close();
  const more = await readFile(log.file);
  for (const cut of [whole.length + 1, whole.length + 40, more.length - 70, more.length - 1]) {
    log.anchor.head = anchored;
    await writeFile(log.file, more.subarray(0, cut));
    assert.equal(await verdict(log), 'intact', String(cut));
  }
  const aside = (await readdir(directory)).filter((name) => name.startsWith(`${path.basename(log.file)}.torn-3`));
  assert.equal(aside.length, 4);
  assert.equal((await readFile(`${log.file}.torn-3`)).length, 1);
});

test('a failed write leaves nothing of it, and the next record follows the last good one', async () => {
  const log = aLog();
  const audit = await log.open();
  await audit.append(anEntry());
  log.anchor.fails = true;
  await assert.rejects(audit.append(anEntry({ target: 'lost' })), /full/);
  log.anchor.fails = false;
  await audit.append(anEntry({ target: 'next' }));
  assert.deepEqual(await audit.verify(), { intact: true, records: 2, finding: null });
  await audit.close();
  assert.ok(!(await readFile(log.file, 'utf8')).includes('lost'));
});

test('what is no JSON fails alone', async () => {
  const log = aLog();
  const audit = await log.open();
  const circular: { self?: unknown } = {};
  circular.self = circular;
  const results = await Promise.allSettled([
    audit.append(anEntry()),
    audit.append(anEntry({ arguments: circular })),
    audit.append(anEntry()),
  ]);
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  assert.equal((await audit.verify()).finding, null);
  await audit.close();
});

test('separators of lines, quotes and other letters in what an agent says break nothing', async () => {
  const log = aLog();
  const audit = await log.open();
  const said = fc.string({ unit: 'binary', maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(said, said, async (target, word) => {
      const record = await audit.append(
        anEntry({ target, arguments: { command: [word, '\u2028\u2029\r\n"},"mac":"'] } }),
      );
      assert.equal((await audit.read({ lines: 1, keep: () => true }))[0]?.mac, record.mac);
    }),
    { numRuns: 60 },
  );
  assert.equal((await audit.verify()).finding, null);
  await audit.close();
});

test('long arguments are cut, and so is everything else, to the length of a line', async () => {
  const log = aLog();
  const audit = await log.open();
  const long = '\u{1f6a2}"'.repeat(100_000);
  await audit.append(anEntry({ arguments: { command: [long] } }));
  await audit.append(
    anEntry({
      target: long,
      outcome: long,
      caller: { kind: 'cell', uid: 1, pid: 1, name: long, evidence: Array.from({ length: 50 }, () => long) },
    }),
  );
  for (const line of await log.lines()) assert.ok(Buffer.byteLength(line) < 64 << 10, String(line.length));
  assert.match((await log.lines())[0] ?? '', /cut: \d+ characters/);
  assert.equal((await audit.verify()).finding, null);
  await audit.close();
});

test('read gives the newest that are wanted, oldest first', async () => {
  const log = await written(300);
  const audit = await log.open();
  const even = await audit.read({ lines: 3, keep: ({ seq }) => seq % 2 === 0 });
  assert.deepEqual(
    even.map(({ seq }) => seq),
    [296, 298, 300],
  );
  assert.equal((await audit.read({ lines: 1000, keep: () => true })).length, 300);
  assert.equal((await audit.read({ lines: 0, keep: () => true })).length, 0);
  await audit.close();
});

test('tail hears each record once, until it ends; one that throws harms nobody', async () => {
  const log = aLog();
  const audit = await log.open();
  const heard: number[] = [];
  audit.tail(() => assert.fail('a listener that throws'));
  const end = audit.tail(({ seq }) => void heard.push(seq));
  await Promise.all([audit.append(anEntry()), audit.append(anEntry())]);
  end();
  await audit.append(anEntry());
  assert.deepEqual(heard, [1, 2]);
  await audit.close();
});

test('a link in the place of the log is not followed', async () => {
  const log = aLog();
  await symlink('/dev/null', log.file);
  await assert.rejects(log.open(), { code: 'ELOOP' });
});

test('many at once share their flushes', async () => {
  const log = aLog();
  let flushes = 0;
  const { set } = log.anchor;
  log.anchor.set = (head) => {
    flushes += 1;
    set(head);
  };
  const audit = await log.open();
  await Promise.all(Array.from({ length: 100 }, () => audit.append(anEntry())));
  assert.ok(flushes <= 3, String(flushes));
  await audit.close();
});
