import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { memoryDirectory } from '../../test/builders/memory-directory.ts';
import { anId, aStore, aVolume, dump } from '../../test/builders/records.ts';
import { NO_FILE } from '../contract/app-file.ts';
import { TRASH_KEPT } from '../core/retention.ts';
import type { Steps } from '../core/steps.ts';

const directory = memoryDirectory('records');
after(() => rmSync(directory, { recursive: true }));
let count = 0;
const fresh = () => aStore(path.join(directory, `${(count += 1)}.db`));

const entry = (volume: number, key: number): Steps['record.trash'] => ({
  id: anId(volume),
  trash: anId(key),
  by: 'deploy',
  why: 'removed',
  at: 5,
  until: 5 + TRASH_KEPT,
});

/** An app and a fork of it, ready. */
function shopAndFix() {
  const store = fresh();
  store.volumes.make(aVolume(1));
  store.volumes.ready(anId(1));
  store.volumes.make(aVolume(2, { tag: 'fix', parent: anId(1), parentName: 'shop' }));
  store.volumes.ready(anId(2));
  return store;
}

test('what is being made has its name, and is not yet ready', () => {
  const { volumes } = fresh();
  volumes.make(aVolume(1));
  assert.equal(volumes.byRef('shop', null)?.state, 'making');
  volumes.ready(anId(1));
  assert.deepEqual(volumes.byRef('shop', null), {
    ...aVolume(1),
    state: 'ready',
    wanted: 'down',
  });
});

test('two things of one name are refused with a stable code, an app and a fork of it are not', () => {
  const { volumes } = shopAndFix();
  assert.throws(() => volumes.make(aVolume(3)), { code: 'exists' });
  assert.throws(() => volumes.make(aVolume(3, { tag: 'fix' })), { code: 'exists' });
  volumes.make(aVolume(3, { tag: 'other' }));
  volumes.make(aVolume(4, { app: 'blog' }));
  assert.deepEqual(
    volumes.list().map(({ id }) => id),
    [1, 2, 3, 4].map(anId),
  );
});

test('taking back what was being made frees its name; what is ready stays', () => {
  const store = shopAndFix();
  store.volumes.make(aVolume(3, { tag: 'half' }));
  store.accepted.put({ id: anId(3), file: NO_FILE, hooks: {}, hash: 'h', by: 'deploy', at: 1 });
  store.volumes.unmake(anId(3));
  store.volumes.unmake(anId(2));
  assert.equal(store.volumes.byId(anId(3)), undefined);
  assert.equal(store.accepted.get(anId(3)), undefined);
  assert.equal(store.volumes.byId(anId(2))?.state, 'ready');
});

test('the trash frees the name, keeps the rest, and gives it back under another name', () => {
  const { volumes, trash } = shopAndFix();
  volumes.want(anId(2), 'up');
  trash.put(entry(2, 10));
  assert.equal(volumes.byRef('shop', 'fix'), undefined);
  assert.equal(volumes.byId(anId(2))?.wanted, 'down');
  assert.deepEqual(trash.byName('shop:fix'), {
    key: anId(10),
    volume: anId(2),
    name: 'shop:fix',
    ref: 'shop:fix',
    kind: 'fork',
    removed: 5,
    by: 'deploy',
    why: 'removed',
    until: 5 + TRASH_KEPT,
    purgeAt: null,
  });
  volumes.make(aVolume(3, { tag: 'fix' }));
  assert.throws(() => trash.restore({ trash: anId(10), id: anId(2), app: 'shop', tag: 'fix', expires: 9 }), {
    code: 'exists',
  });
  assert.equal(trash.list().length, 1, 'a restore that failed has changed nothing');
  trash.restore({ trash: anId(10), id: anId(2), app: 'shop', tag: 'fix2', expires: 9 });
  assert.deepEqual([volumes.byRef('shop', 'fix2')?.id, volumes.byRef('shop', 'fix2')?.expires], [anId(2), 9]);
  assert.deepEqual(trash.list(), []);
});

test('things of one name in the trash are told apart', () => {
  const { volumes, trash } = shopAndFix();
  trash.put(entry(2, 10));
  volumes.make(aVolume(3, { tag: 'fix' }));
  volumes.ready(anId(3));
  trash.put(entry(3, 11));
  assert.deepEqual([trash.name(anId(10)), trash.name(anId(11))], ['shop:fix', 'shop:fix~2']);
});

test('old content of a fork waits by itself, and forgetting it leaves the fork', () => {
  const { volumes, trash } = shopAndFix();
  trash.content(anId(2), anId(10), 7);
  assert.deepEqual([trash.list()[0]?.kind, trash.list()[0]?.until], ['content', 7 + TRASH_KEPT]);
  trash.forget(anId(2), anId(10));
  assert.equal(volumes.byId(anId(2))?.state, 'ready');
  assert.deepEqual(trash.list(), []);
});

test('forgetting the old content of a fork that is in the trash itself leaves that fork', () => {
  const { volumes, trash } = shopAndFix();
  trash.content(anId(2), anId(10), 7);
  trash.put(entry(2, 11));
  trash.forget(anId(2), anId(10));
  assert.equal(volumes.byId(anId(2))?.state, 'trashed');
  assert.equal(trash.name(anId(11)), 'shop:fix');
});

