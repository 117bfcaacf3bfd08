import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { AppError } from '../../contract/errors.ts';
import { start } from '../exec.ts';
import { createCgroups } from './cgroups.ts';

const PARENT = `bulkhead-t-cgroups-${process.pid}`;
const GROUP = `${PARENT}/forks`;

/** What this machine has; and its v2 tree by itself, as a machine without v1 has it. */
const UNIFIED = '/sys/fs/cgroup/unified';
const ROOTS = ['/sys/fs/cgroup', ...(existsSync(UNIFIED) ? [UNIFIED] : [])];

for (const root of ROOTS) {
  const cgroups = createCgroups(root);
  after(async () => {
    if (cgroups.exists(PARENT)) cgroups.kill(PARENT);
    await cgroups.remove(PARENT);
  });

  test(`${root}: a group is made once, listed, and taken away with all below it`, async () => {
    cgroups.make(GROUP);
    cgroups.make(GROUP);
    cgroups.makeIn(GROUP, 'one');
    cgroups.makeIn(`${GROUP}/one`, 'two');
    assert.deepEqual(cgroups.children(GROUP), ['one']);
    assert.throws(
      () => cgroups.makeIn(`${PARENT}/gone`, 'x'),
      (error) => error instanceof AppError && error.code === 'wrong-state',
    );
    await cgroups.remove(PARENT);
    assert.equal(cgroups.exists(PARENT), false);
    await cgroups.remove(PARENT);
  });

  test(`${root}: what lives in a group is seen, frozen, killed, and its end told once`, async () => {
    cgroups.make(GROUP);
    cgroups.makeIn(GROUP, 'busy');
    const group = `${GROUP}/busy`;
    const child = await start('sleep', ['100'], { stdio: 'ignore' });
    writeFileSync(`${cgroups.directory(group)}/cgroup.procs`, String(child.pid));
    assert.deepEqual(cgroups.processes(group), [child.pid]);
    assert.equal(cgroups.populated(GROUP), true);
    let told = 0;
    const empty = new Promise<void>((resolve) => {
      cgroups.whenEmpty(group, () => {
        told++;
        resolve();
      });
    });
    const silent = cgroups.whenEmpty(group, () => assert.fail('it was unsubscribed'));
    silent();
    cgroups.freeze(group, true);
    while (!cgroups.frozen(group)) await new Promise((resolve) => setTimeout(resolve, 5));
    // A frozen group is killed as any other.
    cgroups.kill(GROUP);
    await empty;
    assert.equal(cgroups.populated(GROUP), false);
    await cgroups.remove(PARENT);
    assert.equal(told, 1);
  });

  test(`${root}: taking a group away is told to who waits for its end`, async () => {
    cgroups.make(GROUP);
    const child = await start('sleep', ['100'], { stdio: 'ignore' });
    writeFileSync(`${cgroups.directory(GROUP)}/cgroup.procs`, String(child.pid));
    const empty = new Promise<void>((resolve) => void cgroups.whenEmpty(GROUP, resolve));
    cgroups.kill(GROUP);
    await cgroups.remove(PARENT);
    await empty;
  });
}

test('limits are written where the kernel reads them', async () => {
  const cgroups = createCgroups();
  cgroups.limit(GROUP, { memory: 64 << 20, cpus: 0.5, weight: 50 });
  const read = (file: string): string => readFileSync(file, 'utf8').trim();
  if (existsSync(UNIFIED)) {
    assert.equal(read(`/sys/fs/cgroup/memory/${GROUP}/memory.limit_in_bytes`), String(64 << 20));
    assert.equal(read(`/sys/fs/cgroup/cpu/${GROUP}/cpu.cfs_quota_us`), '50000');
    assert.equal(read(`/sys/fs/cgroup/cpu/${GROUP}/cpu.shares`), '512');
  } else {
    assert.equal(read(`/sys/fs/cgroup/${GROUP}/memory.max`), String(64 << 20));
    assert.equal(read(`/sys/fs/cgroup/${GROUP}/cpu.max`), '50000 100000');
    assert.equal(read(`/sys/fs/cgroup/${GROUP}/cpu.weight`), '50');
  }
  await cgroups.remove(PARENT);
});
