import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { aLog, anEntry, verdict, writtenLog, type Log } from '../../test/builders/audit-log.ts';
import { BATCH } from './audit-mend.ts';
import { openStore } from './store.ts';

const directory = await mkdtemp(path.join(os.tmpdir(), 'bulkhead-audit-'));
after(() => rm(directory, { recursive: true }));
let count = 0;
const fresh = (): Log => aLog(directory, (count += 1));
const written = (records: number): Promise<Log> => writtenLog(fresh(), records);

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
  const log = fresh();
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

/** Appends as fast as it can, and says the number of each record that it was told is on the disk. */
const WRITER = `
  const { openStore } = await import(process.argv[1]);
  const state = process.argv[2];
  const store = await openStore({ state, database: state + '/state.db', audit: state + '/audit.jsonl' }, { clock: Date.now });
  const caller = { kind: 'service', uid: null, pid: null, name: 'test', evidence: [] };
  const entry = { request: '-', phase: 'event', operation: 'test', target: null, caller, outcome: 'x'.repeat(3000), code: null, arguments: null };
  const write = async () => { for (;;) process.stdout.write((await store.auditFile.append(entry)).seq + '\\n'); };
  for (let writer = 0; writer < 8; writer += 1) void write();
`;

test('a daemon that is killed while it writes loses no record that it had promised', async () => {
  const paths = {
    state: directory,
    database: path.join(directory, 'state.db'),
    audit: path.join(directory, 'audit.jsonl'),
  };
  let promised = 0;
  for (const wait of [0, 7, 19, 31]) {
    const child = spawn(
      process.execPath,
      ['--input-type=module', '-e', WRITER, path.join(import.meta.dirname, 'store.ts'), directory],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString('utf8')));
    const ended = new Promise((resolve) => child.once('close', resolve));
    while (said === '') await delay(2);
    await delay(wait);
    child.kill('SIGKILL');
    await ended;
    promised = Math.max(promised, ...said.split('\n').slice(0, -1).map(Number));
    const store = await openStore(paths, { clock: () => 0 });
    const { finding, records } = await store.auditFile.verify();
    await store.close();
    assert.equal(finding, null);
    assert.ok(records >= promised, `${records} of ${promised}`);
  }
});
