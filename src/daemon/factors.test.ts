import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { URI, type TOTP } from 'otpauth';
import { AppError, type ErrorCode } from '../contract/errors.ts';
import { createFactors, type FactorRecord, type FactorStore, type Factors } from './factors.ts';

const START = 1_800_000_000_000;

function setUp(): { factors: Factors; records: Map<string, FactorRecord>; time: { now: number } } {
  const records = new Map<string, FactorRecord>();
  const time = { now: START };
  const store: FactorStore = {
    list: () => [...records.values()],
    put: (record) => void records.set(record.person, structuredClone(record)),
  };
  return {
    factors: createFactors({ store, clock: () => time.now, machine: 'vps1', random: randomBytes, cost: 256 }),
    records,
    time,
  };
}

const codeAt = (uri: string, at: number): string => (URI.parse(uri) as TOTP).generate({ timestamp: at });
const wrongFor = (uri: string, at: number): string => {
  const near = new Set([-1, 0, 1].map((step) => codeAt(uri, at + step * 30_000)));
  return ['000000', '111111', '222222', '333333'].find((code) => !near.has(code)) ?? '444444';
};
const failsWith =
  (code: ErrorCode, message = /./) =>
  (error: unknown): boolean =>
    error instanceof AppError && error.code === code && message.test(error.message);

async function enrolled() {
  const all = setUp();
  const { uri, recovery } = await all.factors.enrol('deploy', 1000);
  assert.equal(await all.factors.confirm(codeAt(uri, all.time.now)), 'deploy');
  all.time.now += 60_000;
  return { ...all, uri, recovery };
}

test('a factor counts once its first code has come back', async () => {
  const { factors, records, time } = setUp();
  const { uri, recovery } = await factors.enrol('deploy', 1000);
  assert.match(uri, /^otpauth:\/\/totp\/Bulkhead:deploy%40vps1\?issuer=Bulkhead&secret=[A-Z2-7]{32}&/);
  assert.equal(recovery.length, 10);
  assert.equal(factors.enrolled(), false);
  await assert.rejects(
    factors.check(1000, codeAt(uri, time.now)),
    failsWith('refused', /No factor is enrolled for uid 1000/),
  );
  await assert.rejects(factors.confirm(recovery[0] ?? ''), failsWith('factor-wrong'));
  await factors.confirm(codeAt(uri, time.now));
  assert.equal(factors.enrolled(), true);
  assert.ok(
    !JSON.stringify([...records.values()]).includes((recovery[0] ?? '').replace('-', '')),
    'recovery codes are hashed',
  );
  await assert.rejects(factors.enrol('deploy', 1000), failsWith('exists'));
});

test('a new enrolment before the first code replaces the old one', async () => {
  const { factors, time } = setUp();
  const first = await factors.enrol('deploy', 1000);
  const second = await factors.enrol('deploy', 1000);
  assert.notEqual(first.uri, second.uri);
  await assert.rejects(factors.confirm(codeAt(first.uri, time.now)), failsWith('factor-wrong'));
  assert.equal(await factors.confirm(codeAt(second.uri, time.now)), 'deploy');
});

test('one step before and after now, no more; people may type in groups', async () => {
  const { factors, uri, time } = await enrolled();
  await assert.rejects(factors.check(1000, codeAt(uri, time.now - 60_000)), failsWith('factor-wrong'));
  await assert.rejects(factors.check(1000, codeAt(uri, time.now + 60_000)), failsWith('factor-wrong'));
  assert.equal(await factors.check(1000, codeAt(uri, time.now - 30_000)), 'deploy');
  const now = codeAt(uri, time.now);
  assert.equal(await factors.check(1000, `${now.slice(0, 3)} ${now.slice(3)}`), 'deploy');
  assert.equal(await factors.check(1000, codeAt(uri, time.now + 30_000)), 'deploy');
});

