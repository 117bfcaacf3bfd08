import assert from 'node:assert/strict';
import { mkdir, open, readFile, rm, stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import { after, test } from 'node:test';
import { AppError, type ErrorCode } from '../../contract/errors.ts';
import { exec } from '../exec.ts';
import { attach, attached, detach, preallocate } from './backing.ts';
import { filesystemId } from './ioctl.ts';
import { mountedAt, mountPool } from './mounts.ts';
import { DIRECTORY, furnish } from './pool.ts';
import { scratchPool } from './scratch.ts';
import { createBtrfsVolumes } from './volumes.ts';

const MIB = 1 << 20;
const SIZE = 256 * MIB;
const scratch = scratchPool('pool');
const { paths, volumes } = scratch;
const quiet = () => {};
const failsWith = (code: ErrorCode) => (error: unknown) => error instanceof AppError && error.code === code;

after(() => scratch.remove());

test('a kernel that is too old is refused, with the package that helps', async () => {
  const volumes = createBtrfsVolumes({ paths, release: '6.1.0-47-amd64' });
  await assert.rejects(volumes.make({ size: SIZE }, quiet), (error: unknown) => {
    assert.ok(error instanceof AppError);
    assert.equal(error.code, 'unsupported');
    assert.match(error.next[0] ?? '', /linux-image-6\.12-amd64/);
    return true;
  });
  assert.equal(await stat(paths.state).catch(() => 'nothing'), 'nothing');
});

test('a disk without room is refused, with what would fit, and nothing stays', async () => {
  await mkdir(paths.state, { recursive: true });
  const disk = await statfs(paths.state);
  await assert.rejects(volumes.make({ size: disk.bavail * disk.bsize - MIB }, quiet), failsWith('no-room'));
  await assert.rejects(volumes.make({ size: MIB }, quiet), failsWith('usage'));
  assert.equal(await stat(`${paths.poolFile}.making`).catch(() => 'nothing'), 'nothing');
});

test('a make that was killed at any stage is made anew by the next', async () => {
  const kills = [
    "(label) => label === 'reserve disk' && die()",
    "(label) => label === 'filesystem' && die()",
    "(label) => label === 'mount' && die()",
  ];
  const timers = [5, 40, 80, 110].map((ms) => `(setTimeout(die, ${ms}), () => {})`);
  for (const progress of [...kills, ...timers]) {
    const code = `
      const { createBtrfsVolumes } = await import(${JSON.stringify(path.join(import.meta.dirname, 'volumes.ts'))});
      const die = () => process.kill(process.pid, 'SIGKILL');
      await createBtrfsVolumes({ paths: ${JSON.stringify(paths)} }).make({ size: ${SIZE} }, ${progress});`;
    const { code: ended } = await exec('env', [process.execPath, '--input-type=module', '-e', code], {
      accept: [0, 137],
    });
    assert.ok(progress.startsWith('(set') || ended === 137, `${progress} did not kill`);
    await volumes.make({ size: SIZE }, quiet);
    assert.deepEqual(await volumes.list(), []);
    await volumes.close();
    assert.deepEqual([await attached(paths.poolFile), await attached(`${paths.poolFile}.making`)], [[], []]);
    await rm(paths.poolFile);
  }
});

test('the pool is mounted as it should be, and once', async () => {
  await volumes.make({ size: SIZE }, quiet);
  const second = createBtrfsVolumes({ paths });
  assert.deepEqual(await Promise.all([volumes.open(), second.open(), volumes.open()]), [true, true, true]);
  const lines = (await readFile('/proc/self/mountinfo', 'utf8'))
    .split('\n')
    .filter((line) => line.includes(` ${paths.pool} `));
  assert.equal(lines.length, 1);
  const line = lines[0] ?? '';
  for (const option of ['nosuid', 'nodev', 'noatime', 'ssd']) assert.match(line, new RegExp(`[ ,]${option}[ ,]`));
  assert.doesNotMatch(line, /discard|shared:/);
  const [device = ''] = await attached(paths.poolFile);
  const { stdout } = await exec('losetup', ['--noheadings', '--output', 'DIO,LOG-SEC', device]);
  assert.match(stdout, /1\s+4096/);
  assert.equal((await stat(paths.state)).mode & 0o777, 0o700);
  const file = await stat(paths.poolFile);
  assert.ok(file.blocks * 512 >= SIZE, 'its blocks are all there');
  const root = await open(paths.pool, DIRECTORY);
  const bdi = `/sys/fs/btrfs/${await filesystemId(root.fd)}/bdi`;
  await root.close();
  assert.equal((await readFile(`${bdi}/strict_limit`, 'utf8')).trim(), '1');
  // The kernel keeps it as a share of what may be dirty, which changes with the memory that is free.
  const most = Number(await readFile(`${bdi}/max_bytes`, 'utf8'));
  assert.ok(most > 32 * MIB && most < 128 * MIB, `${most}`);
  await assert.rejects(second.close(), failsWith('busy'));
  await volumes.close();
});

test('a pool that is in use stays, says so, and is found again', async () => {
  assert.equal(await volumes.open(), true);
  const elsewhere = path.join(paths.state, 'cell');
  await mkdir(elsewhere);
  // A cell's mount is one of its own: the pool's goes, the filesystem stays.
  await exec('mount', ['--bind', paths.pool, elsewhere]);
  await assert.rejects(volumes.close(), failsWith('busy'));
  assert.equal(await mountedAt(paths.pool), undefined);
  const next = createBtrfsVolumes({ paths });
  assert.equal(await next.open(), true);
  assert.equal((await attached(paths.poolFile)).length, 1);
  await exec('umount', [elsewhere]);
  await next.close();
  assert.deepEqual(await attached(paths.poolFile), []);
});

test('a sparse file counts as no more than the disk under it can give', async (t) => {
  const sparse = scratchPool('sparse');
  t.after(() => sparse.remove());
  await mkdir(sparse.paths.pool, { recursive: true });
  const disk = await statfs(sparse.paths.state);
  const handle = await open(sparse.paths.poolFile, 'w');
  await handle.truncate(disk.bavail * disk.bsize * 4);
  await handle.close();
  const device = await attach(sparse.paths.poolFile);
  await exec('mkfs.btrfs', ['--quiet', '--nodiscard', device]);
  await mountPool(device, sparse.paths.pool);
  await furnish(sparse.paths.pool);
  assert.equal(await sparse.volumes.open(), true);
  const room = (await sparse.volumes.room()) ?? assert.fail();
  // The disk is not ours alone: other tests make and remove pools on it meanwhile.
  const later = await statfs(sparse.paths.state);
  const most = Math.max(disk.bavail, later.bavail) * disk.bsize + 8 * 2 ** 30;
  assert.ok(room.free > 0 && room.free <= most && most < room.size, `${room.free} of ${most}, in ${room.size}`);
});

test('a device is taken whole, unless something is on it', async (t) => {
  const { paths: other, volumes: onDevice, remove } = scratchPool('device');
  const file = path.join(paths.state, 'disk');
  t.after(async () => {
    await remove();
    await detach(file);
  });
  await exec('truncate', ['--size', String(SIZE), file]);
  const device = await attach(file);
  await exec('mkfs.ext4', ['-q', device]);
  await assert.rejects(onDevice.make({ size: 0, device }, quiet), failsWith('exists'));
  await assert.rejects(onDevice.make({ size: 0, device: file }, quiet), failsWith('usage'));
  await exec('wipefs', ['--quiet', '--all', device]);
  await onDevice.make({ size: 0, device }, quiet);
  await onDevice.close();
  assert.equal(await onDevice.open(), true);
  assert.equal(await mountedAt(other.pool), device);
  assert.equal((await onDevice.room())?.size, SIZE);
});

test('on a disk that is btrfs itself, the file is not copied on write', async (t) => {
  const outer = scratchPool('outer');
  t.after(outer.remove);
  await outer.volumes.make({ size: 4 * SIZE }, quiet);
  const file = path.join(outer.paths.pool, 'inner');
  await preallocate(file, SIZE);
  const { stdout } = await exec('lsattr', [file]);
  assert.match(stdout.split(' ')[0] ?? '', /C/);
});
