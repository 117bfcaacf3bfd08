import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { listOf } from '../builders/kills.ts';
import { makeMachine, makeTree, run, waitFor, type Machine, type Person, type Ran } from '../builders/machine.ts';

/** A small pool that forks fill, and production, which writes all along and never fails. */
const MIB = 2 ** 20;
const NOTICE = 4000;
const APP = {
  'bulkhead.yaml': 'hooks: { up: ./up.sh }\nfork: { limits: { memory: 200MiB, disk: 80MiB } }\n',
  // Every write is on the disk, or counted as one that failed.
  'up.sh': `#!/bin/sh
[ "$BULKHEAD_ROLE" = fork ] && exec sleep 1000
while :; do
  if dd if=/dev/zero of=/app/beat bs=64k count=1 conv=fsync 2>/dev/null; then printf . >> /app/written; else printf x >> /app/failed; fi
  sleep 0.05
done
`,
};
const GREEDY = { 'bulkhead.yaml': 'fork: { limits: { memory: 1000GiB } }\n' };

let machine: Machine;
let person: Person;

before(async () => {
  machine = await makeMachine({
    size: '768M',
    floor: '128M',
    persons: 2,
    env: { BULKHEAD_REAPER_EVERY: '200', BULKHEAD_REAPER_NOTICE: String(NOTICE) },
  });
  person = await machine.person();
  const trees = [await makeTree(APP), await makeTree(GREEDY)] as const;
  await person.create('shop', trees[0]);
  await person.create('greedy', trees[1]);
  await demand('up shop');
  for (const tree of trees) await rm(tree, { recursive: true });
});
after(async () => {
  await person?.leave();
  await machine?.remove();
});

async function demand(line: string): Promise<string> {
  const ran = await person.bulkhead(line, 120_000);
  assert.equal(ran.code, 0, `${line}: ${ran.stdout}${ran.stderr}${machine.log()}`);
  return ran.stdout;
}

async function must(...args: string[]): Promise<void> {
  const ran = await machine.cli(...args);
  assert.equal(ran.code, 0, `${args.join(' ')}: ${ran.stdout}${ran.stderr}${machine.log()}`);
}

/** Writes so many MiB of what cannot be compressed, as far as it gets. */
const fill = (ref: string, mib: number): Promise<Ran> =>
  machine.cli('exec', ref, '--', 'dd', 'if=/dev/urandom', 'of=/app/full', 'bs=1M', `count=${mib}`, 'conv=fsync');

interface Pool {
  free: number;
  floor: number;
}
const poolOf = async (): Promise<Pool> => (await machine.json<{ pool: Pool }>('ls')).pool;
const stateOf = async (ref: string) => (await listOf(machine)).find((one) => one.ref === ref)?.state;

/** Writes of production so far, and those that failed; read past the daemon. */
async function beats(): Promise<{ written: number; failed: number }> {
  const { id = '' } = (await listOf(machine)).find(({ ref }) => ref === 'shop') ?? {};
  const count = async (name: string): Promise<number> =>
    (await readFile(path.join(machine.paths.pool, 'live', id, name), 'utf8').catch(() => '')).length;
  return { written: await count('written'), failed: await count('failed') };
}

/** The error of a command, as `--json` tells it. */
async function refused(code: string, command: string, ...args: string[]): Promise<string> {
  const ran = await machine.cli(command, '--json', ...args);
  const { error } = JSON.parse(ran.stdout.trim().split('\n').at(-1) ?? '{}') as {
    error?: { code: string; message: string; why?: string; next: string[] };
  };
  assert.equal(error?.code, code, `${command} ${args.join(' ')}: ${ran.stdout}${ran.stderr}`);
  assert.ok((error?.next.length ?? 0) > 0, 'it says what would work');
  return `${error?.message ?? ''} ${error?.why ?? ''}`;
}

async function recorded(operation: string): Promise<{ target: string; outcome: string }[]> {
  const answer = JSON.parse(await demand('audit log -n 900 --json')) as {
    result: { records: { operation: string; target: string; outcome: string }[] };
  };
  return answer.result.records.filter((one) => one.operation === operation);
}

test('a fork stops at its cap, and another one goes on', async () => {
  for (const tag of ['a', 'b']) await must('fork', `shop:${tag}`, '--up');
  const ran = await fill('shop:a', 300);
  assert.notEqual(ran.code, 0);
  assert.match(ran.stderr, /No space left|quota exceeded/i);
  const { volumes } = await machine.json<{ volumes: { ref: string; own: number | null }[] }>('ls');
  assert.ok((volumes.find(({ ref }) => ref === 'shop:a')?.own ?? 0) <= 81 * MIB, JSON.stringify(volumes));
  assert.equal((await fill('shop:b', 20)).code, 0);
});

