import assert from 'node:assert/strict';
import { readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { memoryDirectory } from '../../test/builders/memory-directory.ts';
import { aLog, anEntry, verdict, writtenLog, type Log } from '../../test/builders/audit-log.ts';

const directory = memoryDirectory('audit');
after(() => rm(directory, { recursive: true }));
let count = 0;
const fresh = (): Log => aLog(directory, (count += 1));
const written = (records: number): Promise<Log> => writtenLog(fresh(), records);

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

test('an addition while the daemon runs is found, and a file that takes its place', async () => {
  const log = fresh();
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
  const log = fresh();
  const audit = await log.open();
  await audit.append(anEntry());
  const early = log.anchor.head;
  await audit.append(anEntry());
  log.anchor.head = early;
  assert.match((await audit.verify()).finding ?? '', /head was changed/);
  await audit.close();
});

test('verify is right while others write', async () => {
  const log = fresh();
  const audit = await log.open();
  const writing = Promise.all(Array.from({ length: 200 }, () => audit.append(anEntry())));
  for (let round = 0; round < 5; round += 1) assert.equal((await audit.verify()).finding, null);
  await writing;
  assert.deepEqual(await audit.verify(), { intact: true, records: 200, finding: null });
  await audit.close();
});

test('what is no JSON fails alone', async () => {
  const log = fresh();
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
  const log = fresh();
  const audit = await log.open();
  const said = fc.string({ unit: 'binary', maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(said, said, async (target, word) => {
      const record = await audit.append(
        anEntry({ target, arguments: { command: [word, '\u2028\u2029\r\n"},"mac":"'] } }),
      );
      assert.equal((await audit.read({ lines: 1, keep: () => true }))[0]?.mac, record.mac);
    }),
    { numRuns: 25 },
  );
  assert.equal((await audit.verify()).finding, null);
  await audit.close();
});

test('long arguments are cut, and so is everything else, to the length of a line', async () => {
  const log = fresh();
  const audit = await log.open();
  const long = '\u{1f6a2}"'.repeat(20_000);
  await audit.append(anEntry({ arguments: { command: [long] } }));
  await audit.append(
    anEntry({
      target: long,
      outcome: long,
      caller: { kind: 'cell', uid: 1, pid: 1, name: long, evidence: Array.from({ length: 20 }, () => long) },
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
  const log = fresh();
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
  const log = fresh();
  await symlink('/dev/null', log.file);
  await assert.rejects(log.open(), { code: 'ELOOP' });
});

test('many at once share their flushes', async () => {
  const log = fresh();
  const audit = await log.open();
  await Promise.all(Array.from({ length: 100 }, () => audit.append(anEntry())));
  assert.ok(log.anchor.flushes <= 3, String(log.anchor.flushes));
  await audit.close();
});