test('forgetting for good removes record and accepted copy, but of nothing that came back', () => {
  const store = shopAndFix();
  store.accepted.put({ id: anId(2), file: NO_FILE, hooks: {}, hash: 'h', by: 'deploy', at: 1 });
  store.trash.put(entry(2, 10));
  store.trash.purgeAt(anId(10), 99);
  assert.equal(store.trash.list()[0]?.purgeAt, 99);
  store.trash.forget(anId(2), anId(10));
  assert.equal(store.volumes.byId(anId(2)), undefined);
  assert.equal(store.accepted.get(anId(2)), undefined);
  store.trash.forget(anId(1), anId(11));
  assert.equal(store.volumes.byId(anId(1))?.state, 'ready');
});

test('a fork inherits the copy as it is then, and keeps it', () => {
  const { accepted } = shopAndFix();
  accepted.inherit(anId(1), anId(2));
  assert.equal(accepted.get(anId(2)), undefined);
  accepted.put({
    id: anId(1),
    file: { ...NO_FILE, start: 'manual' },
    hooks: { up: '#!/bin/sh\n' },
    hash: 'one',
    by: 'deploy',
    at: 1,
  });
  accepted.inherit(anId(1), anId(2));
  accepted.put({ id: anId(1), file: NO_FILE, hooks: {}, hash: 'two', by: 'deploy', at: 2 });
  assert.deepEqual(accepted.get(anId(2)), {
    file: { ...NO_FILE, start: 'manual' },
    hooks: { up: '#!/bin/sh\n' },
    hash: 'one',
    by: 'deploy',
    at: 1,
  });
  assert.equal(accepted.get(anId(1))?.hash, 'two');
});

test('points are named by their time, found by name or id, newest first', () => {
  const { points } = shopAndFix();
  const at = Date.UTC(2026, 10, 29, 14, 29, 3);
  points.add({ id: anId(20), app: anId(1), at, before: 'cell.up' });
  points.add({ id: anId(21), app: anId(1), at: at + 61_000, before: 'session.exec' });
  assert.deepEqual(
    points.list(anId(1)).map(({ name }) => name),
    ['shop@20261129T143004Z', 'shop@20261129T142903Z'],
  );
  assert.equal(points.find(anId(1), 'shop@20261129T142903Z')?.id, anId(20));
  assert.equal(points.find(anId(1), anId(21))?.before, 'session.exec');
  assert.equal(points.find(anId(2), anId(21)), undefined);
  points.forget(anId(20));
  assert.deepEqual(
    points.all().map(({ id }) => id),
    [anId(21)],
  );
});

test('sessions, factors and single values are kept', () => {
  const { sessions, factors, meta } = fresh();
  const session = { id: anId(1), cell: anId(2), owner: '1000/claude-code', started: 3 };
  sessions.add(session);
  assert.deepEqual({ ...sessions.get(anId(1)) }, session);
  sessions.remove(anId(1));
  assert.deepEqual(sessions.list(), []);
  const factor = { person: 'deploy', uid: 1000, lastCounter: 1 };
  factors.put(factor);
  factors.put({ ...factor, lastCounter: 2 } as typeof factor);
  assert.deepEqual([factors.list(), factors.uids()], [[{ ...factor, lastCounter: 2 }], [1000]]);
  meta.set('floor', '1');
  meta.set('floor', '2');
  assert.deepEqual([meta.get('floor'), meta.get('none')], ['2', undefined]);
});

test('every step of the records may be repeated, in any state', () => {
  const number = fc.integer({ min: 1, max: 4 });
  const step = fc.record({ what: fc.nat(11), a: number, b: number });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      const store = fresh();
      for (const one of steps) {
        const first = outcome(() => apply(store, one));
        const once = dump(store.db);
        const second = outcome(() => apply(store, one));
        assert.equal(dump(store.db), once, `step ${one.what}`);
        if (first === 'done') assert.equal(second, 'done', `step ${one.what}`);
      }
      store.db.close();
    }),
    { numRuns: 100 },
  );
});

function outcome(work: () => void): 'done' | 'refused' {
  try {
    work();
    return 'done';
  } catch (error) {
    assert.equal((error as { code?: unknown }).code, 'exists');
    return 'refused';
  }
}

function apply(
  { volumes, trash, points, accepted }: ReturnType<typeof fresh>,
  { what, a, b }: { what: number; a: number; b: number },
): void {
  const id = anId(a);
  const key = anId(10 + b);
  const all = [
    () => volumes.make(aVolume(a, { tag: b === 4 ? null : `t${b}` })),
    () => volumes.unmake(id),
    () => volumes.ready(id),
    () => volumes.want(id, b > 2 ? 'up' : 'down'),
    () => trash.put(entry(a, 10 + b)),
    () => trash.content(id, key, 7),
    () => trash.restore({ trash: key, id, app: 'shop', tag: `t${b}`, expires: 9 }),
    () => trash.forget(id, key),
    () => trash.purgeAt(key, 9),
    () => points.add({ id: key, app: id, at: b, before: 'x' }),
    () => points.forget(key),
    () => accepted.inherit(id, anId(b)),
  ];
  all[what]?.();
}
