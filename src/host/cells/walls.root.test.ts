import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import type { Id } from '../../core/ids.ts';
import { makeCell, type CellBench } from '../../../test/builders/cell.ts';
import { AppError } from '../../contract/errors.ts';

let bench: CellBench;
before(async () => {
  bench = makeCell('walls', { limits: { memory: 128 << 20, cpus: 0.5, pids: 40 } });
  await bench.cells.start(bench.spec);
});
after(() => bench.remove());

const output = async (script: string, user: 'agent' | 'root' = 'agent'): Promise<string> =>
  (await bench.run(script, { user })).stdout.toString().trim();

/** Runs a script of attempts, one a line; returns those that succeeded. */
const succeeded = async (attempts: readonly string[], user: 'agent' | 'root'): Promise<string[]> => {
  const done: string[] = [];
  for (const attempt of attempts)
    if ((await bench.run(`{ ${attempt}; } 2>/dev/null`, { user })).code === 0) done.push(attempt);
  return done;
};

test('a session has no capability in any of the five sets, and gains none', async () => {
  const status = await output('grep -E "^(Cap|NoNewPrivs|Seccomp:)" /proc/self/status');
  const expected = ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'].map((set) => `${set}:\t0000000000000000`);
  assert.deepEqual(status.split('\n'), [...expected, 'NoNewPrivs:\t1', 'Seccomp:\t2']);
});

test('the session that unpacks has what giving owners needs, and no more', async () => {
  const status = await output('grep -E "^Cap" /proc/self/status', 'root');
  const sets = Object.fromEntries(status.split('\n').map((line) => line.split(':\t') as [string, string]));
  // CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, FSETID 4.
  const granted = (0b11011).toString(16).padStart(16, '0');
  assert.deepEqual(sets, {
    CapInh: '0'.repeat(16),
    CapPrm: granted,
    CapEff: granted,
    CapBnd: granted,
    CapAmb: '0'.repeat(16),
  });
});

test('process 1 can do nothing', async () => {
  assert.match(await output('grep CapEff /proc/1/status'), /0000000000000000$/);
  assert.match(await output('cat /proc/1/comm'), /catatonit/);
});

test('no user namespace can be made, and its limit not be raised', async () => {
  assert.equal(await output('cat /proc/sys/user/max_user_namespaces'), '0');
  const attempts = ['unshare --user true', 'echo 100 > /proc/sys/user/max_user_namespaces'];
  assert.deepEqual(await succeeded(attempts, 'agent'), []);
  assert.deepEqual(await succeeded(attempts, 'root'), []);
});

test('only the app, our programs and the system are there', async () => {
  const root = (await output('ls /')).split('\n');
  assert.deepEqual(root.sort(), [
    'app',
    'bin',
    'dev',
    'etc',
    'home',
    'lib',
    'lib64',
    'opt',
    'proc',
    'root',
    'run',
    'sbin',
    'sys',
    'tmp',
    'usr',
    'var',
  ]);
  assert.equal(await output('ls -A /home/agent /opt /var/lib'), '/home/agent:\n\n/opt:\nbulkhead\n\n/var/lib:');
  assert.equal(await output('bulkhead'), 'bulkhead in a cell');
  assert.deepEqual((await output('ls /dev')).split('\n').sort(), [
    'fd',
    'full',
    'mqueue',
    'null',
    'ptmx',
    'pts',
    'random',
    'shm',
    'stderr',
    'stdin',
    'stdout',
    'tty',
    'urandom',
    'zero',
  ]);
});

test('nothing of the machine can be written, by root of the cell either', async () => {
  const attempts = [
    'touch /usr/x',
    'touch /etc/x',
    'echo x >> /etc/passwd',
    'touch /x',
    'mkdir /new',
    'touch /opt/bulkhead/dist/x',
    'touch /run/bulkhead/x',
    'echo x > /run/bulkhead-hooks/up',
    'mount -t tmpfs none /mnt',
    'mount -o remount,rw /usr',
    'echo 1 > /proc/sysrq-trigger',
    'echo x > /proc/sys/kernel/core_pattern',
    'echo 1 > /proc/sys/vm/drop_caches',
    'echo 0 > /proc/sys/kernel/randomize_va_space',
    'echo x > /sys/kernel/uevent_helper',
    'cat /proc/kcore | head -c 1 | grep -q .',
    'mknod /tmp/disk b 254 0 && head -c1 /tmp/disk',
    'dmesg',
    'ls /sys/fs/cgroup/*',
    'chroot / true',
  ];
  assert.deepEqual(await succeeded(attempts, 'agent'), []);
  assert.deepEqual(await succeeded(attempts, 'root'), []);
});

test('files of the app have the ids of the cell inside and on disk, and no setuid works', async () => {
  await bench.run('echo x > /app/mine; cp /usr/bin/id /app/id; chmod u+s /app/id');
  assert.equal(statSync(path.join(bench.spec.source, 'mine')).uid, 1000);
  assert.equal(await output('stat -c %u /app/mine'), '1000');
  await bench.run('chown 0:0 /app/id; chmod 4755 /app/id', { user: 'root' });
  assert.equal(await output('/app/id -u'), '1000');
});

