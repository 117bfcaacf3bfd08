import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import type { Id } from '../../core/ids.ts';
import { placeName, type VolumePlace } from '../../core/places.ts';
import { exec } from '../exec.ts';
import { snapshot } from './ioctl.ts';
import { DIRECTORY } from './pool.ts';
import { limit, readQuotas } from './quota.ts';
import { scratchPool } from './scratch.ts';
import { subvolumes } from './search.ts';

/** Attacks on the caps, by the cell's own user without seccomp between it and the kernel: caps hold alone. */
const MIB = 1 << 20;
const CAP = 32 * MIB;
const scratch = scratchPool('caps');
const { paths, volumes } = scratch;
const newId = (): Id => randomUUID() as Id;
const live = (id: Id): VolumePlace => ({ area: 'live', id });
const directory = (at: VolumePlace): string => path.join(paths.pool, placeName(at));

before(() => volumes.make({ size: 1024 * MIB }, () => {}));
after(() => scratch.remove());

/** Runs a shell as uid 1000 in a volume; what it could write in the end is what counts. */
const attack = (at: VolumePlace, script: string) =>
  exec('setpriv', ['--reuid=1000', '--regid=1000', '--clear-groups', 'sh', '-c', script], {
    cwd: directory(at),
    accept: Array.from({ length: 256 }, (_, code) => code),
    deadline: 60_000,
  });

/** Waits until the kernel has cleaned what was purged. */
const cleaned = () => exec('btrfs', ['subvolume', 'sync', paths.pool], { deadline: 60_000 });
const settle = () => exec('sync', ['--file-system', paths.pool]);

/** An app with `bytes` of content, and a base of it. */
async function anApp(bytes: number): Promise<{ app: Id; base: VolumePlace }> {
  const [app, frozen] = [newId(), newId()];
  await volumes.create(app);
  await attack(live(app), `head -c ${bytes} /dev/urandom > data && sync data`);
  const base = { area: 'base', id: frozen } as const;
  await volumes.freeze(live(app), base);
  return { app, base };
}

async function own(id: Id): Promise<number> {
  await settle();
  return (await volumes.usage([live(id)])).get(placeName(live(id))) ?? assert.fail();
}

test('nested directories, many small files and truncation stay under the cap', async () => {
  const { base } = await anApp(8 * MIB);
  const fork = newId();
  await volumes.copy(base, fork, CAP);
  const { stdout } = await attack(
    live(fork),
    `
    for i in $(seq 1 40); do mkdir -p a$i/b/c && head -c 2097152 /dev/urandom > a$i/b/c/file; done 2>/dev/null
    for i in $(seq 1 40); do truncate -s 0 a$i/b/c/file; fallocate -l 2M a$i/b/c/file; done 2>/dev/null
    for i in $(seq 1 3000); do echo x$i > small$i; done 2>/dev/null; sync .; du -sm . | cut -f1`,
  );
  assert.ok(Number(stdout) > 20, `the attack wrote something: ${stdout}`);
  assert.ok((await own(fork)) <= CAP, `${await own(fork)}`);
  await volumes.purge(live(fork));
});

test('subvolumes and snapshots inside a fork count for its cap', async () => {
  const { base } = await anApp(8 * MIB);
  const fork = newId();
  await volumes.copy(base, fork, CAP);
  // The caller of this is uid 1000; seccomp refuses it in a cell.
  const { stderr } = await attack(
    live(fork),
    `
    for i in 1 2 3 4; do btrfs subvolume create sub$i && head -c 20M /dev/urandom > sub$i/file; sync sub$i/file; done
    btrfs subvolume snapshot sub1 snap && head -c 20M /dev/urandom > snap/file; sync snap/file
    mkdir deep; btrfs subvolume create deep/er && btrfs subvolume create deep/er/est && head -c 20M /dev/urandom > deep/er/est/f; true`,
  );
  assert.match(stderr, /Disk quota exceeded/);
  assert.ok((await own(fork)) <= CAP, `${await own(fork)} by ${stderr}`);
  // What is nested does not keep a fork from being purged.
  await volumes.purge(live(fork));
  const root = await open(paths.pool, DIRECTORY);
  const left = await subvolumes(root.fd);
  await root.close();
  assert.equal(
    left.some(({ name }) => name === fork),
    false,
  );
});

