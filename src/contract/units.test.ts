import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatBytes, formatMs, formatSeconds, parseBytes, parseSeconds } from './units.ts';

test('sizes as people write them, in binary units', () => {
  assert.deepEqual(['4096', '512M', '10G', '2GiB', '1.5k', '1tb'].map(parseBytes), [
    4096,
    512 * 2 ** 20,
    10 * 2 ** 30,
    2 * 2 ** 30,
    1536,
    2 ** 40,
  ]);
  assert.deepEqual(['', 'G', '-1', '10X', '1e9', '9'.repeat(30)].map(parseBytes), [
    undefined,
    undefined,
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});

test('lengths of time as people write them', () => {
  assert.deepEqual(['90', '24h', '1h30m', '2d', '1w'].map(parseSeconds), [90, 86_400, 5400, 172_800, 604_800]);
  assert.deepEqual(['', 'h', '-5m', '1.5h', 'soon'].map(parseSeconds), [
    undefined,
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});

test('figures have three digits that matter, and a unit', () => {
  assert.deepEqual([0, 512, 14 * 2 ** 20, 128 * 2 ** 30].map(formatBytes), ['0 B', '512 B', '14.0 MiB', '128 GiB']);
  assert.deepEqual([3.14159, 48.2, 1240, 62_000].map(formatMs), ['3.14 ms', '48.2 ms', '1.24 s', '62.0 s']);
  assert.deepEqual([3, 180, 79_200, 41 * 86_400].map(formatSeconds), ['3 s', '3 m', '22 h', '41 d']);
});
