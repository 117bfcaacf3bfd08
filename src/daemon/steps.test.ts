import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { memoryDirectory } from '../../test/builders/memory-directory.ts';
import * as world from '../../test/builders/plan-world.ts';
import { aVolume } from '../../test/builders/records.ts';
import * as plans from '../core/plans.ts';
import type { Plan, Steps } from '../core/steps.ts';

const { aSubject, FIX, KEY, NEW, OLD, OLD_KEY, POINT, PlanWorld, SHOP } = world;
const directory = memoryDirectory('steps');
after(() => rmSync(directory, { recursive: true }));
let count = 0;
const aWorld = () => PlanWorld.make(path.join(directory, `${(count += 1)}.db`));

const entry = (id: typeof FIX): Steps['record.trash'] => ({
  id,
  trash: KEY,
  by: 'deploy',
  why: 'removed',
  at: 2,
  until: 9,
});
const fork = { ...aVolume(6, { tag: 'new', parent: SHOP, parentName: 'shop' }), id: NEW };

/** Every multi-step operation, on a world that it fits. */
const PLANS: Record<string, Plan> = {
  create: plans.planCreate({ ...aVolume(6, { app: 'blog' }), id: NEW }, null),
  fork: plans.planFork(fork, { area: 'live', id: SHOP }, true),
  'fork of a fork': plans.planFork(fork, { area: 'live', id: FIX }, false),
  'fork of a point': plans.planFork(fork, { area: 'point', id: POINT }, false),
  reset: plans.planReset(aSubject(), KEY, 1 << 20),
  rm: plans.planRemove(aSubject(), entry(FIX)),
  'rm of an app': plans.planRemove(aSubject({ id: SHOP, ref: 'shop', kind: 'app' }), entry(SHOP)),
  restore: plans.planRestore({ trash: OLD_KEY, id: OLD, app: 'shop', tag: 'old', expires: 9 }, 'shop:old'),
  purge: plans.planPurge({ trash: OLD_KEY, id: OLD, ref: 'shop:old', kind: 'fork', points: [] }),
  evict: plans.planEvict(aSubject(), entry(FIX)),
  point: plans.planPoint(SHOP, 'shop', KEY, 2, 'cell.up'),
  'forget a point': plans.planForgetPoint(POINT, 'shop'),
  up: plans.planUp(aSubject()),
  down: plans.planDown(aSubject()),
};

/** What must hold whatever happened: nothing that anyone wrote is gone, unless its end was asked for. */
async function nothingIsLost(made: world.PlanWorld, name: string): Promise<void> {
  await made.check();
  const anywhere = async (id: typeof FIX, key: typeof KEY) => [
    await made.read({ area: 'live', id }),
    await made.read({ area: 'trash', id: key }),
  ];
  assert.ok((await anywhere(SHOP, KEY)).includes('production'), 'production');
  if (name !== 'evict') assert.ok((await anywhere(FIX, KEY)).includes('fix'), 'the fork');
  if (name !== 'purge') assert.ok((await anywhere(OLD, OLD_KEY)).includes('old'), 'the removed fork');
}

for (const [name, plan] of Object.entries(PLANS)) {
  test(`${name}: done, it is what it says`, async () => {
    const made = await aWorld();
    assert.equal(await made.runWith(plan, {}), 'done');
    await nothingIsLost(made, name);
  });

  test(`${name}: killed at any place, nothing is half made or lost`, async () => {
    const rehearsal = await aWorld();
    await rehearsal.runWith(plan, {});
    for (let kill = 0; kill < rehearsal.passed; kill += 1) {
      const made = await aWorld();
      assert.equal(await made.runWith(plan, { kill }), 'killed');
      await nothingIsLost(made, name);
    }
  });

  test(`${name}: failing at any step, killed at any place of taking it back, nothing is half made or lost`, async () => {
    for (let step = 0; step < plan.steps.length; step += 1)
      for (const late of [false, true]) {
        const rehearsal = await aWorld();
        const ended = await rehearsal.runWith(plan, { fail: { step, late } });
        assert.equal(ended, step < plan.commit ? 'failed' : 'done');
        await nothingIsLost(rehearsal, name);
        // Places before the failure are those of the test above; three a step.
        for (let kill = late ? 3 * step : Infinity; kill < rehearsal.passed; kill += 1) {
          const made = await aWorld();
          await made.runWith(plan, { kill, fail: { step, late } });
          await nothingIsLost(made, name);
        }
      }
  });
}
