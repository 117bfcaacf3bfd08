import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changesAfter } from './point-history.ts';

const first = { at: 100, before: 'cell.up a' };
const second = { at: 200, before: 'session.exec c' };
const changes = [
  { request: 'a', at: 99 },
  { request: 'b', at: 150 },
  { request: 'c', at: 198 },
  { request: 'd', at: 250 },
];
const named = (found: { request: string }[]): string => found.map((one) => one.request).join('');

test('a change belongs to the point that was taken for it, though it was recorded before', () => {
  assert.equal(named(changesAfter(first, second, changes)), 'ab');
  assert.equal(named(changesAfter(second, undefined, changes)), 'cd');
});