test('the same is written past a limit on the fork itself: why the cap is a group of level 1', async () => {
  const { base } = await anApp(1 * MIB);
  const fork = newId();
  await volumes.copy(base, fork, null);
  const root = await open(paths.pool, DIRECTORY);
  const id = (await subvolumes(root.fd)).find(({ name }) => name === fork)?.id ?? assert.fail();
  await limit(root.fd, id, CAP);
  await root.close();
  await attack(
    live(fork),
    'for i in 1 2 3; do btrfs subvolume create sub$i; head -c 30M /dev/urandom > sub$i/file; sync sub$i/file; done',
  );
  const { stdout } = await attack(live(fork), 'du -sm . | cut -f1');
  assert.ok(Number(stdout) * MIB > 2 * CAP, `${stdout} MiB`);
  await volumes.purge(live(fork));
});

test('a fork is charged with nothing that it shares, however it is copied on', async () => {
  await cleaned();
  const { base } = await anApp(48 * MIB);
  const [fork, frozen, second] = [newId(), newId(), newId()];
  await volumes.copy(base, fork, CAP);
  assert.ok((await own(fork)) < MIB);
  await attack(live(fork), 'head -c 8M /dev/urandom > mine; sync mine');
  // A fork of the fork: other group, nothing charged twice, to neither.
  const next = { area: 'base', id: frozen } as const;
  await volumes.freeze(live(fork), next);
  await volumes.copy(next, second, CAP);
  const room = (await volumes.room()) ?? assert.fail();
  const [first, other] = [await own(fork), await own(second)];
  assert.ok(first >= 8 * MIB && first < 9 * MIB, `${first}`);
  assert.ok(other < MIB, `${other}`);
  assert.ok(room.forks >= 8 * MIB && room.forks < 10 * MIB, `${room.forks}`);
  for (const at of [live(fork), live(second), next]) await volumes.purge(at);
});

test('a snapshot into the group of its source is not charged twice', async (t) => {
  const { base } = await anApp(1 * MIB);
  const fork = newId();
  await volumes.copy(base, fork, CAP);
  await attack(live(fork), 'head -c 12M /dev/urandom > mine; sync mine');
  const before = await own(fork);
  const source = await open(directory(live(fork)), DIRECTORY);
  await snapshot({ from: source.fd, into: source.fd, name: 'inside', readOnly: false });
  await source.close();
  const charged = await own(fork);
  t.diagnostic(`${before} bytes before, ${charged} after`);
  // Kernels before 2026 charge it a second time: that only makes a fork that does so stop sooner.
  assert.ok(charged <= 2 * before + MIB, `${charged}`);
  await volumes.purge(live(fork));
});

test('forks that together fill the pool stop at the ceiling, and production overwrites', async () => {
  await cleaned();
  const { app, base } = await anApp(64 * MIB);
  const forks = Array.from({ length: 6 }, newId);
  for (const fork of forks) await volumes.copy(base, fork, 512 * MIB);
  const { forks: written, free } = (await volumes.room()) ?? assert.fail();
  const floor = 256 * MIB;
  await volumes.capForks(written + free - floor);
  const filled = await Promise.all(
    forks.map((fork) =>
      attack(
        live(fork),
        'cat /dev/zero > fill; sync fill; mkdir -p d; for i in $(seq 1 400); do echo x > d/$i; done; sync .',
      ),
    ),
  );
  assert.ok(
    filled.every(({ stderr }) => stderr.includes('Disk quota exceeded')),
    filled.map(({ stderr }) => stderr).join(),
  );
  for (let turn = 0; turn < 3; turn += 1) {
    const { code, stderr } = await attack(
      live(app),
      'head -c 64M /dev/urandom | dd of=data bs=8k conv=notrunc,fsync status=none',
    );
    assert.equal(code, 0, stderr);
    // As a point before each change would do: it pins what is overwritten next.
    if (turn < 1) await volumes.freeze(live(app), { area: 'point', id: newId() });
  }
  const room = (await volumes.room()) ?? assert.fail();
  assert.ok(room.free < floor * 1.2, `it was nearly full: ${room.free}`);
  await volumes.capForks(null);
  for (const fork of forks) await volumes.purge(live(fork));
});

test('groups go with their forks', async () => {
  const { base } = await anApp(1 * MIB);
  const forks = Array.from({ length: 5 }, newId);
  const root = await open(paths.pool, DIRECTORY);
  const groups = async () =>
    [...(await readQuotas(root.fd)).charged.keys()].filter((group) => group >> 48n === 1n).length;
  await cleaned();
  await volumes.open();
  const before = await groups();
  for (const fork of forks) await volumes.copy(base, fork, CAP);
  assert.equal(await groups(), before + forks.length);
  for (const fork of forks) await volumes.purge(live(fork));
  await cleaned();
  await settle();
  await volumes.open();
  assert.equal(await groups(), 0);
  await root.close();
});
