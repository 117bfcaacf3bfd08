import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judgePool, type PoolFacts, type PoolMount } from './pool-checks.ts';

const GIB = 2 ** 30;
const aMount = (over: Partial<PoolMount> = {}): PoolMount => ({
  options: ['rw', 'nosuid', 'nodev', 'noatime', 'ssd'],
  shared: false,
  sysfs: '/sys/fs/btrfs/u',
  quotas: 'squota',
  strictLimit: true,
  writeBack: 64 << 20,
  errors: 0,
  ...over,
});
const aPool = (over: Partial<PoolFacts> = {}): PoolFacts => ({
  at: { mount: '/p/pool', state: '/p', file: '/p/pool.btrfs' },
  made: true,
  mount: aMount(),
  owner: { uid: 0, mode: 0o40700 },
  holes: 0,
  fileSize: 40 * GIB,
  disk: { free: 20 * GIB, size: 80 * GIB },
  room: { free: 30 * GIB, size: 40 * GIB },
  floor: 4 * GIB,
  ...over,
});
const troubles = (over: Partial<PoolFacts>): string[] =>
  judgePool(aPool(over)).flatMap((finding) => (finding.level === 'ok' ? [] : [`${finding.level} ${finding.check}`]));

test('a healthy pool is said in two phrases', () => {
  assert.deepEqual(
    judgePool(aPool()).map((finding) => finding.text),
    ['pool healthy and private', 'limits in force'],
  );
});

test('each thing that is wrong is found, with a remedy', () => {
  assert.deepEqual(troubles({ mount: null }), ['bad pool']);
  assert.match(judgePool(aPool({ mount: null, made: false }))[0]?.text ?? '', /no pool yet/);
  assert.deepEqual(troubles({ owner: { uid: 0, mode: 0o40711 } }), ['bad private']);
  assert.deepEqual(troubles({ owner: { uid: 1000, mode: 0o40700 } }), ['bad private']);
  assert.deepEqual(troubles({ mount: aMount({ options: ['rw', 'nodev', 'relatime'] }) }), ['bad pool']);
  assert.deepEqual(troubles({ mount: aMount({ options: ['ro', 'nosuid', 'nodev', 'noatime', 'ssd'] }) }), ['bad pool']);
  assert.deepEqual(troubles({ mount: aMount({ shared: true, errors: 3 }) }), ['bad pool', 'bad pool']);
  assert.deepEqual(troubles({ mount: aMount({ quotas: null, strictLimit: false }) }), ['bad limits', 'bad limits']);
  assert.deepEqual(troubles({ mount: aMount({ quotas: 'qgroup' }) }), ['bad limits']);
  assert.deepEqual(troubles({ mount: aMount({ writeBack: 5 * GIB }) }), ['bad limits']);
  assert.deepEqual(troubles({ holes: GIB }), ['warn pool']);
  assert.deepEqual(troubles({ room: { free: 3 * GIB, size: 40 * GIB } }), ['bad room']);
  assert.deepEqual(troubles({ room: { free: 5 * GIB, size: 40 * GIB } }), ['warn room']);
  assert.deepEqual(troubles({ disk: { free: 100 << 20, size: 80 * GIB } }), ['warn disk']);
  for (const finding of judgePool(
    aPool({ mount: aMount({ quotas: null, strictLimit: false, options: [] }), holes: 1 }),
  ))
    assert.notEqual(finding.remedy, null);
});
