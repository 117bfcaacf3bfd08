import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NO_FILE, parseAppFile } from '../contract/app-file.ts';
import type { Id } from './ids.ts';
import * as plans from './plans.ts';
import type { Plan } from './steps.ts';

const id = '00000000-0000-4000-8000-000000000001' as Id;
const other = '00000000-0000-4000-8000-000000000002' as Id;
const record = {
  id,
  app: 'shop',
  tag: 'fix',
  kind: 'fork' as const,
  parent: other,
  parentName: 'shop',
  owner: '1000',
  ownerName: 'deploy',
  created: 0,
  expires: 1,
  cap: 1024,
  shared: 0,
};
const prepared = parseAppFile({ fork: { prepare: './p', cleanup: './c' }, hooks: { up: './up', health: './h' } });
const subject = { id, ref: 'shop:fix', kind: 'fork' as const, file: prepared, running: false };
const names = (plan: Plan): string[] => plan.steps.map((step) => step.do);

test('a fork exists only after its last step: before it, all is taken back', () => {
  const plan = plans.planFork(record, { area: 'live', id: other }, false);
  assert.deepEqual(names(plan), ['record.make', 'volume.freeze', 'volume.copy', 'manifest.write', 'record.ready']);
  assert.equal(plan.commit, plan.steps.length - 1);
});

test('prepare runs before anyone may enter the fork', () => {
  const steps = names(plans.planFork(record, { area: 'live', id: other }, true));
  assert.ok(steps.indexOf('hook.run') < steps.indexOf('record.ready'));
  assert.ok(
    names(plans.planReset(subject, other, 1)).lastIndexOf('hook.run') <
      names(plans.planReset(subject, other, 1)).indexOf('record.swap'),
  );
});

test('nothing is deleted by removing: content is renamed, and the record follows', () => {
  const plan = plans.planRemove(subject, { id, trash: other, by: 'x', why: 'y', at: 0, until: 1 });
  assert.ok(!names(plan).some((step) => step.includes('purge')));
  assert.deepEqual(names(plan).slice(-2), ['volume.trash', 'record.trash']);
  assert.equal(names(plan)[1], 'hook.run', 'cleanup comes first');
});

test('an eviction deletes, since a rename frees nothing; once begun it is finished', () => {
  const plan = plans.planEvict(subject, { id, trash: other, by: 'x', why: 'y', at: 0, until: 0 });
  assert.equal(plan.commit, 0);
  assert.equal(names(plan).at(-1), 'record.forget');
  assert.ok(names(plan).includes('volume.purge'));
});

test('up counts as wanted once it is healthy; down at once', () => {
  assert.deepEqual(names(plans.planUp(subject)), ['cell.start', 'hook.run', 'hook.run', 'record.wanted']);
  assert.equal(names(plans.planDown(subject))[0], 'record.wanted');
  assert.deepEqual(names(plans.planUp({ ...subject, file: NO_FILE })), ['cell.start', 'record.wanted']);
});

test('the commit of every plan is one of its steps, or none', () => {
  const all = [
    plans.planCreate({ ...record, kind: 'app', tag: null }, other),
    plans.planCreate({ ...record, kind: 'app', tag: null }, null),
    plans.planFork(record, { area: 'point', id: other }, true),
    plans.planReset(subject, other, 1),
    plans.planUp(subject),
    plans.planDown(subject),
    plans.planStop(subject),
    plans.planPoint(id, 'shop', other, 0, 'x'),
    plans.planForgetPoint(other, 'shop'),
    plans.planPool(1, null),
    plans.planRestore({ trash: other, id, app: 'shop', tag: 'fix', expires: null }, 'shop:fix'),
    plans.planPurge({ trash: other, id, ref: 'shop', kind: 'app', points: [other] }),
  ];
  for (const plan of all)
    assert.ok(plan.steps.length > 0 && plan.commit >= 0 && plan.commit <= plan.steps.length, plan.operation);
});
