import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { attack, reachedIf, type Outcome } from './attack.ts';
import { makeFilling, MIB, type Filling } from './filling.ts';

/**
 * Forks that write past their cap by every way of filling a filesystem. What they got is counted on the pool.
 * In `weak` nobody watches the floor, and limits are taken away.
 */
const stages: Partial<Record<'walled' | 'weak', Filling>> = {};
const of = (which: 'walled' | 'weak'): Filling => stages[which] ?? assert.fail(`${which} is not there`);

before(async () => {
  [stages.walled, stages.weak] = await Promise.all([makeFilling(true), makeFilling(false)]);
  for (const stage of [of('walled'), of('weak')]) {
    const made = await stage.person.bulkhead(
      `exec shop -- sh -c 'head -c 16M /dev/urandom > /app/big && sync /app/big'`,
    );
    assert.equal(made.code, 0, made.stderr);
  }
});
after(async () => {
  await Promise.all([stages.walled?.remove(), stages.weak?.remove()]);
});

const CAP = 4 * MIB;

/** What a fork has after it wrote in one way, trying for three times its cap. */
async function past(which: 'walled' | 'weak', way: string): Promise<Outcome> {
  const stage = of(which);
  const ref = `shop:${way.replaceAll('_', '-').slice(0, 30)}`;
  await stage.must('fork', ref, '--disk', '4M');
  if (which === 'weak') await stage.uncap(ref);
  const ran = await stage.fills(ref, way, 3 * CAP);
  const charged = await stage.charged(ref);
  // What was deleted is gone with the program that had it open; while it ran, it was there.
  const bytes = way === 'deleted_but_open' ? Number(ran.stdout) : charged;
  await stage.must('rm', ref);
  // A cap is kept up to what is in the making when it is reached.
  return reachedIf(bytes > 1.5 * CAP, `${bytes} of ${CAP}; ${ran.stderr.trim()}`);
}

for (const way of [
  'one_file',
  'nested_directories',
  'empty_files',
  'small_files',
  'attributes',
  'long_symlinks',
  'reserved_space',
  'deleted_but_open',
  'overwritten_again_and_again',
])
  attack({
    name: `past a fork's cap: ${way.replaceAll('_', ' ')}`,
    without: 'the cap',
    weakened: () => past('weak', way),
    walled: () => past('walled', way),
  });

test('production is what it was', async () => {
  assert.equal((await of('walled').production()).missed, false);
});
