import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { TestDaemon } from '../../test/builders/daemon.ts';
import { HOOKS, accept, aShop, failsWith, replace, soon, stateOf } from '../../test/builders/daemon-tests.ts';
import { NO_FILE } from '../contract/app-file.ts';

/** Production that is up, and a clock that the test turns: timers fire when `pass` is called. */
async function aRunningShop(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const daemon = await aShop(t);
  await daemon.ask('cell.up', { ref: 'shop' });
  const pass = (seconds: number): void => {
    daemon.now += seconds * 1000;
    t.mock.timers.tick(seconds * 1000);
  };
  const noteOf = (ref: string) => daemon.parts.supervisor.state(daemon.id(ref)).note ?? '';
  const starts = (ref = 'shop') => daemon.world.ran.filter((hook) => hook === `${ref} up`).length;
  return { daemon, pass, noteOf, starts };
}

const changesOf = async (daemon: TestDaemon): Promise<string[]> =>
  (await daemon.audit()).filter(({ operation }) => operation === 'cell.watch').map(({ outcome }) => outcome);

test('production that ends by itself is started again after a second, and that is told', async (t) => {
  const { daemon, pass, noteOf, starts } = await aRunningShop(t);
  daemon.world.endService(daemon.id('shop'));
  await soon(async () => (await stateOf(daemon, 'shop')) === 'failed');
  assert.equal(noteOf('shop'), 'its processes have ended; next start in 1 s');
  assert.match((await daemon.ask('machine.status', {})).notes.join(), /shop is down: its processes have ended/);
  pass(1);
  await soon(async () => (await stateOf(daemon, 'shop')) === 'up');
  assert.equal(starts(), 2);
  await soon(async () => (await changesOf(daemon)).length === 2);
  assert.deepEqual(await changesOf(daemon), ['processes ended by themselves', 'up again']);
});

test('what fails again and again waits longer each time', async (t) => {
  const { daemon, pass, noteOf, starts } = await aRunningShop(t);
  daemon.world.codes.set('shop health', 1);
  daemon.world.endService(daemon.id('shop'));
  await soon(() => /next start in 1 s/.test(noteOf('shop')));
  for (const [before, next] of [
    [1, 2],
    [2, 4],
    [4, 8],
    [8, 16],
    [16, 32],
    [32, 60],
  ] as const) {
    const count = starts();
    pass(before - 0.1);
    pass(0.1);
    await soon(
      () => noteOf('shop').endsWith(`next start in ${next} s`),
      `${next} s after ${before} s: ${noteOf('shop')}`,
    );
    assert.equal(starts(), count + 1);
  }
  assert.match(noteOf('shop'), /"health" of shop ended with 1 \(7 times in a row\)/);
  daemon.world.codes.clear();
  pass(60);
  await soon(async () => (await stateOf(daemon, 'shop')) === 'up');
});

test('a minute of good life makes the next failure the first one again', async (t) => {
  const { daemon, pass, noteOf } = await aRunningShop(t);
  for (const [lived, next] of [
    [0, 1],
    [5, 2],
    [5, 4],
    [61, 1],
  ] as const) {
    pass(lived);
    daemon.world.endService(daemon.id('shop'));
    await soon(() => noteOf('shop').endsWith(`next start in ${next} s`), `${next}: ${noteOf('shop')}`);
    pass(next);
    await soon(async () => (await stateOf(daemon, 'shop')) === 'up');
  }
});

test('a fork that ends by itself stays so', async (t) => {
  const { daemon, pass, starts } = await aRunningShop(t);
  await daemon.ask('fork.create', { ref: 'shop:fix', up: true });
  daemon.world.endService(daemon.id('shop:fix'));
  await soon(async () => (await stateOf(daemon, 'shop:fix')) === 'failed');
  pass(3600);
  assert.equal(await stateOf(daemon, 'shop:fix'), 'failed');
  assert.equal(starts('shop:fix'), 1);
});

test('what a person takes down while it waits for its next start stays down', async (t) => {
  const { daemon, pass, noteOf, starts } = await aRunningShop(t);
  daemon.world.endService(daemon.id('shop'));
  await soon(async () => (await stateOf(daemon, 'shop')) === 'failed');
  await daemon.ask('cell.down', { ref: 'shop' });
  pass(60);
  assert.deepEqual([await stateOf(daemon, 'shop'), noteOf('shop'), starts()], ['down', '', 1]);
});

