import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, rmdirSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { test } from 'node:test';
import { difference, isOurs, RUN_MARK, snapshot } from '../../scripts/leftovers.ts';

/** Makes something, and says how it goes again. */
type Made = (folder: string) => () => void;

const THINGS: Record<string, { expected: RegExp; make: Made }> = {
  'a mount': {
    expected: /^mount .*bulkhead-left/,
    make: (folder) => {
      execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', folder]);
      return () => execFileSync('umount', [folder]);
    },
  },
  'a loop device': {
    expected: /^loop loop\d+ .*bulkhead-left/,
    make: (folder) => {
      execFileSync('truncate', ['-s', '1M', `${folder}/disk`]);
      const device = execFileSync('losetup', ['--find', '--show', `${folder}/disk`], { encoding: 'utf8' }).trim();
      return () => execFileSync('losetup', ['-d', device]);
    },
  },
  'a network namespace, named': {
    expected: /^namespace named bulkhead-left$/,
    make: () => {
      execFileSync('ip', ['netns', 'add', 'bulkhead-left']);
      return () => execFileSync('ip', ['netns', 'del', 'bulkhead-left']);
    },
  },
  'an interface': {
    expected: /^interface bh-left$/,
    make: () => {
      execFileSync('ip', ['link', 'add', 'bh-left', 'type', 'veth', 'peer', 'name', 'bh-left-peer']);
      return () => execFileSync('ip', ['link', 'del', 'bh-left']);
    },
  },
  'a cgroup': {
    expected: /^cgroup .*bulkhead-left/,
    make: () => {
      const parent = execFileSync('sh', ['-c', 'ls -d /sys/fs/cgroup/pids /sys/fs/cgroup 2>/dev/null | head -n 1'], {
        encoding: 'utf8',
      });
      const made = `${parent.trim()}/bulkhead-left`;
      mkdirSync(made);
      return () => rmdirSync(made);
    },
  },
  'a process of the run, its environment apart': {
    expected: /^process \d+ sleep 3217/,
    make: () => {
      const child = spawn('sleep', ['3217'], { detached: true, stdio: 'ignore', env: { [RUN_MARK]: 'left-mark' } });
      return () => child.kill('SIGKILL');
    },
  },
};

for (const [name, thing] of Object.entries(THINGS)) {
  test(`${name} that is left behind is found, and is ours`, async () => {
    const folder = mkdtempSync('/var/tmp/bulkhead-left-');
    const before = snapshot('left-mark');
    const remove = thing.make(folder);
    try {
      await pause(20);
      const found = difference(before, snapshot('left-mark')).filter((line) => thing.expected.test(line));
      assert.equal(found.length, 1);
      assert.ok(found.every((line) => line.startsWith('process ') || isOurs(line)));
    } finally {
      remove();
      rmSync(folder, { recursive: true });
    }
    await pause(50);
    assert.deepEqual(
      difference(before, snapshot('left-mark')).filter((line) => thing.expected.test(line)),
      [],
    );
  });
}
