import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '../contract/errors.ts';
import { createRecordBudget } from './record-budget.ts';

const MIB = 1 << 20;

test('who has filled its part waits, others and root do not, and it is told once', () => {
  let now = 0;
  const told: number[] = [];
  const budget = createRecordBudget(
    () => now,
    (uid) => void told.push(uid),
  );
  for (let count = 0; count < 9; count += 1) {
    budget.demand(1000);
    if (count < 8) budget.spend(1000, MIB - 1);
  }
  budget.spend(1000, MIB);
  budget.spend(0, 100 * MIB);
  for (let count = 0; count < 3; count += 1)
    assert.throws(
      () => budget.demand(1000),
      (error) => error instanceof AppError && error.code === 'too-many',
    );
  budget.demand(1001);
  budget.demand(0);
  assert.deepEqual(told, [1000]);
  now += 130_000;
  budget.demand(1000);
  // A day of it is under a gigabyte.
  let bytes = 0;
  for (const end = now + 86_400_000; now < end; now += 1000)
    try {
      budget.demand(1000);
      budget.spend(1000, 10_000);
      bytes += 10_000;
    } catch {
      // Refused.
    }
  assert.ok(bytes < 1000 * MIB, String(bytes));
});
