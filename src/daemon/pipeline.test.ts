import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AGENT, CODE, SOMEBODY, type TestDaemon } from '../../test/builders/daemon.ts';
import { aDaemon, aShop, failsWith, fileIn, replace, stateOf } from '../../test/builders/daemon-tests.ts';
import { AppError } from '../contract/errors.ts';

/** Phase, outcome and code of every record of one operation. */
async function recorded(daemon: TestDaemon, operation: string): Promise<string[]> {
  const records = await daemon.audit();
  return records
    .filter((one) => one.operation === operation)
    .map((one) => [one.phase, one.outcome, one.code].join(' '));
}

/** The log cannot be written from here on. */
function fillDisk(daemon: TestDaemon, which: (phase: string) => boolean = () => true): void {
  replace(daemon.parts.store.auditFile, 'append', (append) => async (entry) => {
    if (which(entry.phase)) throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
    return append(entry);
  });
}

test('what is done has a record before and one after, under one request', async (t) => {
  const daemon = await aShop(t);
  await daemon.ask('fork.create', { ref: 'shop:fix', ttl: 3600 }, { as: AGENT });
  const [intent, outcome] = (await daemon.audit()).filter(({ operation }) => operation === 'fork.create');
  assert.deepEqual(
    [intent?.phase, intent?.outcome, outcome?.phase, outcome?.outcome],
    ['intent', 'allowed', 'outcome', 'done'],
  );
  assert.equal(intent?.request, outcome?.request);
  assert.deepEqual([intent?.target, intent?.caller.name, intent?.caller.uid], ['shop:fix', 'claude-code', 1000]);
  assert.deepEqual(intent?.arguments, { ref: 'shop:fix', ttl: 3600 });
  assert.equal((await daemon.ask('audit.verify', {})).intact, true);
});

test('what is refused, fails, is planned or only read has one record, and says which it was', async (t) => {
  const daemon = await aShop(t);
  await failsWith('refused', daemon.ask('cell.up', { ref: 'shop' }, { as: SOMEBODY }));
  assert.deepEqual(await recorded(daemon, 'cell.up'), ['outcome refused refused']);
  await failsWith('not-found', daemon.ask('fork.reset', { ref: 'shop:none' }));
  assert.deepEqual(await recorded(daemon, 'fork.reset'), ['outcome failed not-found']);
  await daemon.plan('fork.create', { ref: 'shop:fix' });
  assert.deepEqual(await recorded(daemon, 'fork.create'), ['outcome planned ']);
  await daemon.ask('trash.list', {});
  assert.deepEqual(await recorded(daemon, 'trash.list'), ['outcome done ']);
  await failsWith('usage', daemon.ask('fork.create', { ref: 'shop:x', colour: 'red' } as never));
  assert.deepEqual((await recorded(daemon, 'fork.create')).at(-1), 'outcome failed usage');
});

test('what fails half-way says so, with its code', async (t) => {
  const daemon = await aShop(t);
  daemon.world.codes.set('shop up', 1);
  daemon.world.codes.set('shop health', 1);
  await failsWith('hook-failed', daemon.ask('cell.up', { ref: 'shop' }));
  assert.deepEqual(await recorded(daemon, 'cell.up'), ['intent allowed ', 'outcome failed hook-failed']);
});

test('where the intent cannot be recorded nothing is done, for anyone', async (t) => {
  const daemon = await aShop(t);
  await daemon.ask('fork.create', { ref: 'shop:fix' });
  fillDisk(daemon);
  const full = await failsWith(
    'no-room',
    daemon.ask('fork.create', { ref: 'shop:b' }),
    /Cannot write to the audit log/,
  );
  assert.ok(full.next.includes('df -h /var/lib'));
  await failsWith('no-room', daemon.ask('volume.remove', { ref: 'shop:fix' }));
  await failsWith('no-room', daemon.ask('session.exec', { ref: 'shop', command: ['put', 'data', 'x'] }));
  await failsWith('no-room', daemon.ask('cell.logs', { ref: 'shop' }));
  assert.equal(await fileIn(daemon, 'shop', 'data'), 'rows');
  assert.deepEqual(daemon.parts.store.points.all(), []);
  // Refusals stay refusals, and how the machine is can still be asked.
  await failsWith('refused', daemon.ask('cell.up', { ref: 'shop' }, { as: SOMEBODY }));
  assert.equal((await daemon.ask('machine.status', {})).forks, 1);
});

