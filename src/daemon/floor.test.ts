import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { TestDaemon } from '../../test/builders/daemon.ts';
import { aShop, failsWith, fileIn, replace, stateOf } from '../../test/builders/daemon-tests.ts';

const MIB = 2 ** 20;

/** 512 MiB, of which 64 stay free; production's `big` decides how much there is. */
async function aSmallPool(t: TestContext): Promise<TestDaemon> {
  return aShop(t, { pool: 512 * MIB, floor: 64 * MIB, notice: 10_000 });
}

const write = (daemon: TestDaemon, ref: string, mib: number) =>
  daemon.volumes.put({ area: 'live', id: daemon.id(ref) }, 'big', Buffer.alloc(mib * MIB));

const refs = async (daemon: TestDaemon) => (await daemon.ask('app.list', {})).volumes.map(({ ref }) => ref);

/** Three forks of 100 MiB, of which the first two run, and were used in this order: b, a. */
async function withForks(t: TestContext): Promise<TestDaemon> {
  const daemon = await aSmallPool(t);
  for (const tag of ['a', 'b', 'c']) {
    await daemon.ask('fork.create', { ref: `shop:${tag}`, up: tag !== 'c' });
    await write(daemon, `shop:${tag}`, 100);
  }
  for (const tag of ['c', 'b', 'a']) {
    daemon.now += 1000;
    await daemon.ask('session.exec', { ref: `shop:${tag}`, command: ['exit', '0'] });
  }
  await daemon.ask('cell.down', { ref: 'shop:c' });
  return daemon;
}

test('below the floor forks are frozen, and that is said', async (t) => {
  const daemon = await withForks(t);
  await daemon.parts.reaper.round();
  assert.equal(await stateOf(daemon, 'shop:a'), 'up');
  await write(daemon, 'shop', 160);
  await daemon.parts.reaper.round();
  const { volumes } = await daemon.ask('app.list', {});
  const shown = Object.fromEntries(volumes.map(({ ref, state }) => [ref, state]));
  assert.deepEqual(shown, { shop: 'down', 'shop:a': 'frozen', 'shop:b': 'frozen', 'shop:c': 'down' });
  assert.match(volumes.find(({ ref }) => ref === 'shop:a')?.note ?? '', /below its floor/);
  assert.match(
    (await daemon.ask('machine.status', {})).notes.join(),
    /below its floor: 52\.0 MiB free, 64\.0 MiB kept/,
  );
  assert.ok((await daemon.cells.list()).every(({ frozen }) => frozen));
  const frozen = (await daemon.audit()).filter(({ operation }) => operation === 'fork.freeze');
  assert.deepEqual(new Set(frozen.map(({ target }) => target)), new Set(['shop:a', 'shop:b']));
  assert.match(JSON.stringify(frozen[0]?.arguments), /52\.0 MiB/);
});

test('while it is so no fork is made, started, entered or reset, and the figures are told', async (t) => {
  const daemon = await withForks(t);
  await write(daemon, 'shop', 160);
  await daemon.parts.reaper.round();
  for (const ask of [
    () => daemon.ask('fork.create', { ref: 'shop:more' }),
    () => daemon.ask('cell.up', { ref: 'shop:c' }),
    () => daemon.ask('cell.restart', { ref: 'shop:a' }),
    () => daemon.ask('session.exec', { ref: 'shop:a', command: ['exit', '0'] }),
    () => daemon.ask('fork.reset', { ref: 'shop:a' }),
  ])
    await failsWith('pool-full', ask(), /52\.0 MiB/);
  // Production goes on.
  await daemon.ask('session.exec', { ref: 'shop', command: ['put', 'data', 'more'] });
  await daemon.ask('cell.up', { ref: 'shop' });
});

test('one that runs all the same is frozen in the next round', async (t) => {
  const daemon = await withForks(t);
  await write(daemon, 'shop', 160);
  await daemon.parts.reaper.round();
  await daemon.parts.supervisor.ensureCell(daemon.parts.store.volumes.byRef('shop', 'c') as never);
  await daemon.parts.reaper.round();
  assert.ok((await daemon.cells.list()).every(({ frozen }) => frozen));
});

