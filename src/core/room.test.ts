import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NO_FILE, parseAppFile } from '../contract/app-file.ts';
import { forksCeiling, limitsOf, whyNotFit } from './room.ts';
import { inventTag } from './tags.ts';

const GIB = 2 ** 30;
const machine = { memory: 8 * GIB, cpus: 2 };

test('forks together have half the memory, and never all processors', () => {
  const ceiling = forksCeiling(machine);
  assert.equal(ceiling.memory, 4 * GIB);
  assert.ok(ceiling.cpus < machine.cpus);
});

test('limits are those of the accepted file, within the machine', () => {
  const file = parseAppFile({ limits: { memory: '64GiB', pids: 100 }, fork: { limits: { memory: '512MiB' } } });
  assert.deepEqual(limitsOf('production', file, machine), { memory: 8 * GIB, cpus: 2, pids: 100 });
  assert.equal(limitsOf('fork', file, machine).memory, 512 * 2 ** 20);
  assert.equal(limitsOf('fork', NO_FILE, machine).memory, 2 * GIB);
});

test('a fork that would not fit is refused with the figures', () => {
  assert.equal(whyNotFit(2 * GIB, [2 * GIB], machine), undefined);
  const reason = whyNotFit(2 * GIB, [2 * GIB, 1 * GIB], machine);
  assert.match(reason?.message ?? '', /2\.00 GiB, and 1\.00 GiB is left/);
  assert.match(reason?.why ?? '', /2 running forks may use 3\.00 GiB, all forks together 4\.00 GiB/);
});

test('an invented tag is never one that is taken', () => {
  const taken = new Set<string>();
  let number = 0;
  for (let at = 0; at < 700; at += 1) {
    const tag = inventTag(taken, () => ((number += 7919) % 1000) / 1000);
    assert.ok(!taken.has(tag));
    taken.add(tag);
  }
});
