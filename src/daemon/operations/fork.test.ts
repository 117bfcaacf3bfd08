import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AGENT, DAY, DEPLOY, SOMEBODY } from '../../../test/builders/daemon.ts';
import { aDaemon, aShop, accept, failsWith, fileIn, stateOf, watchPlans } from '../../../test/builders/daemon-tests.ts';
import { NO_FILE } from '../../contract/app-file.ts';

const MIB = 2 ** 20;

test('a fork holds what its app holds, belongs to who asked, and changes nothing of the app', async (t) => {
  const daemon = await aShop(t);
  const made = await daemon.ask('fork.create', { ref: 'shop:fix' }, { as: AGENT });
  assert.equal(made.ref, 'shop:fix');
  assert.equal(made.expires, new Date(daemon.now + DAY).toISOString());
  await daemon.volumes.put({ area: 'live', id: daemon.id('shop:fix') }, 'data', Buffer.from('gone'));
  assert.equal(await fileIn(daemon, 'shop', 'data'), 'rows');
  const { volumes } = await daemon.ask('app.list', { ref: 'shop' });
  assert.deepEqual(
    volumes.map(({ ref, owner, parent, state }) => [ref, owner, parent, state]),
    [
      ['shop', 'deploy', null, 'down'],
      ['shop:fix', 'claude-code', 'shop', 'down'],
    ],
  );
});

test('without a tag one is invented, and a fork of a fork holds what that holds', async (t) => {
  const daemon = await aShop(t);
  const { ref } = await daemon.ask('fork.create', { ref: 'shop' });
  assert.match(ref, /^shop:[a-z0-9-]+$/);
  await daemon.volumes.put({ area: 'live', id: daemon.id(ref) }, 'data', Buffer.from('changed'));
  await daemon.ask('fork.create', { ref: 'shop:b', from: ref });
  assert.equal(await fileIn(daemon, 'shop:b', 'data'), 'changed');
});

test('a fork of a point holds what the app held then', async (t) => {
  const daemon = await aShop(t);
  daemon.now += 120_000;
  await daemon.ask('session.exec', { ref: 'shop', command: ['put', 'data', 'new'] });
  const { points } = await daemon.ask('point.list', { ref: 'shop' });
  await daemon.ask('fork.create', { ref: 'shop:look', from: points[0]?.name ?? '' });
  assert.equal(await fileIn(daemon, 'shop:look', 'data'), 'rows');
  await failsWith('not-found', daemon.ask('fork.create', { ref: 'shop:x', from: 'shop@19700101T000000Z' }), /no point/);
});

test('its file says how long it lives and how much it may write; only a person gets more', async (t) => {
  const daemon = await aShop(t, { file: { fork: { ...NO_FILE.fork, ttl: 3600, limits: { disk: 10 * MIB } } } });
  const own = await daemon.ask('fork.create', { ref: 'shop:a', disk: 50 * MIB }, { as: AGENT });
  assert.deepEqual([own.cap, own.expires], [10 * MIB, new Date(daemon.now + 3_600_000).toISOString()]);
  const more = await daemon.ask('fork.create', { ref: 'shop:b', disk: 50 * MIB, ttl: 7200 });
  assert.deepEqual([more.cap, more.expires], [50 * MIB, new Date(daemon.now + 7_200_000).toISOString()]);
  await failsWith('usage', daemon.ask('fork.create', { ref: 'shop:c', ttl: 40 * 86_400 }), /30 days/);
  await failsWith('usage', daemon.ask('fork.create', { ref: 'shop:c', disk: 1000 }), /1 MiB/);
  await failsWith(
    'pool-full',
    daemon.volumes.put({ area: 'live', id: daemon.id('shop:a') }, 'big', Buffer.alloc(11 * MIB)),
  );
});

test('names that are wrong, taken or nowhere are refused with a next step', async (t) => {
  const daemon = await aShop(t);
  await daemon.ask('app.create', { name: 'blog' });
  await daemon.ask('fork.create', { ref: 'shop:fix' });
  await failsWith('bad-name', daemon.ask('fork.create', { ref: 'shop:Fix!' }));
  await failsWith('not-found', daemon.ask('fork.create', { ref: 'nothing:fix' }), /nothing/);
  const taken = await failsWith('exists', daemon.ask('fork.create', { ref: 'shop:fix' }), /shop:fix/);
  assert.ok(taken.next.length > 0);
  await failsWith('usage', daemon.ask('fork.create', { ref: 'shop:b', from: 'blog' }), /another app/);
  await failsWith('wrong-state', daemon.ask('fork.reset', { ref: 'shop' }), /is an app/);
});

