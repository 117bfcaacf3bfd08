import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { checkInvariants, killAt, listOf, pointsOf, type Shown } from '../builders/kills.ts';
import { makeMachine, makeTree, run, waitFor, type Machine, type Person } from '../builders/machine.ts';

/**
 * kill -9 of the daemon at every journalled step of what persons ask and of what the reaper
 * does by itself, on the real host code; then a new daemon, and the invariants. A sign-in ends
 * with the daemon, so each kill takes a code: twelve persons have enough of them.
 */
const ROWS = '1\n2\n3\n';
const TREE = { 'data/rows': ROWS, 'data/more': 'x'.repeat(300_000) };
const SHOP = {
  ...TREE,
  'bulkhead.yaml': 'hooks: { up: ./up.sh, health: ./health.sh, down: ./down.sh }\n',
  'up.sh': '#!/bin/sh\nsleep 1000 &\n',
  'health.sh': '#!/bin/sh\ntrue\n',
  'down.sh': '#!/bin/sh\ntrue\n',
};

let machine: Machine;
let tree: string;
/** Apps that nobody has changed yet, each for one kill. */
const spare = ['one', 'two', 'three', 'four', 'five', 'six'];

before(async () => {
  machine = await makeMachine({ persons: 12, env: { BULKHEAD_REAPER_EVERY: '200', BULKHEAD_REAPER_NOTICE: '1' } });
  tree = await makeTree(TREE);
  const person = await machine.person();
  const shop = await makeTree(SHOP);
  await person.create('shop', shop);
  for (const name of spare) await demand(person, `create ${name} --from ${tree}`);
  await demand(person, 'up shop');
  await person.leave();
  await rm(shop, { recursive: true });
});
after(async () => {
  await rm(tree, { recursive: true, force: true });
  await machine?.remove();
});

async function demand(person: Person, line: string): Promise<void> {
  const ran = await person.bulkhead(line);
  assert.equal(ran.code, 0, `${line}: ${ran.stdout}${ran.stderr}${machine.log()}`);
}

/**
 * Killed at one point of what a person types. A line that needs a code is made once the person
 * has signed in: of one phone a later code that was used first would make it a replay.
 */
async function killPerson(point: string, line: string | (() => Promise<string>)): Promise<Shown[]> {
  const person = await machine.person();
  const typed = typeof line === 'string' ? line : await line();
  await killAt(machine, point, () => person.bulkhead(typed));
  await person.leave();
  return check(point);
}

/** Every app holds what it was made from, whatever was killed. */
const check = (at: string): Promise<Shown[]> => checkInvariants(machine, at, () => ({ ...TREE }));

const agent = async (...args: string[]): Promise<void> => {
  const ran = await machine.cli(...args);
  assert.equal(ran.code, 0, `${args.join(' ')}: ${ran.stderr}${machine.log()}`);
};
const isThere = (list: readonly Shown[], name: string): boolean => list.some(({ ref }) => ref === name);
const inTrash = async (): Promise<string[]> =>
  (await machine.json<{ items: { name: string }[] }>('trash', 'ls')).items.map(({ name }) => name);

test('point.take: production is as it was, and the change is not made without its point', async () => {
  for (const [index, point] of pointsOf('point.take', 2).entries()) {
    const name = spare[Math.max(0, index - 2)] ?? '';
    await killPerson(point, `exec ${name} -- sh -c 'echo changed > /app/data/rows'`);
    const { points } = await machine.json<{ points: object[] }>('points', name);
    assert.equal(points.length, index < 2 ? 0 : 1, `${point}: undone before the copy is made, kept after`);
  }
});

test('app.create: all of what was sent, or nothing', async () => {
  for (const [index, point] of pointsOf('app.create', 7).entries()) {
    const list = await killPerson(point, `create made${index} --from ${tree}`);
    assert.equal(isThere(list, `made${index}`), index >= 12, point);
  }
});

test('volume.remove of an app: it is there, or it waits in the trash', async () => {
  for (const [index, point] of pointsOf('volume.remove', 3).entries()) {
    const name = spare[index] ?? '';
    const list = await killPerson(point, async () => `rm ${name} --confirm ${name} --code ${await machine.code()}`);
    const gone = index >= 4;
    assert.deepEqual([isThere(list, name), (await inTrash()).includes(name)], [!gone, gone], point);
  }
});

test('cell.restart of production: it is up again, whatever was killed', async () => {
  for (const point of [...pointsOf('cell.restart', 1), ...pointsOf('cell.up', 4)])
    await killPerson(point, 'restart shop');
});

test('a fork past its time: it is there, or it waits in the trash', async () => {
  for (const [index, point] of pointsOf('volume.remove', 3).entries()) {
    await agent('fork', 'shop:late', '--ttl', '1s');
    await killAt(machine, point, async () => {});
    // What was undone is tried again, and gets there.
    await waitFor(
      async () => !isThere(await listOf(machine), 'shop:late'),
      10_000,
      () => `${point} ${machine.log()}`,
    );
    await check(point);
    assert.ok(
      (await inTrash()).some((name) => name.startsWith('shop:late')),
      `${point} ${index}`,
    );
  }
});

test('what the trash has kept long enough: once begun, its end is finished', async () => {
  for (const point of pointsOf('trash.purge', 4)) {
    await machine.stop();
    await machine.start({ BULKHEAD_TRASH_KEPT: '1' });
    await agent('fork', 'shop:old');
    await killAt(machine, point, () => machine.cli('rm', 'shop:old'));
    await waitFor(
      async () => !(await inTrash()).some((name) => name === 'shop:old'),
      10_000,
      () => `${point} ${machine.log()}`,
    );
    await check(point);
  }
});

test('a fork below the floor: it goes for good, and production writes on', async () => {
  const { id } = (await listOf(machine)).find(({ ref }) => ref === 'shop') as Shown;
  const filler = path.join(machine.paths.pool, 'live', id, 'filler');
  for (const point of pointsOf('fork.evict', 7)) {
    await agent('fork', 'shop:k');
    const { pool } = await machine.json<{ pool: { free: number } }>('status');
    const fill = (): Promise<unknown> => run('fallocate', ['-l', String(pool.free - (24 << 20)), filler]);
    const empty = async (): Promise<void> => {
      await rm(filler);
      await run('btrfs', ['filesystem', 'sync', machine.paths.pool]);
    };
    await killAt(machine, point, fill, empty);
    const list = await check(point);
    assert.ok(!isThere(list, 'shop:k'), point);
    assert.ok(!(await inTrash()).includes('shop:k'), point);
  }
});

test('machine.init: another try makes the pool, and what was made is taken', async () => {
  const bare = await makeMachine({ bare: true });
  const init = ['init', '--size', '300M', '--floor', '64M', '--person', 'root'];
  try {
    for (const point of pointsOf('machine.init', 1)) {
      await killAt(bare, point, () => bare.cli(...init));
      const attached = await run('losetup', ['--list', '--noheadings', '--output', 'BACK-FILE']);
      assert.doesNotMatch(attached.stdout, new RegExp(`${bare.instance}.*making`), point);
    }
    const made = await bare.cli(...init, '--json');
    assert.equal(made.code, 0, `${made.stdout}${made.stderr}${bare.log()}`);
    const { pool } = await bare.json<{ pool: { size: number } }>('status');
    assert.ok(pool.size > 250 << 20);
  } finally {
    await bare.remove();
  }
});
