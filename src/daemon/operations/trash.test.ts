import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AGENT, CODE, DAY, SOMEBODY, type TestDaemon } from '../../../test/builders/daemon.ts';
import { aShop, failsWith, fileIn, stateOf } from '../../../test/builders/daemon-tests.ts';

const names = async (daemon: TestDaemon) => (await daemon.ask('trash.list', {})).items.map(({ name }) => name);

async function aRemovedFork(t: Parameters<typeof aShop>[0]) {
  const daemon = await aShop(t);
  await daemon.ask('fork.create', { ref: 'shop:fix' });
  await daemon.volumes.put({ area: 'live', id: daemon.id('shop:fix') }, 'data', Buffer.from('fixed'));
  const removed = await daemon.ask('volume.remove', { ref: 'shop:fix' });
  return { daemon, removed };
}

test('what was removed waits a week, and says by whom', async (t) => {
  const { daemon, removed } = await aRemovedFork(t);
  assert.deepEqual(removed, {
    ref: 'shop:fix',
    trash: 'shop:fix',
    until: new Date(daemon.now + 7 * DAY).toISOString(),
  });
  const [item] = (await daemon.ask('trash.list', {})).items;
  assert.deepEqual(
    [item?.name, item?.ref, item?.kind, item?.by, item?.why],
    ['shop:fix', 'shop:fix', 'fork', 'deploy', 'removed'],
  );
});

test('it comes back as it was, with a day to live, to its old name or another', async (t) => {
  const { daemon } = await aRemovedFork(t);
  await daemon.ask('fork.create', { ref: 'shop:fix' });
  const taken = await failsWith('exists', daemon.ask('trash.restore', { name: 'shop:fix' }), /the name is taken/);
  assert.match(taken.next[0] ?? '', /--as/);
  assert.deepEqual(await daemon.ask('trash.restore', { name: 'shop:fix', as: 'shop:old' }), { ref: 'shop:old' });
  assert.equal(await fileIn(daemon, 'shop:old', 'data'), 'fixed');
  const { volumes } = await daemon.ask('app.list', {});
  assert.equal(volumes.find(({ ref }) => ref === 'shop:old')?.expires, new Date(daemon.now + DAY).toISOString());
  await daemon.ask('session.exec', { ref: 'shop:old', command: ['exit', '0'] });
  assert.deepEqual(await names(daemon), []);
});

test('several of one name are told apart', async (t) => {
  const { daemon } = await aRemovedFork(t);
  await daemon.ask('fork.create', { ref: 'shop:fix' });
  assert.equal((await daemon.ask('volume.remove', { ref: 'shop:fix' })).trash, 'shop:fix~2');
  await daemon.ask('trash.restore', { name: 'shop:fix~2' });
  assert.equal(await fileIn(daemon, 'shop:fix', 'data'), 'rows');
});

test('what is not there, would change its kind, or is old content does not come back', async (t) => {
  const { daemon } = await aRemovedFork(t);
  await failsWith('not-found', daemon.ask('trash.restore', { name: 'shop:none' }));
  await failsWith('not-found', daemon.ask('trash.purge', { name: 'shop:none' }, { code: CODE }));
  await failsWith('usage', daemon.ask('trash.restore', { name: 'shop:fix', as: 'fix' }));
  await failsWith('wrong-state', daemon.ask('trash.restore', { name: 'shop:fix', as: 'blog:fix' }));
  await daemon.ask('fork.create', { ref: 'shop:b' });
  const { trash } = await daemon.ask('fork.reset', { ref: 'shop:b' });
  await failsWith('wrong-state', daemon.ask('trash.restore', { name: trash }), /cannot take its place/);
});

test('a fork belongs to its owner in the trash as well', async (t) => {
  const daemon = await aShop(t);
  await daemon.ask('fork.create', { ref: 'shop:own' }, { as: AGENT });
  await daemon.ask('volume.remove', { ref: 'shop:own' }, { as: AGENT });
  await failsWith('refused', daemon.ask('trash.restore', { name: 'shop:own' }, { as: SOMEBODY }));
  for (const as of [AGENT, SOMEBODY])
    await failsWith('refused', daemon.ask('trash.purge', { name: 'shop:own' }, { as, code: CODE }));
  await daemon.ask('trash.restore', { name: 'shop:own' }, { as: AGENT });
  assert.equal(await stateOf(daemon, 'shop:own'), 'down');
});

test('what waits for its end can still be brought back, and then does not go', async (t) => {
  const { daemon } = await aRemovedFork(t);
  await daemon.ask('trash.purge', { name: 'shop:fix' }, { code: CODE });
  await daemon.ask('trash.restore', { name: 'shop:fix' });
  daemon.now += 3_600_000;
  await daemon.parts.reaper.round();
  assert.equal(await fileIn(daemon, 'shop:fix', 'data'), 'fixed');
});