test('after the notice they go for good, longest idle first, until there is room again', async (t) => {
  const daemon = await withForks(t);
  await write(daemon, 'shop', 160);
  await daemon.parts.reaper.round();
  daemon.now += 9_000;
  await daemon.parts.reaper.round();
  assert.equal((await refs(daemon)).length, 4, 'not before the notice is over');
  daemon.now += 1_000;
  await daemon.parts.reaper.round();
  assert.deepEqual(await refs(daemon), ['shop', 'shop:a', 'shop:b'], 'c was used first');
  assert.deepEqual((await daemon.ask('trash.list', {})).items, [], 'a rename into the trash would free nothing');
  await daemon.parts.reaper.round();
  assert.equal(await stateOf(daemon, 'shop:a'), 'up', 'there is room: it is thawed');
  assert.ok((await daemon.cells.list()).every(({ frozen }) => !frozen));
  assert.equal(await fileIn(daemon, 'shop', 'data'), 'rows');
  const evicted = (await daemon.audit()).filter(({ operation }) => operation === 'fork.evict');
  assert.deepEqual(
    evicted.map(({ target, outcome }) => [target, outcome]),
    [
      ['shop:c', 'allowed'],
      ['shop:c', 'done'],
    ],
  );
});

test('while the space of what went is still coming back, nothing more goes for it', async (t) => {
  const daemon = await withForks(t);
  await write(daemon, 'shop', 160);
  await daemon.parts.reaper.round();
  daemon.now += 10_000;
  await daemon.parts.reaper.round();
  assert.equal((await refs(daemon)).length, 3, 'one has gone');
  /** A look while so much of its 100 MiB is still being cleaned up; how many are left. */
  const look = async (mib: number, seconds: number): Promise<number> => {
    const back = replace(daemon.volumes, 'room', (room) => async () => {
      const now = await room();
      return now === undefined ? undefined : { ...now, free: now.free - mib * MIB };
    });
    daemon.now += seconds * 1000;
    await daemon.parts.reaper.round();
    back();
    return (await refs(daemon)).length;
  };
  for (const mib of [100, 95, 93]) assert.equal(await look(mib, 30), 3, `${mib} MiB are to come`);
  assert.equal(await look(93, 39), 3);
  assert.equal(await look(93, 1), 2, 'nothing came for long: it is not waited for any more');
});

test('what lies in the trash of forks goes before any fork that lives', async (t) => {
  const daemon = await withForks(t);
  await daemon.ask('volume.remove', { ref: 'shop:a' });
  await write(daemon, 'shop', 160);
  await daemon.parts.reaper.round();
  daemon.now += 10_000;
  await daemon.parts.reaper.round();
  assert.deepEqual((await daemon.ask('trash.list', {})).items, []);
  assert.deepEqual(await refs(daemon), ['shop', 'shop:b', 'shop:c']);
});

test('one that an operation holds is passed over', async (t) => {
  const daemon = await withForks(t);
  await write(daemon, 'shop', 160);
  await daemon.parts.reaper.round();
  daemon.now += 10_000;
  await daemon.parts.locks.hold(['shop:c'], () => daemon.parts.reaper.round());
  assert.deepEqual(await refs(daemon), ['shop', 'shop:a', 'shop:c'], 'b is the next');
});

test('one that is frozen can be removed, in order', async (t) => {
  const daemon = await withForks(t);
  await write(daemon, 'shop', 160);
  await daemon.parts.reaper.round();
  await daemon.ask('volume.remove', { ref: 'shop:a' });
  await daemon.ask('cell.down', { ref: 'shop:b' });
  assert.ok(daemon.world.ran.includes('shop:b down'), 'its hook ran, so it was thawed');
  assert.deepEqual(await daemon.cells.list(), []);
});

test('forks together never write into what is kept for production', async (t) => {
  const daemon = await withForks(t);
  await daemon.parts.reaper.round();
  // 512 - 300 = 212 free, 64 of them kept: 148 more may be written.
  await write(daemon, 'shop:a', 240);
  await failsWith('pool-full', write(daemon, 'shop:a', 260));
  await write(daemon, 'shop', 50);
});

test('a daemon that starts anew thaws, looks, and freezes again', async (t) => {
  const daemon = await withForks(t);
  await write(daemon, 'shop', 160);
  await daemon.parts.reaper.round();
  await daemon.restart();
  assert.equal(await stateOf(daemon, 'shop:a'), 'up');
  await daemon.parts.reaper.round();
  assert.equal(await stateOf(daemon, 'shop:a'), 'frozen');
});
