import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AGENT, CODE, SOMEBODY } from '../../../test/builders/daemon.ts';
import { aDaemon, aShop, failsWith, fileIn, replace, soon, stateOf } from '../../../test/builders/daemon-tests.ts';
import type { Caller } from '../../core/caller.ts';
import { AppError } from '../../contract/errors.ts';

const MIB = 2 ** 20;

test('an app is made empty, or from what is sent', async (t) => {
  const daemon = await aDaemon(t);
  const empty = await daemon.ask('app.create', { name: 'blog' });
  assert.deepEqual([empty.ref, empty.files, empty.proposal], ['blog', 0, false]);
  const upload = daemon.stream('app.create', { name: 'shop', from: './shop' });
  upload.send('all of it');
  upload.endInput();
  assert.deepEqual(await upload.done, { ref: 'shop', id: daemon.id('shop'), files: 3, bytes: 12, proposal: false });
  assert.equal(await fileIn(daemon, 'shop', 'data'), 'all of it');
  assert.deepEqual(await daemon.cells.list(), [], 'its cell was for unpacking alone');
  assert.equal(daemon.parts.uploads.size, 0);
});

test('an upload that is broken, or whose sender leaves, leaves nothing', async (t) => {
  const daemon = await aDaemon(t);
  const broken = daemon.stream('app.create', { name: 'shop', from: './shop' });
  broken.send('broken');
  broken.endInput();
  await failsWith('bad-archive', broken.done);
  const cut = daemon.stream('app.create', { name: 'shop', from: './shop' });
  cut.send('half of');
  await soon(() => daemon.parts.uploads.size === 1);
  cut.leave();
  await cut.done;
  assert.deepEqual((await daemon.ask('app.list', {})).volumes, []);
  assert.deepEqual(await daemon.volumes.list(), []);
  assert.deepEqual(await daemon.cells.list(), []);
  assert.equal(daemon.parts.uploads.size, 0);
  const failed = (await daemon.audit()).filter(({ outcome }) => outcome === 'failed');
  assert.deepEqual(
    failed.map(({ code }) => code),
    ['bad-archive', 'bad-archive'],
  );
});

test('a name is checked once, and taken once', async (t) => {
  const daemon = await aDaemon(t);
  for (const name of ['Shop', '-shop', 'shop:fix', 'a'.repeat(60), '../shop', ''])
    await failsWith('bad-name', daemon.ask('app.create', { name }));
  const made = await Promise.allSettled([1, 2].map(() => daemon.ask('app.create', { name: 'shop' })));
  assert.deepEqual(
    made.map(({ status }) => status).toSorted((a, b) => (a < b ? -1 : 1)),
    ['fulfilled', 'rejected'],
  );
  await failsWith('exists', daemon.ask('app.create', { name: 'shop' }), /shop/);
  for (const as of [AGENT, SOMEBODY]) await failsWith('refused', daemon.ask('app.create', { name: 'other' }, { as }));
});

test('a pool below its floor takes no app', async (t) => {
  const daemon = await aShop(t, { pool: 128 * MIB, floor: 64 * MIB });
  await daemon.volumes.put({ area: 'live', id: daemon.id('shop') }, 'big', Buffer.alloc(100 * MIB));
  await failsWith('pool-full', daemon.ask('app.create', { name: 'blog' }), /28\.0 MiB free, and 64\.0 MiB/);
});

test('an app is removed by its name, by factor, once it has no forks, and comes back whole', async (t) => {
  const daemon = await aShop(t);
  await daemon.ask('cell.up', { ref: 'shop' });
  await daemon.ask('fork.create', { ref: 'shop:fix' });
  const remove = (more: object) => daemon.ask('volume.remove', { ref: 'shop', ...more }, { code: CODE });
  const forks = await failsWith('wrong-state', remove({ confirm: 'shop' }), /1 of its forks/);
  assert.deepEqual(forks.next, ['bulkhead rm shop:fix']);
  await daemon.ask('volume.remove', { ref: 'shop:fix' });
  await failsWith('usage', remove({ confirm: 'blog' }));
  const { trash } = await remove({ confirm: 'shop' });
  assert.ok(daemon.world.ran.includes('shop down'), 'it was stopped in order');
  assert.deepEqual(await daemon.cells.list(), []);
  await failsWith('not-found', daemon.ask('cell.up', { ref: 'shop' }));
  await failsWith('refused', daemon.ask('trash.restore', { name: trash }, { as: AGENT }));
  await daemon.ask('trash.restore', { name: trash });
  assert.equal(await fileIn(daemon, 'shop', 'data'), 'rows');
  assert.equal(await stateOf(daemon, 'shop'), 'down');
  await daemon.ask('cell.up', { ref: 'shop' });
});

test('a cell sees itself, and nothing else', async (t) => {
  const daemon = await aShop(t);
  for (const tag of ['a', 'b']) await daemon.ask('fork.create', { ref: `shop:${tag}` });
  const as: Caller = { kind: 'cell', cell: daemon.id('shop:a'), uid: 1_879_048_192, user: null, pid: 7, evidence: [] };
  assert.deepEqual(
    (await daemon.ask('app.list', {}, { as })).volumes.map(({ ref }) => ref),
    ['shop:a'],
  );
  await failsWith('not-found', daemon.ask('app.list', { ref: 'shop:b' }, { as }));
  await failsWith('not-found', daemon.ask('cell.processes', { ref: 'shop' }, { as }));
  assert.deepEqual(await daemon.ask('cell.processes', { ref: 'shop:a' }, { as }), { processes: [] });
  await failsWith('refused', daemon.ask('volume.remove', { ref: 'shop:a' }, { as }));
  await failsWith('refused', daemon.ask('fork.create', { ref: 'shop:c' }, { as }));
});

test('ls tells of a ref that is nowhere, and answers while the pool cannot', async (t) => {
  const daemon = await aShop(t);
  await failsWith('not-found', daemon.ask('app.list', { ref: 'blog' }), /blog/);
  replace(daemon.volumes, 'usage', () => async () => {
    throw new AppError('failed', 'the quotas cannot be read');
  });
  assert.equal((await daemon.ask('app.list', {})).volumes[0]?.own, null);
  await daemon.volumes.close();
  assert.equal((await daemon.ask('app.list', {})).pool, null);
});

test('content that has gone past the daemon is named, and what can be done is said', async (t) => {
  const daemon = await aShop(t);
  await daemon.ask('fork.create', { ref: 'shop:fix' });
  await daemon.volumes.purge({ area: 'live', id: daemon.id('shop:fix') });
  const missing = await failsWith('not-found', daemon.ask('session.exec', { ref: 'shop:fix', command: ['exit', '0'] }));
  assert.match(missing.message, /content of shop:fix is missing/);
  assert.deepEqual(missing.next, ['bulkhead reset shop:fix', 'bulkhead rm shop:fix']);
  await daemon.restart();
  assert.match((await daemon.ask('machine.status', {})).recovered.join(), /content of shop:fix is missing/);
  await daemon.ask('fork.reset', { ref: 'shop:fix' });
  assert.equal(await fileIn(daemon, 'shop:fix', 'data'), 'rows');
  await daemon.volumes.purge({ area: 'live', id: daemon.id('shop:fix') });
  await daemon.ask('volume.remove', { ref: 'shop:fix' });
  assert.equal(await stateOf(daemon, 'shop:fix'), undefined);
});
