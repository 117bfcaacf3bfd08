import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { makeCell } from '../../../test/builders/cell.ts';
import { AppError } from '../../contract/errors.ts';
import type { Id } from '../../core/ids.ts';
import type { CellSpec } from '../cells.ts';
import { createCgroups } from './cgroups.ts';
import { placesOf } from './places.ts';

const PROCESS = fileURLToPath(new URL('../../../test/builders/cell-process.ts', import.meta.url));
const INSTANCE = 'crash';

const id = randomUUID() as Id;
const bench = makeCell(INSTANCE, { id, idBase: 0x7ff0_0000 });
after(() => bench.remove());

const startProcess = (...args: string[]): ChildProcess =>
  spawn(process.execPath, [PROCESS, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });

/** Everything that the instance has on the machine. */
function traces(): string[] {
  const { paths } = bench;
  const places = placesOf(paths);
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(paths.run));
  const groups = createCgroups().exists(paths.cgroup) ? [paths.cgroup] : [];
  const processes = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    // What has ended and waits for the machine's first process to take note is gone.
    .filter((pid) => !/^State:\s+Z/m.test(readOf(pid, 'status')))
    .filter((pid) => commandOf(pid).includes(id) || groupOf(pid).includes(paths.cgroup));
  const files = existsSync(places.root) ? readdirSync(places.root) : [];
  return [...mounts, ...groups, ...processes.map((pid) => `${pid} ${commandOf(pid)}`), ...files];
}

const readOf = (pid: string, file: string): string => {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
};
const commandOf = (pid: string): string => readOf(pid, 'cmdline').replaceAll('\0', ' ');
const groupOf = (pid: string): string => readOf(pid, 'cgroup');

/**
 * Nothing is left, soon: a namespace's first process stays until the machine's has
 * taken note of orphans in it, which some take seconds for.
 */
async function nothingLeft(message?: string): Promise<void> {
  for (let tries = 0; tries < 150 && traces().length > 0; tries++)
    await new Promise((resolve) => setTimeout(resolve, 100));
  assert.deepEqual(traces(), [], message);
}

/** Kills what starts the cell, `ms` after it began to. */
async function killDuringStart(ms: number): Promise<void> {
  const child = startProcess('start', INSTANCE, id);
  await once(child.stdout as NonNullable<ChildProcess['stdout']>, 'data');
  await new Promise((resolve) => setTimeout(resolve, ms));
  child.kill('SIGKILL');
  await once(child, 'exit');
}

test(
  'a start that is killed at any moment leaves nothing that stop does not take away',
  { timeout: 60_000 },
  async () => {
    await nothingLeft();
    for (const ms of [0, 5, 10, 20, 30, 40, 60, 80, 120]) {
      await killDuringStart(ms);
      await bench.cells.stop(id);
      await nothingLeft(`killed after ${ms} ms`);
    }
  },
);

test('a start that was killed is started again', { timeout: 60_000 }, async () => {
  for (const ms of [3, 15, 35, 70]) {
    await killDuringStart(ms);
    await bench.cells.start(bench.spec);
    assert.equal((await bench.run('echo works')).stdout.toString(), 'works\n', `killed after ${ms} ms`);
    assert.equal((await bench.cells.list()).length, 1);
  }
  await bench.cells.stop(id);
  await nothingLeft();
});

test('a session outlives its daemon: input, output, exit code', { timeout: 30_000 }, async () => {
  const session = randomUUID() as Id;
  const child = startProcess('session', INSTANCE, id, session);
  await once(child.stdout as NonNullable<ChildProcess['stdout']>, 'data');
  // A session gets its holder after a quarter of a second.
  await new Promise((resolve) => setTimeout(resolve, 600));
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.deepEqual(await bench.cells.sessions(id), [session]);
  const found = await bench.cells.find(id, session);
  assert.ok(found !== undefined);
  const chunks: string[] = [];
  found.stdout.on('data', (chunk: Buffer) => chunks.push(chunk.toString()));
  const ended = once(found.stdout, 'end');
  found.stdin.end('second\n');
  assert.equal(await found.exit, 5);
  await ended;
  assert.equal(chunks.join(''), 'got second\nend\n');
  await found.end();
  assert.deepEqual(await bench.cells.sessions(id), []);
});

test('the exit code of a session is found after it has ended without a daemon', { timeout: 30_000 }, async () => {
  const session = randomUUID() as Id;
  const child = startProcess('session', INSTANCE, id, session);
  await once(child.stdout as NonNullable<ChildProcess['stdout']>, 'data');
  await new Promise((resolve) => setTimeout(resolve, 600));
  child.kill('SIGKILL');
  await once(child, 'exit');
  await bench.cells.signalAll(id, session, 'SIGTERM');
  await new Promise<void>((resolve) => void bench.cells.whenEmpty(id, session, resolve));
  const found = await bench.cells.find(id, session);
  assert.equal(await found?.exit, 143);
  await found?.end();
});

test(
  'a supervisor that is killed ends its session with a code, and the next one can be opened',
  { timeout: 30_000 },
  async () => {
    const spec = {
      cell: id,
      id: randomUUID() as Id,
      command: ['sleep', '1000'],
      user: 'agent',
      stdin: false,
      log: 0,
    } as const;
    const opened = await bench.cells.open(spec);
    opened.stdout.resume();
    process.kill(Number(readFileSync(`${bench.places.session(id, spec.id)}/supervisor`, 'utf8')), 'SIGKILL');
    assert.equal(await opened.exit, 137);
    await opened.end();
    assert.equal((await bench.run('echo on')).stdout.toString(), 'on\n');
  },
);

test('a cell whose first process was killed counts as down, and is started again', { timeout: 30_000 }, async () => {
  const [cell] = await bench.cells.list();
  process.kill(cell?.pid ?? assert.fail('no cell'), 'SIGKILL');
  await new Promise<void>((resolve) => setTimeout(resolve, 100));
  assert.deepEqual(await bench.cells.list(), []);
  await bench.cells.start(bench.spec);
  assert.equal((await bench.run('echo again')).stdout.toString(), 'again\n');
  await bench.cells.stop(id);
  await nothingLeft();
});

test('cells that start and stop at the same time do not take away what they share', { timeout: 60_000 }, async () => {
  const specs = [0, 1, 2].map((at) => ({
    ...bench.spec,
    id: randomUUID() as Id,
    idBase: bench.spec.idBase + (at + 1) * 0x10000,
  }));
  const cycle = async (spec: CellSpec): Promise<void> => {
    for (let round = 0; round < 4; round++) {
      await bench.cells.start(spec);
      const command = {
        cell: spec.id,
        id: randomUUID() as Id,
        command: ['echo', 'here'],
        user: 'agent',
        stdin: false,
        log: 0,
      } as const;
      const result = await bench.cells.run(command, { deadline: 10_000, output: 100 });
      assert.equal(result.stdout.toString(), 'here\n');
      await bench.cells.stop(spec.id);
    }
  };
  await Promise.all(specs.map(cycle));
  await nothingLeft();
});

test(
  'a session that is opened while its cell stops fails clearly, and leaves nothing',
  { timeout: 60_000 },
  async () => {
    for (const ms of [0, 3, 8, 15]) {
      await bench.cells.start(bench.spec);
      const opening = bench.run('sleep 10').then(
        (result) => result.code,
        (error: unknown) => (error instanceof AppError ? error.code : error),
      );
      await new Promise((resolve) => setTimeout(resolve, ms));
      await bench.cells.stop(id);
      assert.ok([137, 'wrong-state', 'failed'].includes((await opening) as number | string), String(await opening));
      await nothingLeft();
    }
  },
);
