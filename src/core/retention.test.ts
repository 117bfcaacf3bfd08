import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Id } from './ids.ts';
import { DAY, MINUTE, POINTS_KEPT, calm, forksToEvict, pointIsDue, pointsToForget } from './retention.ts';

const id = (number: number): Id => String(number) as Id;

test('the last twenty points stay, and all of the last day', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 10 * DAY }), { maxLength: 60 }), (ages) => {
      const now = 20 * DAY;
      const points = ages.map((age, at) => ({ id: id(at), at: now - age }));
      const gone = new Set(pointsToForget(points, now).map((one) => one.id));
      const kept = points.filter((one) => !gone.has(one.id));
      assert.ok(kept.length >= Math.min(points.length, POINTS_KEPT));
      for (const one of points) if (now - one.at <= DAY) assert.ok(!gone.has(one.id));
      for (const one of points) if (gone.has(one.id)) assert.ok(kept.every((other) => other.at >= one.at));
    }),
  );
});

test('one point a minute at the most; a clock that was set back does not stop them', () => {
  assert.equal(pointIsDue(undefined, 0), true);
  assert.equal(pointIsDue(1000, 1000 + MINUTE - 1), false);
  assert.equal(pointIsDue(1000, 1000 + MINUTE), true);
  assert.equal(pointIsDue(10 * MINUTE, MINUTE), true);
});

test('below the floor the longest idle fork goes first, and no more than are needed', () => {
  const forks = [
    { id: id(1), idleSince: 30, own: 50 },
    { id: id(2), idleSince: 10, own: 50 },
    { id: id(3), idleSince: 20, own: 50 },
  ];
  assert.deepEqual(forksToEvict(forks, { free: 100, floor: 100 }), []);
  assert.deepEqual(
    forksToEvict(forks, { free: 50, floor: 100 }).map((one) => one.id),
    [id(2), id(3)],
  );
  assert.equal(forksToEvict(forks, { free: 0, floor: 1000 }).length, 3);
  assert.ok(calm(100) > 100);
});
