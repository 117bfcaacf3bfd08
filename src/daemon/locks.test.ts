import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createLocks } from './locks.ts';

/** Work that ends when it is told to. */
function aTask(): { work: () => Promise<void>; end: () => void; began: () => boolean } {
  let end = (): void => {};
  let began = false;
  const ended = new Promise<void>((resolve) => (end = resolve));
  return {
    work: () => {
      began = true;
      return ended;
    },
    end,
    began: () => began,
  };
}

test('a name is held while the work goes on, and free afterwards, also after a failure', async () => {
  const locks = createLocks();
  const task = aTask();
  const first = locks.hold(['shop'], task.work);
  await assert.rejects(
    locks.hold(['shop'], async () => {}),
    { code: 'busy' },
  );
  assert.throws(() => locks.demandFree('shop'), { code: 'busy' });
  locks.demandFree('blog');
  task.end();
  await first;
  const failure = locks.hold(['shop'], () => Promise.reject(new Error('it broke')));
  await assert.rejects(failure, /it broke/);
  assert.equal(await locks.hold(['shop'], async () => 7), 7);
});

test('of several names none is held while one is missing', async () => {
  const locks = createLocks();
  const task = aTask();
  const first = locks.hold(['b'], task.work);
  await assert.rejects(
    locks.hold(['a', 'b', 'a'], async () => {}),
    { code: 'busy' },
  );
  locks.demandFree('a');
  task.end();
  await first;
});

test('who may wait goes on when the name is free', async () => {
  const locks = createLocks();
  const [first, second] = [aTask(), aTask()];
  const one = locks.hold(['a'], first.work);
  const two = locks.hold(['b', 'a'], second.work, { wait: 5000 });
  await delay(5);
  assert.equal(second.began(), false);
  locks.demandFree('b');
  first.end();
  await one;
  await delay(1);
  assert.equal(second.began(), true);
  assert.throws(() => locks.demandFree('b'), { code: 'busy' });
  second.end();
  await two;
});

test('who waits too long is told so, and holds nothing', async () => {
  const locks = createLocks();
  const task = aTask();
  const first = locks.hold(['a'], task.work);
  await assert.rejects(
    locks.hold(['a', 'b'], async () => {}, { wait: 10 }),
    { code: 'busy' },
  );
  locks.demandFree('b');
  task.end();
  await first;
});

test('in any order of names, all come to their turn, one at a time', async () => {
  const locks = createLocks();
  const inside = new Map<string, number>();
  const names = ['a', 'b', 'c'];
  const all = Array.from({ length: 60 }, (_, at) => {
    const mine = [names[at % 3] as string, names[(at * 7 + 1) % 3] as string].toSorted(() => (at % 2 === 0 ? 1 : -1));
    const count = (by: number) => mine.forEach((name) => inside.set(name, (inside.get(name) ?? 0) + by));
    return locks.hold(
      [...new Set(mine)],
      async () => {
        for (const name of new Set(mine)) assert.equal(inside.get(name) ?? 0, 0, name);
        count(1);
        await delay(1);
        count(-1);
      },
      { wait: 10_000 },
    );
  });
  await Promise.all(all);
});

test('who meets one of lower rank comes next, before whatever that one asks again', async () => {
  const locks = createLocks();
  const order: string[] = [];
  const cell = aTask();
  const held = locks.hold(['shop:fix'], cell.work, { rank: 'cell' });
  assert.equal(locks.held('shop:fix'), false);
  const person = aTask();
  const removing = locks.hold(['shop:fix'], () => (order.push('person'), person.work()), { rank: 'person' });
  const reaping = locks.hold(['shop:fix'], async () => void order.push('service'));
  await assert.rejects(
    locks.hold(['shop:fix'], async () => {}, { rank: 'cell' }),
    { code: 'busy' },
  );
  cell.end();
  await held;
  await assert.rejects(
    locks.hold(['shop:fix'], async () => {}, { rank: 'cell' }),
    { code: 'busy' },
  );
  assert.equal(locks.held('shop:fix'), true);
  // Of one's own rank, or a higher one, nobody waits.
  for (const rank of ['person', 'unproven'] as const)
    await assert.rejects(
      locks.hold(['shop:fix'], async () => {}, { rank }),
      { code: 'busy' },
    );
  person.end();
  await Promise.all([removing, reaping]);
  assert.deepEqual(order, ['person', 'service']);
});
