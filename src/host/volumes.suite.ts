import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { AppError, type ErrorCode } from '../contract/errors.ts';
import type { Id } from '../core/ids.ts';
import { placeName, type VolumePlace } from '../core/places.ts';
import type { Volumes } from './volumes.ts';

/** What the suite needs beside the port: to do to a volume what its cell would. */
export interface VolumesHarness {
  volumes: Volumes;
  /** Another object over the same pool, as the next daemon has it. */
  again: () => Volumes;
  /** Writes a file and flushes it; rejects, and leaves none, when there is no room for it. */
  write: (at: VolumePlace, file: string, content: Uint8Array) => Promise<void>;
  read: (at: VolumePlace, file: string) => Promise<Uint8Array | undefined>;
  /** Lets the accounts catch up. */
  settle: () => Promise<void>;
}

const MIB = 1 << 20;
const SIZE = 512 * MIB;
const newId = (): Id => randomUUID() as Id;
const live = (id: Id): VolumePlace => ({ area: 'live', id });
const base = (id: Id) => ({ area: 'base', id }) as const;
const trash = (id: Id): VolumePlace => ({ area: 'trash', id });
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const noise = (bytes: number): Uint8Array => {
  const block = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += 65_536) crypto.getRandomValues(block.subarray(at, Math.min(bytes, at + 65_536)));
  return block;
};

const failsWith = (code: ErrorCode) => (error: unknown) => error instanceof AppError && error.code === code;

/** Registers the tests that every implementation of `Volumes` passes. `harness` begins without a pool. */
export function volumesSuite(name: string, harness: () => VolumesHarness): void {
  // Tests run in this order, on one pool.
  poolTests(name, harness);
  copyTests(name, harness);
  limitTests(name, harness);
  placeTests(name, harness);
  manifestTests(name, harness);
  endTests(name, harness);
}

type Harness = () => VolumesHarness;

function poolTests(name: string, harness: Harness): void {
  test(`${name}: without a pool nothing works, and says so`, async () => {
    const { volumes } = harness();
    assert.equal(await volumes.open(), false);
    assert.equal(await volumes.room(), undefined);
    await assert.rejects(volumes.usage([]), failsWith('no-pool'));
    await assert.rejects(volumes.create(newId()), failsWith('no-pool'));
    await assert.rejects(volumes.readManifest(newId()), failsWith('no-pool'));
  });

  test(`${name}: a pool is made, and making it twice is the same`, async () => {
    const { volumes } = harness();
    const labels: string[] = [];
    await volumes.make({ size: SIZE }, (label, ms) => {
      assert.ok(ms >= 0);
      labels.push(label);
    });
    assert.ok(labels.includes('mount'));
    await volumes.make({ size: SIZE * 4 }, () => {});
    const room = await volumes.room();
    assert.ok(room !== undefined);
    assert.equal(room.size, SIZE);
    assert.ok(room.free > SIZE / 2 && room.free <= SIZE, `free ${room.free}`);
    assert.equal(room.forks, 0);
    assert.deepEqual(await volumes.list(), []);
  });
}

function copyTests(name: string, harness: Harness): void {
  test(`${name}: a fork is a copy at one instant, and neither side sees the other's writes`, async () => {
    const { volumes, write, read } = harness();
    const [app, frozen, fork] = [newId(), newId(), newId()];
    await volumes.create(app);
    await write(live(app), 'data', text('before'));
    await volumes.freeze(live(app), base(frozen));
    await write(live(app), 'data', text('after'));
    await volumes.copy(base(frozen), fork, 64 * MIB);
    assert.deepEqual(await read(live(fork), 'data'), text('before'));
    await write(live(fork), 'data', text('the fork'));
    assert.deepEqual(await read(live(app), 'data'), text('after'));
    assert.deepEqual(await read(base(frozen), 'data'), text('before'));
    await assert.rejects(write(base(frozen), 'data', text('x')));
  });

  test(`${name}: what is already made stays as it is when a call is repeated`, async () => {
    const { volumes, write, read } = harness();
    const [app, frozen, fork] = [newId(), newId(), newId()];
    for (let turn = 0; turn < 2; turn += 1) {
      await volumes.create(app);
      await volumes.freeze(live(app), base(frozen));
      await volumes.copy(base(frozen), fork, 64 * MIB);
      if (turn === 0) await write(live(fork), 'mine', text('kept'));
    }
    assert.deepEqual(await read(live(fork), 'mine'), text('kept'));
    // Also when what it was made from has gone meanwhile.
    await volumes.purge(base(frozen));
    await volumes.copy(base(frozen), fork, 64 * MIB);
  });

  test(`${name}: many copies at once`, async () => {
    const { volumes } = harness();
    const [app, frozen] = [newId(), newId()];
    await volumes.create(app);
    await volumes.freeze(live(app), base(frozen));
    const forks = Array.from({ length: 12 }, newId);
    await Promise.all([...forks, ...forks].map((fork) => volumes.copy(base(frozen), fork, 64 * MIB)));
    for (const fork of forks) {
      assert.equal(await volumes.has(live(fork)), true);
      await volumes.purge(live(fork));
    }
  });

  test(`${name}: what is not there is not found`, async () => {
    const { volumes } = harness();
    await assert.rejects(volumes.freeze(live(newId()), base(newId())), failsWith('not-found'));
    await assert.rejects(volumes.copy(base(newId()), newId(), null), failsWith('not-found'));
    await assert.rejects(volumes.cap(newId(), MIB), failsWith('not-found'));
    assert.equal(await volumes.has(live(newId())), false);
  });
}

