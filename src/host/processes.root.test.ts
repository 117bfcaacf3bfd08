import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { isWantedVariable } from '../core/markers.ts';
import { createProcesses } from './processes.ts';
import { pidfdOpen } from './syscalls.ts';

const processes = createProcesses({ keep: isWantedVariable });
const directory = mkdtempSync('/tmp/bulkhead-processes-');
after(() => rmSync(directory, { recursive: true, force: true }));

test('a process whose environment is a page that answers never is unreadable, at once', async () => {
  const script = new URL('../../test/builders/never-reads.py', import.meta.url).pathname;
  const server = spawn('python3', [script, path.join(directory, 'never')], {
    env: { PATH: '/usr/bin:/bin', PAD: 'x'.repeat(40_000) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => void server.on('close', resolve));
  try {
    const pid = await new Promise<number>((resolve, reject) => {
      server.stdout.on('data', (data: Buffer) => resolve(Number(/READY (\d+)/.exec(data.toString())?.[1])));
      server.on('close', () => reject(new Error('the hanging process ended')));
    });
    const pidfd = pidfdOpen(pid) ?? -1;
    const started = performance.now();
    const lineage = await processes.observe(pidfd, pid);
    assert.ok(performance.now() - started < 100, `${performance.now() - started} ms`);
    processes.release(pidfd);
    assert.equal(lineage?.self.pid, pid);
    assert.equal(lineage?.self.readable, false);
    assert.deepEqual(lineage?.self.environment, []);
  } finally {
    server.kill('SIGKILL');
    await ended;
  }
});

test('processes that come and go are never mixed up, and looking is quick', async () => {
  const times: number[] = [];
  for (let round = 0; round < 30; round += 1) {
    const child = spawn('/bin/sh', ['-c', 'exec sleep 0.0$1', 'sh', String(round % 4)], { stdio: 'ignore' });
    const ended = new Promise((resolve) => void child.on('close', resolve));
    const pid = child.pid ?? 0;
    const pidfd = pidfdOpen(pid);
    if (pidfd === undefined) continue;
    const started = performance.now();
    const lineage = await processes.observe(pidfd, pid);
    times.push(performance.now() - started);
    processes.release(pidfd);
    if (lineage !== undefined && lineage.complete) {
      assert.equal(lineage.self.pid, pid);
      assert.equal(lineage.ancestors[0]?.pid, process.pid);
      assert.ok(['sh', 'sleep', 'node', 'MainThread'].includes(lineage.self.comm), lineage.self.comm);
    }
    await ended;
  }
  times.sort((a, b) => a - b);
  assert.ok((times[Math.floor(times.length / 2)] ?? 99) < 20, `p50 ${times[Math.floor(times.length / 2)]} ms`);
});