test('of two that ask for one name at once, one gets it', async (t) => {
  const daemon = await aShop(t);
  const asked = await Promise.allSettled([1, 2, 3].map(() => daemon.ask('fork.create', { ref: 'shop:fix' })));
  assert.equal(asked.filter(({ status }) => status === 'fulfilled').length, 1);
  for (const one of asked) if (one.status === 'rejected') assert.match(one.reason.code, /^(busy|exists)$/);
});

test('ten forks are the most, also of many that are asked for at once', async (t) => {
  const daemon = await aShop(t);
  const wanted = Array.from({ length: 15 }, (_, at) =>
    daemon.ask('fork.create', { ref: `shop:f${at}` }, { as: AGENT }),
  );
  const made = await Promise.allSettled(wanted);
  assert.equal(made.filter(({ status }) => status === 'fulfilled').length, 10);
  await failsWith('quota', daemon.ask('fork.create', { ref: 'shop:more' }, { as: AGENT }), /10 of 10/);
  await daemon.ask('fork.create', { ref: 'shop:other' }, { as: SOMEBODY });
  const mine = (await daemon.ask('app.list', {})).volumes.find(({ owner }) => owner === 'claude-code')?.ref ?? '';
  await daemon.ask('volume.remove', { ref: mine }, { as: AGENT });
  await daemon.ask('fork.create', { ref: 'shop:more' }, { as: AGENT });
});

test('below the floor no fork is made, and the figures are told', async (t) => {
  const daemon = await aShop(t, { pool: 256 * MIB, floor: 64 * MIB });
  await daemon.volumes.put({ area: 'live', id: daemon.id('shop') }, 'big', Buffer.alloc(200 * MIB));
  await failsWith('pool-full', daemon.ask('fork.create', { ref: 'shop:fix' }), /56\.0 MiB free, and 64\.0 MiB/);
  assert.equal(await stateOf(daemon, 'shop:fix'), undefined);
});

test('one that would not fit beside those that run is refused with figures, and not made', async (t) => {
  const file = { fork: { ...NO_FILE.fork, limits: { memory: 300 * MIB } } };
  const daemon = await aShop(t, { memory: 1024 * MIB, file });
  await daemon.ask('fork.create', { ref: 'shop:a', up: true });
  const refused = await failsWith('no-room', daemon.ask('fork.create', { ref: 'shop:b', up: true }), /300 MiB/);
  assert.match(refused.why ?? '', /1 running forks may use 300 MiB, all forks together 512 MiB/);
  assert.equal(await stateOf(daemon, 'shop:b'), undefined);
  await daemon.ask('fork.create', { ref: 'shop:b' });
  await failsWith('no-room', daemon.ask('cell.up', { ref: 'shop:b' }));
  await daemon.ask('cell.down', { ref: 'shop:a' });
  await daemon.ask('cell.up', { ref: 'shop:b' });
});

test('of many that start at once, as many start as fit', async (t) => {
  const file = { fork: { ...NO_FILE.fork, limits: { memory: 300 * MIB } } };
  const daemon = await aShop(t, { memory: 2048 * MIB, file });
  const asked = ['a', 'b', 'c', 'd', 'e'].map((tag) => daemon.ask('fork.create', { ref: `shop:${tag}`, up: true }));
  const started = (await Promise.allSettled(asked)).filter(({ status }) => status === 'fulfilled');
  assert.equal(started.length, 3, '3 times 300 MiB fit into 1 GiB');
});

test('prepare runs before anyone may enter, and one that fails leaves nothing', async (t) => {
  const daemon = await aShop(t, { file: { fork: { ...NO_FILE.fork, prepare: './prepare.sh' } } });
  await daemon.ask('fork.create', { ref: 'shop:a' });
  assert.equal(await fileIn(daemon, 'shop:a', 'prepared'), 'masked');
  assert.deepEqual(await daemon.cells.list(), []);
  daemon.world.codes.set('shop:b prepare', 3);
  await failsWith('hook-failed', daemon.ask('fork.create', { ref: 'shop:b' }), /"prepare" of shop:b ended with 3/);
  assert.equal(await stateOf(daemon, 'shop:b'), undefined);
  assert.equal((await daemon.volumes.list()).filter(({ area }) => area === 'live').length, 2);
});

test('reset puts back what it was, keeps what it held, and starts what was up', async (t) => {
  const daemon = await aShop(t);
  await daemon.ask('fork.create', { ref: 'shop:fix', up: true });
  await daemon.volumes.put({ area: 'live', id: daemon.id('shop:fix') }, 'data', Buffer.from('broken'));
  const reset = await daemon.ask('fork.reset', { ref: 'shop:fix' });
  assert.deepEqual([reset.up, reset.trash], [true, 'shop:fix@reset']);
  assert.equal(await fileIn(daemon, 'shop:fix', 'data'), 'rows');
  assert.equal(await stateOf(daemon, 'shop:fix'), 'up');
});

