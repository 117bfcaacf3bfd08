import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AGENT, CODE, SOMEBODY } from '../../../test/builders/daemon.ts';
import { HOOKS, accept, aShop, failsWith, replace, stateOf } from '../../../test/builders/daemon-tests.ts';
import { AppError } from '../../contract/errors.ts';

test('up runs the hooks in order, keeps it wanted, and says where it answers; twice is once', async (t) => {
  const daemon = await aShop(t, { file: { ports: ['80:8080'] } });
  const up = await daemon.ask('cell.up', { ref: 'shop' });
  assert.deepEqual([up.state, up.url], ['up', 'http://localhost/']);
  assert.deepEqual(
    up.timings.map(({ step }) => step),
    ['cell.start', 'hook.run', 'hook.run', 'record.wanted'],
  );
  assert.deepEqual(daemon.world.ran, ['shop up', 'shop health']);
  assert.deepEqual((await daemon.ask('cell.up', { ref: 'shop' })).timings, []);
  assert.deepEqual(daemon.world.ran.length, 2);
});

test('what up started is listed, and its output is kept', async (t) => {
  const daemon = await aShop(t);
  assert.deepEqual(await daemon.ask('cell.processes', { ref: 'shop' }), { processes: [] });
  await daemon.ask('cell.up', { ref: 'shop' });
  const { processes } = await daemon.ask('cell.processes', { ref: 'shop' });
  assert.deepEqual(
    processes.map(({ session }) => session),
    ['init', 'up'],
  );
  const logs = daemon.stream('cell.logs', { ref: 'shop' });
  await logs.done;
  assert.equal(logs.output(), 'started\n');
});

test('down runs its hook, ends everything, and stays; twice is once', async (t) => {
  const daemon = await aShop(t);
  await daemon.ask('cell.up', { ref: 'shop' });
  for (let times = 0; times < 2; times += 1)
    assert.deepEqual(await daemon.ask('cell.down', { ref: 'shop' }), { ref: 'shop', state: 'down' });
  assert.deepEqual(
    daemon.world.ran.filter((hook) => hook === 'shop down'),
    ['shop down'],
  );
  assert.deepEqual(await daemon.cells.list(), []);
  await daemon.restart();
  assert.deepEqual(await daemon.parts.supervisor.reconcile(), []);
});

test('a down hook that fails is told, and it goes down all the same', async (t) => {
  const daemon = await aShop(t);
  await daemon.ask('cell.up', { ref: 'shop' });
  daemon.world.codes.set('shop down', 3);
  await daemon.ask('cell.down', { ref: 'shop' });
  assert.equal(await stateOf(daemon, 'shop'), 'down');
  const told = (await daemon.audit()).filter(({ operation }) => operation === 'cell.watch');
  assert.match(told[0]?.outcome ?? '', /hook down failed: The hook "down" of shop ended with 3/);
});

test('restart stops and starts, in that order', async (t) => {
  const daemon = await aShop(t);
  await daemon.ask('cell.up', { ref: 'shop' });
  await daemon.ask('cell.restart', { ref: 'shop' });
  assert.deepEqual(daemon.world.ran, ['shop up', 'shop health', 'shop down', 'shop up', 'shop health']);
  await daemon.ask('cell.down', { ref: 'shop' });
  await daemon.ask('cell.restart', { ref: 'shop' });
  assert.equal(await stateOf(daemon, 'shop'), 'up');
});

test('a cell that will not end is said, and the next try may end it', async (t) => {
  const daemon = await aShop(t);
  await daemon.ask('cell.up', { ref: 'shop' });
  const back = replace(daemon.cells, 'stop', () => async () => {
    throw new AppError('timeout', 'Processes did not end within 10000 ms');
  });
  await failsWith('timeout', daemon.ask('cell.down', { ref: 'shop' }), /did not end/);
  assert.equal(await stateOf(daemon, 'shop'), 'failed');
  back();
  await daemon.ask('cell.down', { ref: 'shop' });
  assert.equal(await stateOf(daemon, 'shop'), 'down');
  await daemon.ask('cell.up', { ref: 'shop' });
  assert.equal(await stateOf(daemon, 'shop'), 'up');
});

test('the data of production, its output included, is for a person', async (t) => {
  const daemon = await aShop(t);
  await daemon.ask('cell.up', { ref: 'shop' });
  for (const as of [AGENT, SOMEBODY]) {
    await failsWith('refused', daemon.ask('cell.logs', { ref: 'shop' }, { as }));
    await failsWith('refused', daemon.ask('session.exec', { ref: 'shop', command: ['cat', 'data'] }, { as }));
    await failsWith('refused', daemon.ask('config.diff', { ref: 'shop' }, { as }));
    assert.equal((await daemon.ask('cell.processes', { ref: 'shop' }, { as })).processes.length, 2);
  }
});

test('only what a person accepted counts, and the difference is shown', async (t) => {
  const daemon = await aShop(t);
  assert.deepEqual((await daemon.ask('config.diff', { ref: 'shop' })).changes, []);
  const file = { ...HOOKS, ports: ['80:8080'] };
  daemon.world.proposals.set(daemon.id('shop'), { file, hooks: { up: '#!/bin/sh\n' } });
  await daemon.ask('cell.up', { ref: 'shop' });
  assert.deepEqual((await daemon.ask('config.show', { ref: 'shop' })).accepted, HOOKS);
  const { changes, hash } = await daemon.ask('config.diff', { ref: 'shop' });
  assert.deepEqual(changes, [{ key: 'ports', accepted: [], proposed: ['80:8080'] }]);
  await failsWith(
    'wrong-state',
    daemon.ask('config.accept', { ref: 'shop', hash: '00' }, { code: CODE }),
    /has changed/,
  );
  await failsWith('factor-required', daemon.ask('config.accept', { ref: 'shop' }));
  assert.equal((await daemon.ask('config.accept', { ref: 'shop', hash: hash ?? '' }, { code: CODE })).hash, hash);
  assert.deepEqual((await daemon.ask('config.show', { ref: 'shop' })).by, 'deploy');
});

test('a file with an error, a part that is not built, or none is not accepted', async (t) => {
  const daemon = await aShop(t);
  await failsWith('bad-file', accept(daemon, 'shop', { colour: 'red' }), /unknown key "colour"/);
  await failsWith('not-built', accept(daemon, 'shop', { compose: ['compose.yaml'] }), /"compose"/);
  daemon.world.proposals.delete(daemon.id('shop'));
  await failsWith('not-found', daemon.ask('config.accept', { ref: 'shop' }, { code: CODE }), /no bulkhead\.yaml/);
  assert.deepEqual(await daemon.cells.list(), [], 'it was started for reading alone');
});
