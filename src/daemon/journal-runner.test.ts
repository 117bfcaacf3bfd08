import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { memoryDirectory } from '../../test/builders/memory-directory.ts';
import { aPlan, recover, run, wholeOrNothing, World } from '../../test/builders/steps-world.ts';
import { AppError } from '../contract/errors.ts';
import type { Plan, Step } from '../core/steps.ts';

const directory = memoryDirectory('runner');
after(() => rmSync(directory, { recursive: true }));
let count = 0;
const aWorld = (): World => new World(path.join(directory, `${(count += 1)}.db`));

test('a plan runs in order, tells its steps, and leaves nothing in the journal', async () => {
  const world = aWorld();
  const plan = aPlan(3, 2);
  const events: string[] = [];
  const result = await run(
    world,
    plan,
    (event) => event.type === 'step' && events.push(`${event.label} ${event.state}`),
  );
  assert.equal(result, 'done');
  assert.deepEqual(events, [
    'step 0 started',
    'step 0 done',
    'step 1 started',
    'step 1 done',
    'step 2 started',
    'step 2 done',
  ]);
  assert.equal(wholeOrNothing(world, plan), 'all');
});

test('a failure before the commit is undone, and its own error is thrown', async () => {
  const world = aWorld();
  const plan = aPlan(4, 3);
  world.failures.do.set(2, 1);
  const result = await run(world, plan);
  assert.match(String(result), /step 2 cannot be done/);
  assert.equal(wholeOrNothing(world, plan), 'nothing');
});

test('a failure after the commit is tried again', async () => {
  const world = aWorld();
  const plan = aPlan(3, 1);
  world.failures.do.set(2, 2);
  assert.equal(await run(world, plan), 'done');
  assert.equal(wholeOrNothing(world, plan), 'all');
});

test('what cannot be finished after the commit stays in the journal, and the next start finishes it', async () => {
  const world = aWorld();
  const plan = aPlan(3, 1);
  world.failures.do.set(2, 3);
  const result = await run(world, plan);
  assert.ok(result instanceof AppError);
  assert.match(result.why ?? '', /not finished yet/);
  assert.equal(world.journalled(), 1);
  assert.deepEqual(await recover(world, plan), ['fork.create of shop:fix was finished']);
  assert.equal(wholeOrNothing(world, plan), 'all');
});

test('what cannot be undone stays in the journal, with the error of the step, and the next start undoes it', async () => {
  const world = aWorld();
  const plan = aPlan(3, 2);
  world.failures.do.set(1, 1);
  world.failures.undo.set(0, 4);
  const result = await run(world, plan);
  assert.ok(result instanceof AppError);
  assert.match(result.message, /step 1 cannot be done/);
  assert.match(result.why ?? '', /not undone yet: step 0 cannot be undone/);
  assert.deepEqual(await recover(world, plan), ['fork.create of shop:fix was undone']);
  assert.equal(wholeOrNothing(world, plan), 'nothing');
});

test('a start that cannot end a plan says so, and keeps it', async () => {
  const world = aWorld();
  const plan = aPlan(2, 0);
  world.failures.do.set(1, 9);
  await run(world, plan);
  assert.deepEqual(await recover(world, plan), [
    'fork.create of shop:fix could not be finished: step 1 cannot be done',
  ]);
  assert.equal(world.journalled(), 1);
});

test('a plan waits for what an earlier one left on the same target, and is refused while that cannot be ended', async () => {
  const world = aWorld();
  const plan = aPlan(2, 0);
  world.failures.do.set(1, 7);
  await world.daemon(plan, async (runner) => {
    await assert.rejects(
      runner.run(plan, 'a', () => {}),
      { code: 'failed' },
    );
    await assert.rejects(
      runner.run(plan, 'b', () => {}),
      { code: 'busy' },
    );
    // Three tries each; the seventh failure is the first of this one, which finishes it and then runs its own.
    await runner.run(plan, 'c', ({ type, ...event }) => {
      if (type !== 'step' || !('state' in event) || event.state !== 'started' || event.label !== 'step 0') return;
      assert.deepEqual([...world.steps.values()], ['done', 'done']);
      world.steps.clear();
    });
  });
  assert.equal(wholeOrNothing(world, plan), 'all');
});

