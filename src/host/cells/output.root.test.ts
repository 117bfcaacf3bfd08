import assert from 'node:assert/strict';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { Readable } from 'node:stream';
import { after, before, test } from 'node:test';
import { makeCell, type CellBench } from '../../../test/builders/cell.ts';
import type { Id } from '../../core/ids.ts';
import type { SessionSpec } from '../cells.ts';

let bench: CellBench;
before(async () => {
  bench = makeCell('output', { limits: { memory: 512 << 20, cpus: 2, pids: 200 } });
  await bench.cells.start(bench.spec);
});
after(() => bench.remove());

const session = (script: string, more: Partial<SessionSpec> = {}): SessionSpec => ({
  cell: bench.spec.id,
  id: randomUUID() as Id,
  command: ['sh', '-c', script],
  user: 'agent',
  stdin: false,
  log: 0,
  ...more,
});

test('two hundred quick ends lose nothing, four at a time', { timeout: 60_000 }, async () => {
  const worker = async (): Promise<void> => {
    for (let i = 0; i < 50; i++) {
      const result = await bench.run('echo a; echo b >&2; exit 3');
      assert.deepEqual([result.stdout.toString(), result.stderr.toString(), result.code], ['a\n', 'b\n', 3]);
    }
  };
  await Promise.all([worker(), worker(), worker(), worker()]);
  assert.deepEqual(await bench.cells.sessions(bench.spec.id), []);
});

test('60 MB come out whole and in order', { timeout: 60_000 }, async () => {
  const size = 60_000_000;
  const opened = await bench.cells.open(
    session(
      `head -c ${size} /dev/zero | openssl enc -aes-128-ctr -K 00 -iv 00 2>/dev/null | tee /tmp/sent; sha256sum < /tmp/sent >&2`,
    ),
  );
  const hash = createHash('sha256');
  let bytes = 0;
  let stderr = '';
  opened.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  for await (const chunk of opened.stdout as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    hash.update(chunk);
  }
  assert.equal(await opened.exit, 0);
  assert.equal(bytes, size);
  assert.equal(hash.digest('hex'), stderr.slice(0, 64));
  await opened.end();
});

test('40 MB go in whole, with back-pressure', { timeout: 60_000 }, async () => {
  const block = randomBytes(1 << 20);
  const hash = createHash('sha256');
  const blocks = Array.from({ length: 40 }, () => hash.update(block) && block);
  const result = await bench.cells.run(session('sleep 0.3; sha256sum'), {
    deadline: 30_000,
    output: 1000,
    input: Readable.from(blocks),
  });
  assert.equal(result.stdout.toString().slice(0, 64), hash.digest('hex'));
});

test('a reader that stops makes the command wait, and no other session', { timeout: 30_000 }, async () => {
  const slow = await bench.cells.open(session('head -c 30000000 /dev/zero; echo done >&2'));
  slow.stdout.pause();
  let done = '';
  slow.stderr.on('data', (chunk: Buffer) => (done += chunk.toString()));
  const before = process.memoryUsage().arrayBuffers;
  const began = performance.now();
  for (let i = 0; i < 5; i++) assert.equal((await bench.run('echo other')).stdout.toString(), 'other\n');
  assert.ok(performance.now() - began < 5_000);
  assert.equal(done, '');
  assert.ok(process.memoryUsage().arrayBuffers - before < 8 << 20);
  let bytes = 0;
  slow.stdout.on('data', (chunk: Buffer) => (bytes += chunk.length));
  const ended = once(slow.stdout, 'end');
  slow.stdout.resume();
  await ended;
  assert.deepEqual([bytes, await slow.exit, done], [30_000_000, 0, 'done\n']);
  await slow.end();
});

test('a reader that takes all there is at once, and seldom, gets it to the end', { timeout: 30_000 }, async () => {
  const slow = await bench.cells.open(session('head -c 5000000 /dev/zero'));
  let bytes = 0;
  for await (const chunk of slow.stdout as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    // Time in which the whole window fills up.
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  assert.deepEqual([bytes, await slow.exit], [5_000_000, 0]);
  await slow.end();
});

test(
  'a process in the background does not keep the exit code back, and goes with the session',
  { timeout: 20_000 },
  async () => {
    const spec = session('setsid sleep 1000 & echo started');
    const opened = await bench.cells.open(spec);
    opened.stdout.resume();
    assert.equal(await opened.exit, 0);
    assert.equal(await bench.cells.alive(spec.cell, spec.id), true);
    await opened.end();
    assert.equal(await bench.cells.alive(spec.cell, spec.id), false);
    const left = await bench.cells.processes(spec.cell);
    assert.deepEqual(
      left.map((one) => one.session),
      ['init'],
    );
  },
);

test(
  'a log stays within its size, keeps the newest lines whole, and follows through its replacement',
  { timeout: 30_000 },
  async () => {
    const spec = session(
      'for i in $(seq 20000); do echo "line $i of a log that is longer than what is kept of it"; done',
      { log: 400_000 },
    );
    const stop = new AbortController();
    const seen: string[] = [];
    const following = bench.cells.follow(
      spec.cell,
      spec.id,
      stop.signal,
      (added) => void seen.push(...added.map(({ text }) => text)),
    );
    const opened = await bench.cells.open(spec);
    assert.equal(await opened.exit, 0);
    const lines = (await bench.cells.log(spec.cell, spec.id, 1000)).map(({ text }) => text);
    assert.equal(lines.length, 1000);
    assert.equal(lines.at(-1), 'line 20000 of a log that is longer than what is kept of it');
    const file = bench.places.log(spec.cell, spec.id);
    const kept = [file, `${file}.1`].map((part) => statSync(part, { throwIfNoEntry: false })?.size ?? 0);
    assert.ok((kept[0] ?? 0) + (kept[1] ?? 0) <= 450_000, String(kept));
    await opened.end();
    while (seen.at(-1) !== lines.at(-1)) await new Promise((resolve) => setTimeout(resolve, 20));
    stop.abort();
    await following;
    assert.equal(new Set(seen).size, seen.length);
    assert.equal(seen.at(-1), lines.at(-1));
  },
);

test('a line longer than the supervisor’s buffer comes as one', { timeout: 20_000 }, async () => {
  const spec = session('head -c 30000 /dev/zero | tr "\\0" x; echo; echo "ünïcode ✓"', { log: 1 << 20 });
  const opened = await bench.cells.open(spec);
  assert.equal(await opened.exit, 0);
  await opened.end();
  const lines = await bench.cells.log(spec.cell, spec.id, 10);
  assert.deepEqual(
    lines.map(({ text }) => text),
    ['x'.repeat(30_000), 'ünïcode ✓'],
  );
});

test('a terminal: input is echoed, control-C interrupts, and its end is told', { timeout: 20_000 }, async () => {
  const opened = await bench.cells.open(
    session('trap "echo caught" INT; echo ready; sleep 5; echo after; exit 4', {
      stdin: true,
      terminal: { rows: 24, columns: 80 },
    }),
  );
  let text = '';
  opened.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const ended = once(opened.stdout, 'end');
  while (!text.includes('ready')) await once(opened.stdout, 'data');
  opened.stdin.write('\x03');
  assert.equal(await opened.exit, 4);
  await ended;
  assert.match(text, /\^Ccaught\r\nafter\r\n$/);
  await opened.end();
});