test('a fork lives as long as it is told, counted from now', async (t) => {
  const daemon = await aShop(t);
  await daemon.ask('fork.create', { ref: 'shop:fix' });
  daemon.now += 3_600_000;
  const { expires } = await daemon.ask('fork.extend', { ref: 'shop:fix', ttl: 48 * 3600 });
  assert.equal(expires, new Date(daemon.now + 2 * DAY).toISOString());
});

test('a plan is what is then done, and does nothing', async (t) => {
  const daemon = await aShop(t, { file: { fork: { ...NO_FILE.fork, prepare: './p.sh', cleanup: './c.sh' } } });
  const before = JSON.stringify(await daemon.volumes.list());
  for (const [name, input] of [
    ['fork.create', { ref: 'shop:fix', up: true }],
    ['fork.reset', { ref: 'shop:fix' }],
    ['cell.restart', { ref: 'shop:fix' }],
    ['cell.down', { ref: 'shop:fix' }],
    ['cell.up', { ref: 'shop:fix' }],
    ['volume.remove', { ref: 'shop:fix' }],
    ['trash.restore', { name: 'shop:fix' }],
  ] as const) {
    const planned = await daemon.plan(name, input);
    if (name === 'fork.create') assert.equal(JSON.stringify(await daemon.volumes.list()), before);
    const executed = watchPlans(daemon);
    await daemon.ask(name, input);
    const steps = executed.flatMap((plan) => plan.steps.map((step) => ({ key: step.do, label: step.label })));
    assert.deepEqual(planned.steps, steps, name);
  }
});

test('an agent has what it made itself: not the forks of its person, nor those of another user', async (t) => {
  const daemon = await aShop(t);
  await daemon.ask('fork.create', { ref: 'shop:person' }, { as: DEPLOY });
  await daemon.ask('fork.create', { ref: 'shop:own' }, { as: AGENT });
  for (const name of ['fork.reset', 'volume.remove', 'cell.up'] as const) {
    await failsWith('refused', daemon.ask(name, { ref: 'shop:person' }, { as: AGENT }));
    await failsWith('refused', daemon.ask(name, { ref: 'shop:own' }, { as: SOMEBODY }));
  }
  await failsWith('refused', daemon.ask('fork.create', { ref: 'shop:x', from: 'shop:person' }, { as: AGENT }));
  await daemon.ask('volume.remove', { ref: 'shop:own' }, { as: AGENT });
});

test('a fork inherits what counts for its app, as it was when it was made', async (t) => {
  const daemon = await aShop(t);
  await daemon.ask('fork.create', { ref: 'shop:old' });
  await accept(daemon, 'shop', { ...NO_FILE, start: 'manual' });
  assert.deepEqual((await daemon.ask('config.show', { ref: 'shop:old' })).accepted, {
    ...NO_FILE,
    hooks: { up: './up.sh', health: './health.sh', down: './down.sh' },
  });
  await failsWith('wrong-state', daemon.ask('config.accept', { ref: 'shop:old' }, { code: '123456' }), /is a fork/);
});

test('what a person took back is not handed on from fork to fork', async (t) => {
  const daemon = await aShop(t, { file: { fork: { limits: {}, egress: 'any' } } });
  await daemon.ask('fork.create', { ref: 'shop:old' }, { as: AGENT });
  await accept(daemon, 'shop', { ...NO_FILE, fork: { limits: {}, egress: [], prepare: './mask.sh' } });
  await daemon.ask('fork.create', { ref: 'shop:new', from: 'shop:old' }, { as: AGENT });
  const { volumes } = await daemon.ask('app.list', { ref: 'shop' });
  assert.deepEqual(
    volumes.map(({ ref, egress }) => [ref, egress]),
    [
      ['shop', 'production'],
      ['shop:old', 'any'],
      ['shop:new', 'none'],
    ],
  );
  assert.ok(daemon.world.ran.includes('shop:new prepare'));
});

test('without a pool, a fork says so', async (t) => {
  const daemon = await aShop(t);
  await daemon.volumes.close();
  await failsWith('no-pool', daemon.ask('fork.create', { ref: 'shop:fix' }));
  const bare = await aDaemon(t, { bare: true });
  await failsWith('refused', bare.ask('app.create', { name: 'shop' }), /not set up/);
});
