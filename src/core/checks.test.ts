import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  bad,
  fine,
  judgeCgroups,
  judgeDisk,
  judgeKernel,
  judgeTools,
  mergeFine,
  warn,
  type KernelFacts,
} from './checks.ts';
import { judgeUpkeep, type UpkeepFacts } from './upkeep-checks.ts';

const GIB = 2 ** 30;

const aKernel = (over: Partial<KernelFacts> = {}): KernelFacts => ({
  release: '6.12.43+deb12-amd64',
  tooOld: null,
  simpleQuotas: true,
  peerPidfds: true,
  idmappedMounts: true,
  userNamespaces: true,
  ...over,
});
const anUpkeep = (over: Partial<UpkeepFacts> = {}): UpkeepFacts => ({
  audit: { intact: true, finding: null, writable: true, path: '/a' },
  enrolled: true,
  ownMounts: false,
  unit: { loaded: true, enabled: true, killMode: 'process' },
  systemd: true,
  ...over,
});

test('a kernel with all of it is one line, each thing that it lacks is one of its own', () => {
  assert.deepEqual(judgeKernel(aKernel()), [fine('kernel', 'kernel 6.12')]);
  const poor = judgeKernel(
    aKernel({ simpleQuotas: false, peerPidfds: false, idmappedMounts: false, userNamespaces: false }),
  );
  assert.deepEqual(
    poor.map((finding) => finding.level),
    ['bad', 'bad', 'bad', 'bad'],
  );
  assert.equal(judgeKernel(aKernel({ simpleQuotas: null }))[0]?.remedy, 'sudo modprobe btrfs');
  const old = judgeKernel(
    aKernel({ release: '6.1.0-38-amd64', tooOld: 'sudo apt-get install x', simpleQuotas: false }),
  );
  assert.deepEqual(
    old.map((finding) => [finding.level, finding.remedy]),
    [['bad', 'sudo apt-get install x']],
  );
});

test('a missing tool names its package; a version that is not told is left out', () => {
  const found = judgeTools([
    { name: 'pasta', package: 'passt', version: null },
    { name: 'runc', package: 'runc', version: '1.1.5' },
    { name: 'conmon', package: 'conmon', version: '' },
  ]);
  assert.equal(found[0]?.remedy, 'sudo apt-get install passt');
  assert.deepEqual(
    found.slice(1).map((finding) => finding.text),
    ['runc 1.1.5', 'conmon'],
  );
});

test('cgroup v1 is said, v2 without a controller is worse, none at all is worst', () => {
  assert.equal(judgeCgroups({ version: 1, controllers: [], systemd: false })[0]?.level, 'warn');
  assert.match(
    judgeCgroups({ version: 2, controllers: ['cpu', 'memory', 'pids'], systemd: true })[0]?.text ?? '',
    /controller io/,
  );
  assert.deepEqual(judgeCgroups({ version: 2, controllers: ['cpu', 'io', 'memory', 'pids'], systemd: true }), [
    fine('cgroups', 'cgroup v2'),
  ]);
  assert.equal(judgeCgroups({ version: null, controllers: [], systemd: true })[0]?.level, 'bad');
});

test('what the daemon lives on: log, factor, unit, mounts', () => {
  assert.ok(judgeUpkeep(anUpkeep()).every((finding) => finding.level === 'ok'));
  const levels = (over: Partial<UpkeepFacts>) =>
    judgeUpkeep(anUpkeep(over)).flatMap(({ level, check }) => (level === 'ok' ? [] : [`${level} ${check}`]));
  assert.deepEqual(levels({ audit: { intact: false, finding: 'record 3 was changed', writable: false, path: '/a' } }), [
    'bad audit',
    'bad audit',
  ]);
  assert.deepEqual(levels({ enrolled: false }), ['bad factor']);
  assert.deepEqual(levels({ ownMounts: true }), ['bad daemon']);
  assert.deepEqual(levels({ unit: { loaded: true, enabled: false, killMode: 'control-group' } }), [
    'bad unit',
    'warn unit',
  ]);
  assert.deepEqual(levels({ unit: { loaded: false, enabled: false, killMode: '' } }), ['warn unit']);
  assert.deepEqual(levels({ systemd: false, unit: null }), ['warn unit']);
});

test('a disk is tight below a gibibyte or three hundredths', () => {
  assert.equal(judgeDisk({ free: 2 * GIB, size: 40 * GIB }, '/var').length, 0);
  assert.equal(judgeDisk({ free: GIB / 2, size: 40 * GIB }, '/var').length, 1);
  assert.equal(judgeDisk({ free: 2 * GIB, size: 400 * GIB }, '/var').length, 1);
});

test('what is well comes first, in lines that fit a terminal', () => {
  const merged = mergeFine([
    [fine('a', 'one'), bad('a', 'broken', null, null), fine('a', 'two')],
    [warn('b', 'odd', null, null), fine('b', 'x'.repeat(70)), fine('b', 'y'.repeat(20))],
  ]);
  assert.deepEqual(
    merged.map((finding) => finding.text),
    ['one, two', 'x'.repeat(70), 'y'.repeat(20), 'broken', 'odd'],
  );
  assert.ok(merged.every((finding) => finding.text.length <= 76));
});
