import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CELL_EVENTS, CELL_STATES, backOff, next, type CellState } from './lifecycle.ts';

test('a cell is up only after its hooks said ready', () => {
  for (const state of CELL_STATES)
    for (const event of CELL_EVENTS)
      if (next(state, event) === 'up' && state !== 'up') assert.ok(event === 'ready', `${state} ${event}`);
});

test('whatever happens, stop and then stopped end in down', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...CELL_EVENTS)), (events) => {
      const reached = events.reduce<CellState>(next, 'down');
      assert.equal(next(next(reached, 'stop'), 'stopped'), 'down');
    }),
  );
});

test('a late ready does not raise a cell that is being stopped', () => {
  assert.equal(next('stopping', 'ready'), 'stopping');
});

test('the wait before a restart doubles, from a second to a minute', () => {
  assert.deepEqual([0, 1, 2, 3, 6, 100].map(backOff), [1000, 2000, 4000, 8000, 60_000, 60_000]);
});
