import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AGENT, DEPLOY, SOMEBODY } from '../../test/builders/daemon.ts';
import { aShop, failsWith, replace, soon } from '../../test/builders/daemon-tests.ts';

const wait = { ref: 'shop:fix', command: ['wait'], interactive: true };

async function aFork(t: Parameters<typeof aShop>[0]) {
  const daemon = await aShop(t);
  await daemon.ask('fork.create', { ref: 'shop:fix' });
  const sessions = () => daemon.cells.sessions(daemon.id('shop:fix'));
  /** The UUID of a session that runs. */
  const started = async (stream: { controls: readonly object[] }): Promise<string> => {
    const find = () => stream.controls.find((one) => 'session' in one) as { session: string } | undefined;
    await soon(() => find() !== undefined);
    return find()?.session ?? '';
  };
  return { daemon, sessions, started };
}

test('a command has its output, its exit code, and is over with its client', async (t) => {
  const { daemon, sessions, started } = await aFork(t);
  const cat = daemon.stream('session.exec', { ref: 'shop:fix', command: ['cat', 'data'] });
  assert.deepEqual(await cat.done, { code: 0 });
  assert.equal(cat.output(), 'rows');
  assert.deepEqual(await daemon.ask('session.exec', { ref: 'shop:fix', command: ['exit', '9'] }), { code: 9 });
  assert.deepEqual(await daemon.ask('session.exec', { ref: 'shop:fix', command: ['nothing'] }), { code: 127 });
  const waiting = daemon.stream('session.exec', wait);
  await started(waiting);
  waiting.leave();
  await waiting.done;
  assert.deepEqual(await sessions(), []);
  assert.deepEqual(daemon.parts.store.sessions.list(), []);
});

test('after a restart of the daemon its owner, and nobody else, goes on with it', async (t) => {
  const { daemon, sessions, started } = await aFork(t);
  const first = daemon.stream('session.exec', wait);
  const session = await started(first);
  await daemon.restart();
  assert.deepEqual(await sessions(), [session]);
  for (const as of [SOMEBODY, AGENT])
    await failsWith('refused', daemon.ask('session.attach', { ref: 'shop:fix', session }, { as }));
  await daemon.ask('fork.create', { ref: 'shop:agent' }, { as: AGENT });
  await failsWith('not-found', daemon.ask('session.attach', { ref: 'shop:agent', session }, { as: AGENT }));
  const second = daemon.stream('session.attach', { ref: 'shop:fix', session });
  await started(second);
  await failsWith('not-found', daemon.ask('session.attach', { ref: 'shop:fix', session }, { as: DEPLOY }));
  second.leave();
  await second.done.catch(() => {});
  assert.deepEqual(await sessions(), []);
  await failsWith('not-found', daemon.ask('session.attach', { ref: 'shop:fix', session }));
  await failsWith('usage', daemon.ask('session.attach', { ref: 'shop:fix', session: 'none' }));
});

test('one whose client does not come back within thirty seconds ends', async (t) => {
  const { daemon, sessions, started } = await aFork(t);
  await started(daemon.stream('session.exec', wait));
  t.mock.timers.enable({ apis: ['setTimeout'] });
  await daemon.restart();
  t.mock.timers.tick(29_999);
  assert.equal((await sessions()).length, 1);
  t.mock.timers.tick(1);
  await soon(async () => (await sessions()).length === 0);
  assert.deepEqual(daemon.parts.store.sessions.list(), []);
});

test('down, reset and rm end the sessions of their fork', async (t) => {
  const { daemon, sessions, started } = await aFork(t);
  for (const name of ['cell.down', 'fork.reset', 'volume.remove'] as const) {
    const stream = daemon.stream('session.exec', wait);
    await started(stream);
    const others = sessions;
    await daemon.ask(name, { ref: 'shop:fix' });
    await stream.done;
    if (name !== 'volume.remove') assert.deepEqual(await others(), []);
    assert.deepEqual(daemon.parts.store.sessions.list(), []);
  }
  assert.deepEqual(await daemon.cells.list(), []);
});

test('nothing is started in a fork that an operation works on, or that is gone', async (t) => {
  const { daemon } = await aFork(t);
  await daemon.parts.locks.hold(['shop:fix'], async () => {
    await failsWith('busy', daemon.ask('session.exec', { ref: 'shop:fix', command: ['exit', '0'] }), /shop:fix/);
  });
  await failsWith('usage', daemon.ask('session.exec', { ref: 'shop:fix', command: [] }), /no command/);
  await daemon.ask('volume.remove', { ref: 'shop:fix' });
  await failsWith('not-found', daemon.ask('session.exec', { ref: 'shop:fix', command: ['exit', '0'] }));
});

test('an app that goes while its point is taken gets no cell any more', async (t) => {
  const { daemon } = await aFork(t);
  await daemon.ask('volume.remove', { ref: 'shop:fix' });
  const back = replace(daemon.parts.points, 'before', (before) => async (...args) => {
    back();
    await before(...args);
    await daemon.ask('volume.remove', { ref: 'shop', confirm: 'shop' }, { code: '123456' });
  });
  await failsWith('not-found', daemon.ask('session.exec', { ref: 'shop', command: ['exit', '0'] }), /is gone/);
  assert.deepEqual(await daemon.cells.list(), []);
});

test('the log of an app is followed until its reader leaves, and so is the audit log', async (t) => {
  const { daemon } = await aFork(t);
  await daemon.ask('cell.up', { ref: 'shop:fix' });
  const logs = daemon.stream('cell.logs', { ref: 'shop:fix', follow: true });
  await soon(() => logs.output() === 'started\n');
  const tail = daemon.stream('audit.tail', {});
  await soon(() => daemon.parts.audit.tail.length > 0);
  await daemon.ask('trash.list', {});
  await soon(() => tail.output().includes('"trash.list"'));
  logs.leave();
  tail.leave();
  await Promise.all([logs.done, tail.done]);
});

test('a tail that nobody reads ends before it fills the memory', async (t) => {
  const { daemon } = await aFork(t);
  const tail = daemon.stream('audit.tail', {});
  await soon(async () => (await daemon.audit()).length > 0);
  tail.stop();
  for (let count = 0; count < 90; count += 1)
    await daemon.parts.audit.append({
      request: 'x',
      phase: 'event',
      operation: 'test',
      target: null,
      caller: DEPLOY,
      outcome: 'x'.repeat(50_000),
      code: null,
      arguments: null,
    });
  await failsWith('too-many', tail.done, /More was recorded/);
});
