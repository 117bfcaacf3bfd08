import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AGENT, CODE, DEPLOY, SOMEBODY } from '../../../test/builders/daemon.ts';
import { aDaemon, aShop, failsWith, replace, soon, stateOf } from '../../../test/builders/daemon-tests.ts';
import { AppError } from '../../contract/errors.ts';

const MIB = 2 ** 20;

test('where there is a pool, init enrols a person and makes nothing, whatever room the disk has', async (t) => {
  const daemon = await aShop(t);
  assert.deepEqual(
    (await daemon.plan('machine.init', { person: 'ann' })).steps.map(({ key }) => key),
    ['machine.init'],
  );
  const { pool, person } = await daemon.ask('machine.init', { person: 'ann', size: 1 }, { code: CODE });
  assert.deepEqual([pool.size, pool.floor, person], [1024 * MIB, 64 * MIB, 'ann']);
  await failsWith(
    'usage',
    daemon.ask('machine.init', { person: 'ann', floor: 900 * MIB }, { code: CODE }),
    /half of it/,
  );
  for (const as of [AGENT, SOMEBODY]) await failsWith('refused', daemon.ask('machine.init', {}, { as, code: CODE }));
});

test('without one it is made, once, and the reaper works from then on', async (t) => {
  const daemon = await aShop(t);
  await daemon.ask('fork.create', { ref: 'shop:fix', ttl: 60 });
  assert.equal((await daemon.ask('machine.status', {})).forks, 1);
  daemon.parts.reaper.start();
  t.after(() => daemon.parts.reaper.stop());
  daemon.now += 60_000;
  await daemon.parts.reaper.round();
  assert.equal(await stateOf(daemon, 'shop:fix'), undefined);
});

test('a pool that cannot be used is named with the reason, and is taken once it can', async (t) => {
  const daemon = await aShop(t);
  await daemon.ask('fork.create', { ref: 'shop:fix' });
  const back = replace(daemon.volumes, 'open', () => async () => {
    throw new AppError('failed', 'the disk does not answer');
  });
  await daemon.volumes.close();
  await daemon.restart();
  const status = await daemon.ask('machine.status', {});
  assert.deepEqual([status.pool, status.poolNote], [null, 'the pool cannot be used: the disk does not answer']);
  const refused = await failsWith('no-pool', daemon.ask('volume.remove', { ref: 'shop:fix' }));
  assert.equal(refused.why, 'the disk does not answer');
  assert.equal((await daemon.ask('app.list', {})).volumes.length, 2);
  assert.equal(await daemon.parts.poolStart.take(), false);
  back();
  assert.equal(await daemon.parts.poolStart.take(), true);
  await daemon.ask('volume.remove', { ref: 'shop:fix' });
});

test('what a crash left is finished when the pool is there again, and told', async (t) => {
  const stuck = { on: false };
  const daemon = await aShop(t, {
    killAt: async ({ operation, step }) => {
      if (stuck.on && operation === 'volume.remove' && step === 2) await new Promise(() => {});
    },
  });
  await daemon.ask('fork.create', { ref: 'shop:fix' });
  stuck.on = true;
  void daemon.ask('volume.remove', { ref: 'shop:fix' });
  await soon(async () => !(await daemon.volumes.has({ area: 'live', id: daemon.id('shop:fix') })));
  stuck.on = false;
  await daemon.restart('killed');
  assert.equal(await stateOf(daemon, 'shop:fix'), undefined);
  assert.deepEqual((await daemon.ask('machine.status', {})).recovered, ['volume.remove of shop:fix was finished']);
  const told = (await daemon.audit()).filter(({ operation }) => operation === 'machine.recover');
  assert.deepEqual(
    told.map(({ outcome, caller }) => [caller.name, outcome]),
    [['recovery', 'volume.remove of shop:fix was finished']],
  );
});

test('status counts, and says what a person should know', async (t) => {
  const daemon = await aShop(t);
  await daemon.ask('cell.up', { ref: 'shop' });
  await daemon.ask('fork.create', { ref: 'shop:fix' });
  const { apps, forks, up, notes, enrolled } = await daemon.ask('machine.status', {}, { as: SOMEBODY });
  assert.deepEqual([apps, forks, up, notes, enrolled], [1, 1, 1, [], true]);
});

test('who asks is told what it may, and the policy is told to everyone', async (t) => {
  const daemon = await aDaemon(t);
  const me = await daemon.ask('caller.show', {}, { as: AGENT });
  assert.deepEqual([me.caller, me.agent, me.until], ['unproven', 'claude-code', null]);
  assert.equal((await daemon.ask('caller.show', {}, { as: DEPLOY })).caller, 'person');
  assert.ok((await daemon.ask('policy.show', {}, { as: SOMEBODY })).rules.length > 10);
});

test('the log is read by a person, and by others as far as it is theirs', async (t) => {
  const daemon = await aShop(t);
  await failsWith('refused', daemon.ask('cell.up', { ref: 'shop' }, { as: SOMEBODY }));
  const all = await daemon.ask('audit.log', { lines: 1000 });
  const own = await daemon.ask('audit.log', { lines: 1000 }, { as: SOMEBODY });
  assert.ok(all.records.length > own.records.length);
  assert.deepEqual(
    own.records.map(({ operation, caller }) => [operation, caller.uid]),
    [['cell.up', 1001]],
  );
  assert.equal((await daemon.ask('audit.log', { refused: true })).records.length, 1);
  assert.equal((await daemon.ask('audit.log', { ref: 'shop', lines: 1 })).records.length, 1);
});
