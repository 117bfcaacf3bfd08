import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DAY, type TestDaemon } from '../../test/builders/daemon.ts';
import { aShop, failsWith, fileIn, replace, stateOf } from '../../test/builders/daemon-tests.ts';
import { NO_FILE } from '../contract/app-file.ts';
import { AppError } from '../contract/errors.ts';

const trashOf = async (daemon: TestDaemon) => (await daemon.ask('trash.list', {})).items.map(({ name }) => name);
const inPool = async (daemon: TestDaemon) => (await daemon.volumes.list()).map(({ area }) => area).toSorted();

/** What the audit log says of the reaper, without the forks' freezing. */
async function deeds(daemon: TestDaemon): Promise<string[]> {
  const records = await daemon.audit();
  return records
    .filter(({ caller }) => caller.name === 'reaper')
    .map(({ operation, phase, target, outcome }) => `${operation} ${target} ${phase} ${outcome}`);
}

test('a fork goes to the trash when its time is over, and for good when the trash is', async (t) => {
  const daemon = await aShop(t, { file: { fork: { ...NO_FILE.fork, cleanup: './cleanup.sh' } } });
  await daemon.ask('fork.create', { ref: 'shop:fix', ttl: 3600, up: true });
  await daemon.parts.reaper.round();
  assert.equal(await stateOf(daemon, 'shop:fix'), 'up');
  daemon.now += 3_600_000;
  await daemon.parts.reaper.round();
  assert.equal(await stateOf(daemon, 'shop:fix'), undefined);
  assert.ok(daemon.world.ran.includes('shop:fix cleanup'));
  assert.deepEqual(await daemon.cells.list(), []);
  const [item] = (await daemon.ask('trash.list', {})).items;
  assert.deepEqual([item?.by, item?.why], ['reaper', 'its time was over']);
  daemon.now += 7 * DAY;
  await daemon.parts.reaper.round();
  assert.deepEqual(await trashOf(daemon), []);
  assert.deepEqual(await inPool(daemon), ['live']);
  assert.deepEqual(await deeds(daemon), [
    'fork.expire shop:fix intent allowed',
    'fork.expire shop:fix outcome done',
    'trash.expire shop:fix intent allowed',
    'trash.expire shop:fix outcome done',
  ]);
});

test('a fork that was given more time meanwhile stays', async (t) => {
  const daemon = await aShop(t);
  for (const tag of ['a', 'b']) await daemon.ask('fork.create', { ref: `shop:${tag}`, ttl: 60 });
  daemon.now += 60_000;
  // While the first is removed, the second is given another hour.
  const back = replace(daemon.parts, 'run', (run) => async (...args) => {
    back();
    await daemon.ask('fork.extend', { ref: 'shop:b', ttl: 3600 });
    return run(...args);
  });
  await daemon.parts.reaper.round();
  assert.equal(await stateOf(daemon, 'shop:a'), undefined);
  assert.equal(await stateOf(daemon, 'shop:b'), 'down');
});

test('what was brought back while the one before it was deleted keeps base, manifest and points', async (t) => {
  const daemon = await aShop(t);
  for (const tag of ['a', 'b']) {
    await daemon.ask('fork.create', { ref: `shop:${tag}` });
    await daemon.ask('volume.remove', { ref: `shop:${tag}` });
  }
  daemon.now += 8 * DAY;
  const back = replace(daemon.parts, 'run', (run) => async (plan, ...rest) => {
    back();
    const other = plan.target === 'shop:a' ? 'shop:b' : 'shop:a';
    await daemon.ask('trash.restore', { name: other });
    await run(plan, ...rest);
    await daemon.ask('fork.reset', { ref: other });
    assert.equal(await fileIn(daemon, other, 'data'), 'rows');
    return [];
  });
  await daemon.parts.reaper.round();
  assert.equal((await daemon.ask('app.list', {})).volumes.length, 2);
});

test('what cannot be removed keeps nothing else from it', async (t) => {
  const daemon = await aShop(t);
  for (const tag of ['a', 'b', 'c']) await daemon.ask('fork.create', { ref: `shop:${tag}`, ttl: 60 });
  const stuck = daemon.id('shop:a');
  const back = replace(daemon.volumes, 'toTrash', (toTrash) => async (id, key) => {
    if (id === stuck) throw new AppError('failed', 'the pool is read-only');
    return toTrash(id, key);
  });
  daemon.now += 60_000;
  await daemon.parts.locks.hold(['shop:b'], () => daemon.parts.reaper.round());
  assert.deepEqual(
    (await daemon.ask('app.list', {})).volumes.map(({ ref }) => ref),
    ['shop', 'shop:a', 'shop:b'],
  );
  assert.ok((await deeds(daemon)).includes('fork.expire shop:a outcome failed'));
  back();
  await daemon.parts.reaper.round();
  assert.deepEqual(
    (await daemon.ask('app.list', {})).volumes.map(({ ref }) => ref),
    ['shop'],
  );
});

test('what a person wants purged waits its ten minutes, and asking again does not put it off', async (t) => {
  const daemon = await aShop(t);
  await daemon.ask('fork.create', { ref: 'shop:fix' });
  await daemon.ask('volume.remove', { ref: 'shop:fix' });
  await failsWith('factor-required', daemon.ask('trash.purge', { name: 'shop:fix' }));
  const { at } = await daemon.ask('trash.purge', { name: 'shop:fix' }, { code: '123456' });
  assert.equal(Date.parse(at), daemon.now + 600_000);
  daemon.now += 599_000;
  await daemon.parts.reaper.round();
  assert.deepEqual(await trashOf(daemon), ['shop:fix']);
  assert.equal((await daemon.ask('trash.purge', { name: 'shop:fix' }, { code: '123456' })).at, at);
  daemon.now += 1000;
  await daemon.parts.reaper.round();
  assert.deepEqual(await trashOf(daemon), []);
});

test('an app that is deleted takes its points along', async (t) => {
  const daemon = await aShop(t);
  for (let change = 0; change < 3; change += 1) {
    daemon.now += 120_000;
    await daemon.ask('session.exec', { ref: 'shop', command: ['put', 'data', String(change)] });
  }
  await daemon.ask('volume.remove', { ref: 'shop', confirm: 'shop' }, { code: '123456' });
  daemon.now += 7 * DAY;
  await daemon.parts.reaper.round();
  assert.deepEqual(await daemon.volumes.list(), []);
  assert.deepEqual(daemon.parts.store.points.all(), []);
});

test('of the points the last twenty and those of the last day stay', async (t) => {
  const daemon = await aShop(t);
  const change = () => daemon.ask('session.exec', { ref: 'shop', command: ['put', 'data', 'x'] });
  for (let count = 0; count < 25; count += 1) {
    daemon.now += 61_000;
    await change();
  }
  await daemon.parts.reaper.round();
  assert.ok(daemon.parts.store.points.all().length >= 25);
  daemon.now += 2 * DAY;
  await daemon.parts.reaper.round();
  const points = daemon.parts.store.points.list(daemon.id('shop'));
  assert.equal(points.length, 20);
  assert.equal((await inPool(daemon)).filter((area) => area === 'point').length, 20);
});

test('what cannot be recorded is not deleted', async (t) => {
  const daemon = await aShop(t);
  await daemon.ask('fork.create', { ref: 'shop:fix', ttl: 60 });
  daemon.now += 60_000;
  const back = replace(daemon.parts.audit, 'append', () => async () => {
    throw new AppError('no-room', 'the disk is full');
  });
  await daemon.parts.reaper.round();
  back();
  assert.equal(await stateOf(daemon, 'shop:fix'), 'down');
});