test('what an earlier daemon left is ended before a plan for the same target, also without a recovery', async () => {
  const world = aWorld();
  const plan = aPlan(3, 2);
  world.lives = 4;
  await run(world, plan);
  world.lives = Infinity;
  assert.equal(await run(world, plan), 'done');
  assert.equal(wholeOrNothing(world, plan), 'all');
});

test('a plan for another target does not wait', async () => {
  const world = aWorld();
  const plan = aPlan(2, 0);
  world.failures.do.set(1, 3);
  await world.daemon(plan, async (runner) => {
    await assert.rejects(runner.run(plan, 'a', () => {}));
    world.steps.clear();
    await runner.run({ ...plan, target: 'blog' }, 'b', () => {});
  });
  assert.equal(world.journalled(), 1);
});

test('whoever watches and is gone harms nothing', async () => {
  const world = aWorld();
  const plan = aPlan(3, 2);
  const result = await run(world, plan, () => {
    throw new Error('the client is gone');
  });
  assert.equal(result, 'done');
  assert.equal(wholeOrNothing(world, plan), 'all');
});

test('a step that this version does not know is left, and said', async () => {
  const world = aWorld();
  const plan = aPlan(2, 2);
  const strange: Plan = { ...plan, steps: [{ ...plan.steps[0], do: 'volume.gone' } as unknown as Step], commit: 0 };
  await run(world, strange);
  const said = await recover(world, strange);
  assert.match(String(said), /does not know the step "volume.gone"/);
});

for (const [name, failing] of [
  ['that works', undefined],
  ['that fails before its commit', 2],
  ['that fails after it', 3],
] as const)
  test(`killed at every place of a plan ${name}, it is whole or nothing after the next start`, async () => {
    const rehearsal = aWorld();
    const plan = aPlan(5, 3);
    const prepare = (world: World) => failing !== undefined && world.failures.do.set(failing, 1);
    prepare(rehearsal);
    await run(rehearsal, plan);
    const places = rehearsal.seen;
    assert.ok(places.length >= 12, String(places.length));
    for (const [at, place] of places.entries()) {
      const world = aWorld();
      prepare(world);
      world.lives = at;
      assert.equal(await run(world, plan), 'killed', place);
      world.lives = Infinity;
      world.failures.do.clear();
      await recover(world, plan);
      const began = Number(/^(?:inside:do|fork\.create):(\d)/.exec(place)?.[1] ?? 0);
      assert.equal(wholeOrNothing(world, plan), began >= plan.commit ? 'all' : 'nothing', place);
    }
  });

test('any plan, failing anywhere, killed any number of times, ends whole or as nothing', async () => {
  const failures = fc.array(fc.tuple(fc.nat(6), fc.nat(4)), { maxLength: 3 });
  const scenario = fc.record({
    steps: fc.integer({ min: 1, max: 7 }),
    commit: fc.nat(7),
    doing: failures,
    undoing: failures,
    kills: fc.array(fc.nat(14), { maxLength: 3 }),
  });
  await fc.assert(
    fc.asyncProperty(scenario, async ({ steps, commit, doing, undoing, kills }) => {
      const world = aWorld();
      const plan = aPlan(steps, commit);
      world.failures = { do: new Map(doing), undo: new Map(undoing) };
      world.lives = kills[0] ?? Infinity;
      const result = await run(world, plan);
      for (const lives of kills.slice(1)) {
        world.lives = lives;
        await recover(world, plan);
      }
      world.lives = Infinity;
      world.failures = { do: new Map(), undo: new Map() };
      await recover(world, plan);
      const ended = wholeOrNothing(world, plan);
      if (result === 'done') assert.equal(ended, 'all');
      assert.deepEqual(await recover(world, plan), []);
    }),
    { numRuns: 150 },
  );
});