test('a start by itself holds the app as an operation does', async (t) => {
  const { daemon, pass } = await aRunningShop(t);
  const go = daemon.world.hold();
  daemon.world.endService(daemon.id('shop'));
  await soon(async () => (await stateOf(daemon, 'shop')) === 'failed');
  pass(1);
  await soon(async () => (await stateOf(daemon, 'shop')) === 'starting');
  await failsWith('busy', daemon.ask('cell.down', { ref: 'shop' }));
  go();
  await soon(async () => (await stateOf(daemon, 'shop')) === 'up');
  await daemon.ask('cell.down', { ref: 'shop' });
});

test('a restart that fails leaves production wanted, and it is tried again', async (t) => {
  const { daemon, pass, noteOf } = await aRunningShop(t);
  daemon.world.codes.set('shop up', 1);
  daemon.world.codes.set('shop health', 1);
  await failsWith('hook-failed', daemon.ask('cell.restart', { ref: 'shop' }));
  assert.equal(await stateOf(daemon, 'shop'), 'failed');
  assert.match(noteOf('shop'), /next start in 1 s/);
  daemon.world.codes.clear();
  pass(1);
  await soon(async () => (await stateOf(daemon, 'shop')) === 'up');
});

test('an up that fails is taken back, and says why', async (t) => {
  const daemon = await aShop(t);
  daemon.world.codes.set('shop health', 1);
  const failed = await failsWith(
    'hook-failed',
    daemon.ask('cell.up', { ref: 'shop' }),
    /"health" of shop ended with 1/,
  );
  assert.ok(failed.next.includes('bulkhead logs shop'));
  assert.equal(await stateOf(daemon, 'shop'), 'down');
  assert.deepEqual(await daemon.cells.list(), []);
  assert.equal(daemon.parts.store.volumes.byRef('shop', null)?.wanted, 'down');
});

test('a cell whose process 1 was ended from outside is made anew', async (t) => {
  const daemon = await aShop(t);
  await daemon.ask('fork.create', { ref: 'shop:fix' });
  await daemon.ask('session.exec', { ref: 'shop:fix', command: ['exit', '0'] });
  await daemon.cells.stop(daemon.id('shop:fix'));
  assert.deepEqual(await daemon.ask('session.exec', { ref: 'shop:fix', command: ['exit', '7'] }), { code: 7 });
});

test('after a boot what was up comes up, production before any fork, each as it is wanted then', async (t) => {
  const daemon = await aShop(t, { memory: 2 ** 34 });
  await daemon.ask('cell.up', { ref: 'shop' });
  for (const tag of ['a', 'b', 'c']) await daemon.ask('fork.create', { ref: `shop:${tag}`, up: true });
  await daemon.ask('cell.down', { ref: 'shop:b' });
  for (const { id } of await daemon.cells.list()) await daemon.cells.stop(id);
  await daemon.restart();
  daemon.world.ran.length = 0;
  const go = daemon.world.hold();
  const reconciled = daemon.parts.supervisor.reconcile();
  await soon(() => daemon.world.ran.length > 0);
  // Meanwhile somebody removes a fork that waits for its turn.
  await daemon.ask('volume.remove', { ref: 'shop:c' });
  go();
  assert.deepEqual(await reconciled, ['shop is up', 'shop:a is up']);
  assert.deepEqual(
    daemon.world.ran.filter((hook) => hook.endsWith(' up')),
    ['shop up', 'shop:a up'],
  );
});

test('an app with a manual start stays down after a boot, and goes on after a restart of the daemon', async (t) => {
  const daemon = await aShop(t);
  await accept(daemon, 'shop', { ...HOOKS, start: 'manual' });
  await daemon.ask('cell.up', { ref: 'shop' });
  await daemon.restart();
  assert.equal(await stateOf(daemon, 'shop'), 'up');
  for (const { id } of await daemon.cells.list()) await daemon.cells.stop(id);
  await daemon.restart();
  assert.deepEqual(await daemon.parts.supervisor.reconcile(), []);
  assert.equal(await stateOf(daemon, 'shop'), 'down');
});

test('cells that no record has are ended, and one that cannot be taken over does not keep the rest', async (t) => {
  const daemon = await aShop(t, { file: { fork: { ...NO_FILE.fork } } });
  for (const tag of ['a', 'b']) await daemon.ask('fork.create', { ref: `shop:${tag}`, up: true });
  const [odd] = await daemon.cells.list();
  replace(daemon.cells, 'alive', (alive) => async (cell, session) => {
    if (cell === odd?.id) throw new Error('no such group');
    return alive(cell, session);
  });
  await daemon.restart();
  const states = await Promise.all(['shop:a', 'shop:b'].map((ref) => stateOf(daemon, ref)));
  assert.deepEqual(new Set(states), new Set(['down', 'up']));
});
