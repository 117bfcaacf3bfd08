import assert from 'node:assert/strict';
import { createSecretKey } from 'node:crypto';
import { readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { memoryDirectory } from '../../test/builders/memory-directory.ts';
import { aLog, anEntry, rewrite, verdict, writtenLog, type Log } from '../../test/builders/audit-log.ts';
import type { Head } from './audit-chain.ts';
import { verifyFile, type Verified } from './audit-verify.ts';

const directory = memoryDirectory('audit');
after(() => rm(directory, { recursive: true }));
let count = 0;
const fresh = (): Log => aLog(directory, (count += 1));
const written = (records: number): Promise<Log> => writtenLog(fresh(), records);

/** The file as it was found: a start would write to it what it saw. */
async function look(log: Log): Promise<Verified> {
  const size = await stat(log.file).then(
    (info) => info.size,
    () => 0,
  );
  return verifyFile(log.file, size, { key: createSecretKey(log.key), anchored: log.anchor.head as Head });
}

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
    const found = await look(log);
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

test('records of the right key that were never anchored are found', async () => {
  const log = await written(3);
  const early = log.anchor.head;
  const audit = await log.open();
  await audit.append(anEntry());
  await audit.close();
  log.anchor.head = early;
  assert.deepEqual(await look(log), { intact: false, records: 3, finding: 'record 4 was never anchored' });
});

test('any changed byte is found', async () => {
  const log = await written(3);
  const bytes = await readFile(log.file);
  await fc.assert(
    fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] as number) ^ change;
      await writeFile(log.file, changed);
      return !(await look(log)).intact;
    }),
    { numRuns: 100 },
  );
});