test('a code is good once, and none before it afterwards', async () => {
  const { factors, uri, time, records } = await enrolled();
  const code = codeAt(uri, time.now);
  assert.equal(await factors.check(1000, code), 'deploy');
  await assert.rejects(factors.check(1000, code), failsWith('factor-wrong', /used before/));
  await assert.rejects(factors.check(1000, codeAt(uri, time.now - 30_000)), failsWith('factor-wrong', /used before/));
  assert.equal(records.get('deploy')?.failures, 0, 'a replay is no guess');
});

test('two uses of one code at once: one of them', async () => {
  const { factors, uri, time } = await enrolled();
  const code = codeAt(uri, time.now);
  const both = await Promise.allSettled([factors.check(1000, code), factors.check(1000, code)]);
  assert.deepEqual(both.map((each) => each.status).sort(), ['fulfilled', 'rejected']);
});

test('five wrong codes lock, and each further one longer, up to an hour', async () => {
  const { factors, uri, time, records } = await enrolled();
  for (let count = 0; count < 5; count += 1)
    await assert.rejects(factors.check(1000, wrongFor(uri, time.now)), failsWith('factor-wrong'));
  await assert.rejects(factors.check(1000, codeAt(uri, time.now)), failsWith('too-many', /5 min/));
  const waits: number[] = [];
  for (let count = 0; count < 6; count += 1) {
    time.now = records.get('deploy')?.lockedUntil ?? 0;
    await assert.rejects(factors.check(1000, wrongFor(uri, time.now)), failsWith('factor-wrong'));
    waits.push(((records.get('deploy')?.lockedUntil ?? 0) - time.now) / 60_000);
  }
  assert.deepEqual(waits, [10, 20, 40, 60, 60, 60]);
  time.now = records.get('deploy')?.lockedUntil ?? 0;
  assert.equal(await factors.check(1000, codeAt(uri, time.now)), 'deploy');
  assert.equal(records.get('deploy')?.failures, 0);
});

test('a hundred guesses at once cost no more than five', async () => {
  const { factors, uri, time } = await enrolled();
  const guesses = await Promise.allSettled(
    Array.from({ length: 100 }, () => factors.check(1000, wrongFor(uri, time.now))),
  );
  const tried = guesses.filter(
    (each) => each.status === 'rejected' && (each.reason as AppError).code === 'factor-wrong',
  );
  assert.equal(tried.length, 5);
});

test('a recovery code is good once, also while TOTP is locked', async () => {
  const { factors, uri, recovery, time } = await enrolled();
  for (let count = 0; count < 5; count += 1)
    await assert.rejects(factors.check(1000, wrongFor(uri, time.now)), failsWith('factor-wrong'));
  assert.equal(await factors.check(1000, recovery[3]?.toUpperCase() ?? ''), 'deploy');
  await assert.rejects(factors.check(1000, recovery[4] ?? ''), failsWith('too-many'));
  time.now += 2000;
  await assert.rejects(factors.check(1000, recovery[3] ?? ''), failsWith('factor-wrong', /used before/));
  time.now += 2000;
  assert.equal(await factors.check(1000, recovery[4] ?? ''), 'deploy');
});

test('a person’s own uid, or root as that person; nobody else', async () => {
  const { factors, uri, time } = await enrolled();
  await assert.rejects(factors.check(1001, codeAt(uri, time.now)), failsWith('refused'));
  assert.equal(await factors.check(0, codeAt(uri, time.now)), 'deploy');
  const { uri: other } = await factors.enrol('ada', 1001);
  await factors.confirm(codeAt(other, time.now));
  time.now += 90_000;
  assert.equal(await factors.check(0, codeAt(other, time.now)), 'ada');
  await assert.rejects(factors.check(1000, codeAt(other, time.now)), failsWith('factor-wrong'));
});

test('what is no code at all is told so, and counts nothing', async () => {
  const { factors, records } = await enrolled();
  for (const code of ['', '12345', '1234567', 'abcdef', '１２３４５６', '0x1234', ' '.repeat(60)])
    await assert.rejects(factors.check(1000, code), failsWith('factor-wrong', /six digits/));
  assert.equal(records.get('deploy')?.failures, 0);
});