test('the mount of the app is in the cell alone, and says nothing of where it comes from', async () => {
  const own = readFileSync('/proc/self/mountinfo', 'utf8');
  assert.ok(!own.includes(bench.places.mounts));
  const inside = await output('cat /proc/self/mountinfo');
  assert.ok(!inside.includes('.mounts'));
  assert.match(inside, / \/app rw,nosuid,nodev,relatime,idmapped /);
  assert.doesNotMatch(inside, / shared:| master:/);
});

test('a directory that is named leads nowhere outside', async () => {
  await bench.run('for i in $(seq 3 20); do ln -s /proc/self/fd/$i /app/fd$i; done');
  const names = Array.from({ length: 18 }, (_, at) => at + 3);
  const places = names.flatMap((fd) => [`/proc/self/fd/${fd}`, `/app/fd${fd}`]);
  for (const directory of places) {
    const spec = {
      cell: bench.spec.id,
      id: randomUUID() as Id,
      command: ['sh', '-c', 'ls ../../../../etc'],
      user: 'agent',
      stdin: false,
      log: 0,
    } as const;
    const result = await bench.cells.run({ ...spec, directory }, { deadline: 5000, output: 1 << 20 });
    assert.ok(result.code === 125 || !result.stdout.toString().includes('shadow'), directory);
  }
  await bench.run('rm /app/fd*');
});

test('a session begins where it is told', async () => {
  const at = async (directory: string | undefined, command: string[]) => {
    const spec = { cell: bench.spec.id, id: randomUUID() as Id, command, user: 'agent', stdin: false, log: 0 } as const;
    const result = await bench.cells.run(
      { ...spec, ...(directory === undefined ? {} : { directory }) },
      { deadline: 5000, output: 1000 },
    );
    return `${result.code} ${result.stdout.toString().trim()}`;
  };
  assert.equal(await at(undefined, ['pwd']), '0 /app');
  assert.equal(await at('/usr/share', ['pwd']), '0 /usr/share');
  assert.equal(await at('/none', ['pwd']), '125 ');
  assert.equal(await at('/usr', ['no-such-command']), '127 ');
});

test('hooks are the accepted content, and run', async () => {
  assert.equal(await output('/run/bulkhead-hooks/up'), 'up');
});

test('memory and processes are limited', async () => {
  const hog = await bench.run('exec python3 -c "x = bytearray(400 << 20)"');
  assert.equal(hog.code, 137);
  const forks = await bench.run('for i in $(seq 60); do sleep 5 & done; exit 0', { deadline: 10_000 });
  assert.match(forks.stderr.toString(), /Resource temporarily unavailable|Cannot fork/);
});

test('the processor is limited, and forks weigh less than production', async () => {
  // Half of one: a second of trying gets at most about half a second.
  const times = await output('timeout 1 sh -c "while :; do :; done"; times | tail -1');
  const seconds = times.split(' ').map((part) => Number(/m([\d.]+)s/.exec(part)?.[1]));
  assert.ok(seconds.reduce((sum, one) => sum + one, 0) < 0.75, times);
  const shares = readFileSync(`/sys/fs/cgroup/cpu/${bench.paths.cgroup}/forks/cpu.shares`, 'utf8');
  assert.equal(shares.trim(), '512');
});

test('all forks together stay under a ceiling, which holds for those that start later', async () => {
  const other = makeCell('ceiling', { limits: { memory: 1 << 30, cpus: 2, pids: 50 } });
  const read = (file: string): string => readFileSync(`/sys/fs/cgroup/${file}`, 'utf8').trim();
  try {
    await other.cells.ceiling({ memory: 256 << 20, cpus: 1.5 });
    for (let round = 0; round < 2; round++) {
      await other.cells.start(other.spec);
      const forks = `${other.paths.cgroup}/forks`;
      assert.equal(read(`memory/${forks}/memory.limit_in_bytes`), String(256 << 20));
      assert.equal(read(`cpu/${forks}/cpu.cfs_quota_us`), '150000');
      assert.equal(read(`cpu/${forks}/${other.spec.id}/cpu.cfs_quota_us`), '150000');
      assert.equal((await other.run('exec python3 -c "x = bytearray(400 << 20)"')).code, 137);
      await other.cells.stop(other.spec.id);
    }
  } finally {
    await other.remove();
  }
});

test('an accepted directory is shown read-only; others are refused', async () => {
  const shown = '/opt/bulkhead-test-paths';
  mkdirSync(`${shown}/bin`, { recursive: true });
  writeFileSync(`${shown}/bin/hello`, '#!/bin/sh\necho hello\n', { mode: 0o755 });
  const other = makeCell('paths', { paths: [shown] });
  try {
    await other.cells.start(other.spec);
    assert.equal((await other.run('hello')).stdout.toString(), 'hello\n');
    assert.notEqual((await other.run(`touch ${shown}/x`)).code, 0);
    await other.cells.stop(other.spec.id);
    for (const refused of ['/etc/ssl', '/run', '/', '/opt/../etc', '/no/such/place', other.paths.state, '/var/lib']) {
      const wrong = other.cells.start({ ...other.spec, paths: [refused] });
      await assert.rejects(wrong, (error) => error instanceof AppError && error.code === 'bad-file', refused);
    }
    assert.deepEqual(await other.cells.list(), []);
  } finally {
    await other.remove();
    rmSync(shown, { recursive: true });
  }
});