function limitTests(name: string, harness: Harness): void {
  const forked = async (cap: number | null): Promise<{ app: Id; fork: Id }> => {
    const { volumes, write } = harness();
    const [app, frozen, fork] = [newId(), newId(), newId()];
    await volumes.create(app);
    await write(live(app), 'big', noise(24 * MIB));
    await volumes.freeze(live(app), base(frozen));
    await volumes.copy(base(frozen), fork, cap);
    return { app, fork };
  };

  test(`${name}: usage is what a volume wrote itself`, async () => {
    const { volumes, write, settle } = harness();
    const { app, fork } = await forked(64 * MIB);
    await write(live(fork), 'own', noise(8 * MIB));
    await settle();
    const bytes = await volumes.usage([live(app), live(fork), live(newId())]);
    assert.equal(bytes.size, 2);
    const [ofApp = 0, ofFork = 0] = [bytes.get(placeName(live(app))), bytes.get(placeName(live(fork)))];
    assert.ok(ofApp >= 24 * MIB && ofApp < 26 * MIB, `app ${ofApp}`);
    assert.ok(ofFork >= 8 * MIB && ofFork < 9 * MIB, `fork ${ofFork}`);
  });

  test(`${name}: a fork stops at its cap, which can be raised; production has none`, async () => {
    const { volumes, write } = harness();
    const { app, fork } = await forked(16 * MIB);
    await assert.rejects(write(live(fork), 'too-much', noise(20 * MIB)));
    await volumes.cap(fork, 48 * MIB);
    await write(live(fork), 'enough', noise(20 * MIB));
    await write(live(app), 'more', noise(20 * MIB));
    await volumes.purge(live(fork));
  });

  test(`${name}: all forks together stop at the ceiling, production goes on`, async () => {
    const { volumes, write, settle } = harness();
    const { app, fork } = await forked(64 * MIB);
    await settle();
    const { forks } = (await volumes.room()) ?? assert.fail();
    await volumes.capForks(forks + 8 * MIB);
    await assert.rejects(write(live(fork), 'too-much', noise(12 * MIB)));
    await write(live(app), 'more', noise(12 * MIB));
    await volumes.capForks(null);
    await write(live(fork), 'enough', noise(12 * MIB));
    await settle();
    const later = (await volumes.room()) ?? assert.fail();
    assert.ok(later.forks >= forks + 12 * MIB, `${later.forks} after ${forks}`);
    await volumes.purge(live(fork));
    await volumes.purge(live(app));
  });
}

function placeTests(name: string, harness: Harness): void {
  test(`${name}: to the trash and back, each as often as one likes`, async () => {
    const { volumes, write, read } = harness();
    const [app, key, restored] = [newId(), newId(), newId()];
    await volumes.create(app);
    await write(live(app), 'data', text('kept'));
    await volumes.toTrash(app, key);
    await volumes.toTrash(app, key);
    assert.equal(await volumes.has(live(app)), false);
    await volumes.create(app);
    // A repeated removal must not take what has its place now.
    await volumes.toTrash(app, key);
    assert.equal(await volumes.has(live(app)), true);
    await assert.rejects(volumes.fromTrash(key, app), failsWith('exists'));
    await volumes.fromTrash(key, restored);
    await volumes.fromTrash(key, restored);
    assert.deepEqual(await read(live(restored), 'data'), text('kept'));
    await assert.rejects(volumes.toTrash(newId(), newId()), failsWith('not-found'));
    await assert.rejects(volumes.fromTrash(newId(), newId()), failsWith('not-found'));
  });

  test(`${name}: purged is gone from every list, and twice is the same`, async () => {
    const { volumes } = harness();
    const [app, point, key] = [newId(), newId(), newId()];
    await volumes.create(app);
    const at: VolumePlace & { area: 'point' } = { area: 'point', id: point };
    await volumes.freeze(live(app), at);
    await volumes.toTrash(app, key);
    const names = async () => (await volumes.list()).map(placeName);
    assert.ok((await names()).includes(placeName(at)) && (await names()).includes(placeName(trash(key))));
    for (const place of [at, trash(key), at]) {
      await volumes.purge(place);
      assert.equal((await names()).includes(placeName(place)), false);
      assert.equal(await volumes.has(place), false);
    }
  });
}

function manifestTests(name: string, harness: Harness): void {
  test(`${name}: a manifest is kept, replaced and removed`, async () => {
    const { volumes } = harness();
    const id = newId();
    assert.equal(await volumes.readManifest(id), undefined);
    await volumes.writeManifest(id, '{"a":1}');
    await volumes.writeManifest(id, '{"a":2}');
    assert.equal(await volumes.readManifest(id), '{"a":2}');
    await volumes.removeManifest(id);
    await volumes.removeManifest(id);
    assert.equal(await volumes.readManifest(id), undefined);
  });
}

function endTests(name: string, harness: Harness): void {
  test(`${name}: closed and opened again, all is there`, async () => {
    const { volumes, again } = harness();
    const id = newId();
    await volumes.create(id);
    await volumes.writeManifest(id, 'kept');
    const before = (await volumes.list()).map(placeName).sort();
    await volumes.close();
    await assert.rejects(volumes.list(), failsWith('no-pool'));
    const next = again();
    assert.equal(await next.open(), true);
    assert.equal(await next.open(), true);
    assert.deepEqual((await next.list()).map(placeName).sort(), before);
    assert.equal(await next.readManifest(id), 'kept');
    await next.close();
    await next.close();
  });
}