test('an outcome that cannot be recorded does not hide what was done', async (t) => {
  const daemon = await aShop(t);
  fillDisk(daemon, (phase) => phase === 'outcome');
  await daemon.ask('fork.create', { ref: 'shop:fix' });
  assert.equal(await stateOf(daemon, 'shop:fix'), 'down');
  await failsWith('exists', daemon.ask('fork.create', { ref: 'shop:fix' }));
});

test('an error that is not ours says no more than that something broke', async (t) => {
  const daemon = await aShop(t);
  daemon.volumes.usage = async () => {
    throw new Error('ENOENT: /var/lib/bulkhead/pool/live/1234');
  };
  const broken = await failsWith('failed', daemon.ask('fork.create', { ref: 'shop:fix' }));
  assert.doesNotMatch(JSON.stringify(broken.body()), /var\/lib/);
});

test('secrets are not in the log', async (t) => {
  const daemon = await aShop(t);
  await daemon.ask('session.exec', { ref: 'shop', command: ['put', 'x', 'AKIAIOSFODNN7EXAMPLE'] });
  await failsWith('factor-wrong', daemon.ask('config.accept', { ref: 'shop' }, { code: '999999' }));
  const log = JSON.stringify(await daemon.audit());
  assert.doesNotMatch(log, /AKIAIOSFODNN7EXAMPLE|999999|123456/);
});

test('before production is changed a point is taken, one a minute, and two at once share it', async (t) => {
  const daemon = await aShop(t);
  const points = () => daemon.parts.store.points.list(daemon.id('shop'));
  const put = (text: string) => daemon.ask('session.exec', { ref: 'shop', command: ['put', 'data', text] });
  await Promise.all([put('a'), put('b')]);
  assert.equal(points().length, 1);
  daemon.now += 59_000;
  await put('c');
  assert.equal(points().length, 1);
  daemon.now += 1_000;
  await put('d');
  assert.equal(points().length, 2);
  assert.equal(
    Buffer.from((await daemon.volumes.get({ area: 'point', id: points()[0]?.id as never }, 'data')) ?? []).toString(),
    'c',
  );
  // Reading, refusals and forks take none.
  daemon.now += 120_000;
  await daemon.ask('cell.processes', { ref: 'shop' });
  await failsWith('refused', daemon.ask('cell.up', { ref: 'shop' }, { as: AGENT }));
  await daemon.ask('fork.create', { ref: 'shop:fix' });
  await daemon.ask('session.exec', { ref: 'shop:fix', command: ['exit', '0'] });
  assert.equal(points().length, 2);
});

test('where no point can be taken production is not changed', async (t) => {
  const daemon = await aShop(t);
  daemon.volumes.freeze = async () => {
    throw new AppError('pool-full', 'the pool is full', { next: ['bulkhead ls'] });
  };
  await failsWith('pool-full', daemon.ask('session.exec', { ref: 'shop', command: ['put', 'data', 'x'] }));
  assert.equal(await fileIn(daemon, 'shop', 'data'), 'rows');
});

test('what asks for the factor each time is done with a code, and not without', async (t) => {
  const daemon = await aShop(t);
  await failsWith('factor-required', daemon.ask('volume.remove', { ref: 'shop', confirm: 'shop' }));
  await failsWith('factor-wrong', daemon.ask('volume.remove', { ref: 'shop', confirm: 'shop' }, { code: '000000' }));
  await failsWith('usage', daemon.ask('volume.remove', { ref: 'shop' }, { code: CODE }), /--confirm shop/);
  assert.equal(await stateOf(daemon, 'shop'), 'down');
  await daemon.ask('volume.remove', { ref: 'shop', confirm: 'shop' }, { code: CODE });
  assert.equal(await stateOf(daemon, 'shop'), undefined);
});

test('before anyone is enrolled root alone is answered, and only what makes the machine ready', async (t) => {
  const daemon = await aDaemon(t, { bare: true });
  const ROOT = { ...SOMEBODY, uid: 0, user: 'root' };
  assert.equal((await daemon.ask('machine.status', {}, { as: ROOT })).enrolled, true);
  await failsWith('refused', daemon.ask('machine.status', {}, { as: SOMEBODY }));
  await failsWith('refused', daemon.ask('app.create', { name: 'shop' }, { as: ROOT }));
});
