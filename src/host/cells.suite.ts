import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { after, before, test } from 'node:test';
import { AppError } from '../contract/errors.ts';
import type { Id } from '../core/ids.ts';
import type { Cells, CellSpec, LogLine, Session, SessionSpec } from './cells.ts';
import { COMMANDS } from './cells-commands.suite.ts';

/** What the suite runs on. */
export interface CellsBench {
  cells: Cells;
  /** A cell that can be started. */
  spec: CellSpec;
  remove: () => Promise<void>;
}

const text = async (stream: Readable): Promise<string> => {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk as Uint8Array));
  return Buffer.concat(chunks).toString('utf8');
};

const hasCode = (code: string) => (error: unknown) => error instanceof AppError && error.code === code;

/** What every implementation of the port keeps. */
export function cellsSuite(name: string, setUp: () => Promise<CellsBench>): void {
  let bench: CellsBench;
  before(async () => {
    bench = await setUp();
    await bench.cells.start(bench.spec);
  });
  after(async () => {
    await bench.cells.stop(bench.spec.id);
    await bench.remove();
  });
  const session = (command: string, more: Partial<SessionSpec> = {}): SessionSpec => ({
    cell: bench.spec.id,
    id: randomUUID() as Id,
    command: ['sh', '-c', COMMANDS[command]?.shell ?? ''],
    user: 'agent',
    stdin: false,
    log: 0,
    ...more,
  });
  const within = (ms: number, condition: () => Promise<boolean>): Promise<void> =>
    new Promise((resolve, reject) => {
      const until = Date.now() + ms;
      const look = async (): Promise<void> => {
        if (await condition()) resolve();
        else if (Date.now() > until) reject(new Error('it did not come to be'));
        else setTimeout(() => void look().catch(reject), 10);
      };
      void look().catch(reject);
    });

  test(`${name}: a cell that runs is listed, and starting it again changes nothing`, async () => {
    const [first] = await bench.cells.list();
    assert.equal(first?.id, bench.spec.id);
    assert.equal(first.idBase, bench.spec.idBase);
    await bench.cells.start(bench.spec);
    assert.deepEqual(await bench.cells.list(), [first]);
  });

  test(`${name}: stdout and stderr come apart, and the exit code`, async () => {
    const opened = await bench.cells.open(session('three'));
    const [out, err, code] = await Promise.all([text(opened.stdout), text(opened.stderr), opened.exit]);
    assert.deepEqual([out, err, code], ['out\n', 'err\n', 3]);
    await opened.end();
    assert.deepEqual(await bench.cells.sessions(bench.spec.id), []);
  });

  test(`${name}: input goes in, and its end`, async () => {
    const opened = await bench.cells.open(session('copy', { stdin: true }));
    opened.stdin.write('hello ');
    opened.stdin.end('there\n');
    assert.equal(await text(opened.stdout), 'hello there\nend\n');
    assert.equal(await opened.exit, 0);
    await opened.end();
  });

  test(`${name}: a signal reaches the command`, async () => {
    const opened = await bench.cells.open(session('trap'));
    const out = text(opened.stdout);
    await new Promise((resolve) => setTimeout(resolve, 150));
    await opened.signal('SIGINT');
    assert.equal(await opened.exit, 7);
    assert.equal(await out, 'ready\ngot\n');
    await assert.rejects(opened.signal('SIGNONE'), hasCode('usage'));
    await opened.end();
  });

  test(`${name}: a session that is ended is gone, and its end is told once`, async () => {
    const spec = session('stay');
    const opened = await bench.cells.open(spec);
    opened.stdout.resume();
    assert.equal(await bench.cells.alive(spec.cell, spec.id), true);
    await assert.rejects(bench.cells.open(spec), hasCode('exists'));
    let told = 0;
    bench.cells.whenEmpty(spec.cell, spec.id, () => told++);
    const processes = await bench.cells.processes(spec.cell);
    assert.deepEqual([...new Set(processes.map((one) => one.session))], ['init', spec.id]);
    await opened.end();
    assert.equal(await opened.exit, 137);
    await within(1000, async () => told === 1);
    assert.equal(await bench.cells.alive(spec.cell, spec.id), false);
    assert.equal(await bench.cells.find(spec.cell, spec.id), undefined);
    await opened.end();
  });

  test(`${name}: of two that open the same session at once, one does; after its end it can be opened again`, async () => {
    const spec = session('three');
    const both = await Promise.allSettled([bench.cells.open(spec), bench.cells.open(spec)]);
    assert.deepEqual(
      both.map(({ status }) => status),
      ['fulfilled', 'rejected'],
    );
    const first = await bench.cells.find(spec.cell, spec.id);
    first?.stdout.resume();
    first?.stderr.resume();
    assert.equal(await first?.exit, 3);
    await within(1000, async () => !(await bench.cells.alive(spec.cell, spec.id)));
    const second = await bench.cells.open(spec);
    assert.equal(await text(second.stdout), 'out\n');
    first?.detach();
    assert.equal(await bench.cells.find(spec.cell, spec.id), second);
    await second.end();
  });

  test(`${name}: without a session, "empty" is told at once`, async () => {
    await new Promise<void>((resolve) => void bench.cells.whenEmpty(bench.spec.id, randomUUID() as Id, resolve));
  });

  test(`${name}: all processes of a session are signalled`, async () => {
    const spec = session('stay', { log: 1000 });
    const opened = await bench.cells.open(spec);
    await bench.cells.signalAll(spec.cell, spec.id, 'SIGTERM');
    assert.equal(await opened.exit, 143);
    await opened.end();
  });

  test(`${name}: a session is found again after it was let go, and goes on`, async () => {
    const spec = session('copy', { stdin: true });
    const opened = await bench.cells.open(spec);
    await new Promise((resolve) => setTimeout(resolve, 600));
    opened.detach();
    const found = (await bench.cells.find(spec.cell, spec.id)) as Session;
    assert.notEqual(found, undefined);
    found.stdin.end('late\n');
    assert.equal(await text(found.stdout), 'late\nend\n');
    assert.equal(await found.exit, 0);
    await found.end();
  });

  test(`${name}: a helper's output and time are bounded`, async () => {
    const { cells } = bench;
    const whole = await cells.run(session('copy'), { deadline: 5000, output: 100, input: Buffer.from('in\n') });
    assert.deepEqual([whole.code, whole.stdout.toString(), whole.cut], [0, 'in\nend\n', undefined]);
    const long = await cells.run(session('flood'), { deadline: 5000, output: 1000 });
    assert.deepEqual([long.stdout.length, long.cut], [1000, 'output']);
    const slow = await cells.run(session('stay'), { deadline: 200, output: 1000 });
    assert.deepEqual([slow.code, slow.cut], [137, 'deadline']);
    assert.deepEqual(await cells.sessions(bench.spec.id), []);
  });

  test(`${name}: a command that is not there ends with 127 and a word`, async () => {
    const result = await bench.cells.run(
      { ...session('stay'), command: ['no-such-command'] },
      { deadline: 5000, output: 1000 },
    );
    assert.equal(result.code, 127);
    assert.match(result.stderr.toString(), /no-such-command/);
  });

  test(`${name}: variables of the cell and of the session`, async () => {
    const result = await bench.cells.run(session('variables', { environment: { EXTRA: 'x y' } }), {
      deadline: 5000,
      output: 1000,
    });
    assert.equal(result.stdout.toString(), `${bench.spec.environment['BULKHEAD_REF']} x y\n`);
  });

  test(`${name}: a log is kept, and followed, after its session as well`, async () => {
    const spec = session('lines', { log: 1 << 20 });
    const seen: LogLine[] = [];
    const stop = new AbortController();
    const following = bench.cells.follow(spec.cell, spec.id, stop.signal, (added) => void seen.push(...added));
    const opened = await bench.cells.open(spec);
    assert.equal(await text(opened.stdout), '');
    assert.equal(await opened.exit, 0);
    await opened.end();
    const lines = await bench.cells.log(spec.cell, spec.id, 100);
    const out = lines.filter((line) => line.stream === 'stdout').map((line) => line.text);
    assert.deepEqual(out, ['line 1', 'line 2', 'line 3', 'line 4', 'line 5']);
    assert.deepEqual(
      lines.filter((line) => line.stream === 'stderr').map((line) => line.text),
      ['oops'],
    );
    assert.equal((await bench.cells.log(spec.cell, spec.id, 2)).length, 2);
    await within(2000, async () => seen.length === 6);
    stop.abort();
    await following;
    assert.deepEqual(seen, lines);
    await bench.cells.forget(spec.cell);
    assert.deepEqual(await bench.cells.log(spec.cell, spec.id, 100), []);
  });

  test(`${name}: a terminal has its size, and a new one`, async () => {
    const opened = await bench.cells.open(session('size', { stdin: true, terminal: { rows: 33, columns: 77 } }));
    const [first]: unknown[] = await once(opened.stdout, 'data');
    assert.match(String(first), /33 77/);
    opened.resize(40, 100);
    await new Promise((resolve) => setTimeout(resolve, 100));
    opened.stdin.write('go\n');
    assert.match(await text(opened.stdout), /40 100/);
    assert.equal(await opened.exit, 0);
    await opened.end();
  });

  test(`${name}: a cell is frozen and thawed`, async () => {
    const { cells, spec } = bench;
    await cells.freeze(spec.id);
    await within(2000, async () => (await cells.list())[0]?.frozen === true);
    await cells.thaw(spec.id);
    await within(2000, async () => (await cells.list())[0]?.frozen === false);
  });

  test(`${name}: stopping ends all, twice is once, and nothing can be opened`, async () => {
    const { cells, spec } = bench;
    const opened = await cells.open(session('stay'));
    await cells.stop(spec.id);
    assert.equal(await opened.exit, 137);
    assert.deepEqual(await cells.list(), []);
    await cells.stop(spec.id);
    await assert.rejects(cells.open(session('three')), hasCode('wrong-state'));
    await cells.start(spec);
    assert.equal((await cells.list()).length, 1);
  });
}
