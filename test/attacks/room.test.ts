import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { after, before, test } from 'node:test';
import { attack, reachedIf, type Outcome } from './attack.ts';
import { makeFilling, MIB, type Filling } from './filling.ts';

/**
 * Many forks, and forks of forks, that write past the room of all, beside a production that writes all the while and holds
 * most of the pool: some forty MiB are left for forks. In `weak` nobody watches the floor, and limits are taken away.
 */
const CHAIN = { 'shop:a': 'shop', 'shop:b': 'shop:a', 'shop:c': 'shop:b', 'shop:d': 'shop', 'shop:e': 'shop' };
const REFS = Object.keys(CHAIN);

const stages: Partial<Record<'walled' | 'weak', Filling>> = {};
const of = (which: 'walled' | 'weak'): Filling => stages[which] ?? assert.fail(`${which} is not there`);

before(async () => {
  [stages.walled, stages.weak] = await Promise.all([makeFilling(true), makeFilling(false)]);
  for (const stage of [of('walled'), of('weak')]) {
    const { pool } = await stage.machine.json<{ pool: { free: number; floor: number } }>('ls');
    const bytes = Math.floor(pool.free - pool.floor - 44 * MIB);
    const made = await stage.person.bulkhead(
      `exec shop -- sh -c 'head -c ${bytes} /dev/urandom > /app/bulk && sync /app/bulk'`,
    );
    assert.equal(made.code, 0, made.stderr);
    await stage.must('fork', 'shop:again', '--disk', '40M');
    for (const [ref, from] of Object.entries(CHAIN)) await stage.must('fork', ref, '--from', from);
  }
});
after(async () => {
  await Promise.all([stages.walled?.remove(), stages.weak?.remove()]);
});

attack({
  name: 'a fork that fills itself and resets itself, again and again',
  without: 'limits, and an eye on the floor',
  weakened: () => resets('weak'),
  walled: () => resets('walled'),
});

async function resets(which: 'walled' | 'weak'): Promise<Outcome> {
  const stage = of(which);
  for (let round = 0; round < 4; round += 1) {
    if (which === 'weak') await stage.uncap('shop:again');
    await stage.fills('shop:again', 'one_file', 36 * MIB);
    await stage.agent('reset', 'shop:again');
  }
  // Of what is kept for it.
  const wrote = await stage.person.bulkhead(
    `exec shop -- sh -c 'head -c 16M /dev/urandom > /app/own && sync /app/own && stat -c %s /app/own && rm /app/own'`,
  );
  return reachedIf(wrote.stdout.trim() !== String(16 * MIB), 'production wrote what is kept for it');
}

attack({
  name: 'a chain of forks, and more beside it, that fill the tree of names and the disk at once',
  without: 'limits, and an eye on the floor',
  weakened: () => storm('weak'),
  walled: () => storm('walled'),
});

async function storm(which: 'walled' | 'weak'): Promise<Outcome> {
  const stage = of(which);
  if (which === 'weak') for (const ref of REFS) await stage.uncap(ref);
  const writing = Promise.all(
    REFS.map((ref, at) => stage.fills(ref, at % 2 === 0 ? 'small_files' : 'one_file', 200 * MIB, 14_000)),
  );
  for (let round = 0; round < 14; round += 1) {
    await delay(1000);
    if ((await stage.production()).missed) break;
  }
  await writing;
  const { missed, beats } = await stage.production();
  return reachedIf(missed, `production wrote all the while, ${beats} times`);
}

test('production of the walled one is what it was', async () => {
  assert.equal((await of('walled').production()).missed, false);
});
