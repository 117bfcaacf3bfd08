import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, statfsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Id } from '../../src/core/ids.ts';
import type { SessionSpec } from '../../src/host/cells.ts';
import { makeCell, type CellBench } from '../builders/cell.ts';
import { waitFor } from '../builders/machine.ts';

// What a process in a cell can make root do by numbers and lengths that it chooses.

let bench: CellBench;
before(async () => {
  bench = makeCell('review');
  await bench.cells.start(bench.spec);
});
after(() => bench.remove());

const python = (script: string, more: Partial<SessionSpec> = {}): SessionSpec => ({
  cell: bench.spec.id,
  id: randomUUID() as Id,
  command: ['python3', '-c', script],
  user: 'agent',
  stdin: false,
  log: 0,
  ...more,
});

/** A terminal whose foreground group has ended: the kernel keeps its number. */
const DEAD_FOREGROUND = `
import os, signal, time
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
child = os.fork()
if child == 0: time.sleep(60)
os.setpgid(child, child)
os.tcsetpgrp(0, child)
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
print('ready', flush=True)
time.sleep(60)
`;

test('whoever gets the number of an ended foreground group is not signalled', { timeout: 60_000 }, async () => {
  const session = await bench.cells.open(python(DEAD_FOREGROUND, { stdin: true, terminal: { rows: 24, columns: 80 } }));
  await once(session.stdout, 'data');
  const leader = readFileSync(path.join(bench.places.session(bench.spec.id, session.id), 'pid'), 'utf8').trim();
  const stat = readFileSync(`/proc/${leader}/stat`, 'latin1');
  const foreground = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[5]);
  const stranger = await processNumbered(foreground);
  try {
    await session.signal('SIGKILL');
    await delay(200);
    assert.equal(stranger.signalCode, null, 'a process of the machine was killed from a cell');
  } finally {
    stranger.kill('SIGKILL');
    await session.end();
  }
});

/** A process of the machine, leader of its group, with that number: as root, one need not wait until it comes round. */
async function processNumbered(number: number): Promise<ChildProcess> {
  for (let attempt = 0; attempt < 500; attempt += 1) {
    writeFileSync('/proc/sys/kernel/ns_last_pid', String(number - 1));
    const child = spawn('/usr/bin/sleep', ['30'], { stdio: 'ignore', detached: true });
    if (child.pid === number) return child;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  throw new Error(`no process got the number ${number}`);
}

/** Arguments of 1 TiB that no memory stands behind (PR_SET_MM_MAP, prctl(2)). */
const LONG_ARGUMENTS = `
import ctypes, struct, time
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.sbrk.restype = ctypes.c_void_p
size = 1 << 40
at = libc.mmap(None, ctypes.c_size_t(size), 1, 0x4022, -1, 0) & (1 << 64) - 1
fields = open('/proc/self/stat').read().rsplit(')', 1)[1].split()
number = lambda manual: int(fields[manual - 3])
own = [number(n) for n in (26, 27, 45, 46, 47)] + [libc.sbrk(0), number(28), at, at + size, number(50), number(51)]
map = struct.pack('<11QQII', *own, 0, 0, 0xffffffff)
print('set', libc.prctl(35, 14, map, len(map), 0), flush=True)
time.sleep(60)
`;

test('arguments without an end are listed at once', { timeout: 60_000 }, async () => {
  const session = await bench.cells.open(python(LONG_ARGUMENTS));
  const [said] = (await once(session.stdout, 'data')) as [Buffer];
  assert.equal(said.toString().trim(), 'set 0', 'this kernel lets nobody set them');
  // The old way never came back, and grew by a gigabyte in five seconds: the cell ends it after a while.
  const ending = setTimeout(() => void bench.run('kill -9 -1'), 20_000);
  const started = performance.now();
  const found = await bench.cells.processes(bench.spec.id);
  clearTimeout(ending);
  assert.ok(performance.now() - started < 2000, `it took ${performance.now() - started} ms`);
  const listed = await waitFor(() => found.find((one) => one.session === session.id));
  assert.ok(listed.command.length <= 4096);
  await session.end();
});

test('commands of a mebibyte do not fill what all cells share', { timeout: 60_000 }, async () => {
  const before = statfsSync(bench.places.root).bfree;
  const words = Array.from({ length: 8 }, () => 'x'.repeat(120 << 10));
  const sessions = [];
  for (let count = 0; count < 8; count += 1)
    sessions.push(await bench.cells.open({ ...python(''), command: ['sh', '-c', 'sleep 60', ...words] }));
  const { bfree, bsize } = statfsSync(bench.places.root);
  const taken = (before - bfree) * bsize;
  for (const session of sessions) await session.end();
  assert.ok(taken < 2 << 20, `${taken} bytes for 8 sessions`);
});
