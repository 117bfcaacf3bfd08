import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NO_FILE } from '../contract/app-file.ts';
import type { Id } from '../core/ids.ts';
import { pathsOf } from '../host/paths.ts';
import type { VolumeRecord } from '../store/volumes.ts';
import { cellSpec } from './cell-spec.ts';

const GIB = 2 ** 30;

function nameOf(app: string, tag: string | null): string {
  const record = { id: 'x' as Id, app, tag, kind: tag === null ? 'app' : 'fork', parentName: null } as VolumeRecord;
  const machine = { memory: 4 * GIB, cpus: 2 };
  return cellSpec({ record, file: NO_FILE, hooks: {}, idBase: 0, source: '/', machine, paths: pathsOf('x') }).name;
}

test('the longest names there are make a host name that the kernel takes', () => {
  assert.equal(nameOf('shop', null), 'shop');
  assert.equal(nameOf('shop', 'fix'), 'shop-fix');
  for (const tag of ['b'.repeat(40), `${'b'.repeat(21)}-${'b'.repeat(18)}`]) {
    const name = nameOf('a'.repeat(40), tag);
    assert.match(name, /^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$/);
  }
});