test('all forks together stop before what is kept for production', async () => {
  for (const tag of ['b', 'c', 'd']) {
    if (tag !== 'b') await must('fork', `shop:${tag}`, '--up');
    await fill(`shop:${tag}`, 300);
  }
  const { free, floor } = await poolOf();
  assert.ok(free > floor - 16 * MIB, `${free} of ${floor}`);
  assert.equal((await beats()).failed, 0);
});

test('below the floor no fork is made or entered, those that run are frozen, and that is told', async () => {
  // Production needs room of its own; a was used last.
  await must('exec', 'shop:a', '--', 'true');
  const { free, floor } = await poolOf();
  const count = Math.ceil((free - floor) / MIB) + 40;
  await demand(`exec shop -- dd if=/dev/urandom of=/app/own bs=1M count=${count} conv=fsync`);
  await waitFor(
    async () => (await stateOf('shop:a')) === 'frozen',
    10_000,
    () => machine.log(),
  );
  const text = await refused('pool-full', 'fork', 'shop:more');
  assert.match(text, /MiB free, and 128 MiB are kept for production/);
  assert.match(
    await refused('pool-full', 'exec', 'shop:a', '--', 'true'),
    /Cannot run "shop:a" now: the pool has .* free/,
  );
  assert.match((await machine.cli('ls')).stdout, /frozen/);
  assert.match((await machine.cli('status')).stdout, /below its floor/);
  assert.ok((await recorded('fork.freeze')).some(({ target }) => target === 'shop:a'));
});

test('after the notice they go, longest idle first, until there is room; production never failed', async () => {
  await waitFor(
    async () => (await poolOf()).free > 141 * MIB,
    60_000,
    () => machine.log(),
  );
  const records = await recorded('fork.evict');
  const gone = records.filter(({ outcome }) => outcome === 'done').map(({ target }) => target);
  assert.deepEqual(gone, ['shop:b'], `one of 80 MiB is enough, and b was used first: ${JSON.stringify(records)}`);
  await waitFor(
    async () => (await stateOf('shop:a')) === 'up',
    10_000,
    () => 'a is thawed',
  );
  await must('exec', 'shop:a', '--', 'true');
  const { written, failed } = await beats();
  assert.equal(failed, 0);
  await waitFor(
    async () => (await beats()).written > written,
    5000,
    () => 'production writes on',
  );
});

test('a fork that would not fit into the memory is refused with figures, and not made', async () => {
  const text = await refused('no-room', 'fork', 'greedy:x', '--up');
  assert.match(text, /it may use [\d.]+ GiB, and [\d.]+ [GM]iB is left for forks/);
  assert.equal(await stateOf('greedy:x'), undefined);
  await must('fork', 'greedy:x');
  await refused('no-room', 'up', 'greedy:x');
  assert.equal(await stateOf('greedy:x'), 'down');
  await must('rm', 'greedy:x');
});

test('a pool that production has filled to the brim: all is refused clearly, and clearing up helps', async () => {
  for (const ref of (await listOf(machine)).filter(({ kind }) => kind === 'fork')) await must('rm', ref.ref);
  const full = await person.bulkhead('exec shop -- dd if=/dev/zero of=/app/own bs=1M conv=fsync', 120_000);
  assert.notEqual(full.code, 0);
  await refused('pool-full', 'fork', 'shop:x');
  const created = await person.bulkhead('create blog --json');
  assert.match(created.stdout, /"pool-full"/);
  // Out of the trash they go for good, since a rename has freed nothing.
  const inTrash = async () => (await machine.json<{ items: object[] }>('trash', 'ls')).items.length;
  const before = await inTrash();
  await waitFor(
    async () => (await inTrash()) < before,
    40_000,
    () => machine.log(),
  );
  await demand('exec shop -- rm /app/own');
  await waitFor(
    async () => {
      // By itself btrfs counts what was deleted when it commits, up to half a minute later.
      await run('btrfs', ['filesystem', 'sync', machine.paths.pool]);
      return (await poolOf()).free > 141 * MIB;
    },
    30_000,
    () => machine.log(),
  );
  await must('fork', 'shop:x');
});
