import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { difference, snapshot } from '../../scripts/leftovers.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** What the demo made by the time it says a line, and what is left of that after it was killed. */
async function killed(signal: NodeJS.Signals, said: RegExp): Promise<{ made: string[]; left: string[] }> {
  const before = snapshot();
  const demo = spawn(process.execPath, [`${ROOT}drills/demo.ts`], { cwd: '/', stdio: ['ignore', 'pipe', 'inherit'] });
  const ours = (): string[] => difference(before, snapshot()).filter((line) => line.includes(`demo-${demo.pid}`));
  let text = '';
  demo.stdout.on('data', (data: Buffer) => (text += data.toString()));
  for (let waited = 0; !said.test(text) && demo.exitCode === null && waited < 60_000; waited += 50) await wait(50);
  assert.match(text, said);
  const made = ours();
  demo.kill(signal);
  await once(demo, 'exit');
  for (let waited = 0; ours().length > 0 && waited < 20_000; waited += 200) await wait(200);
  return { made, left: ours() };
}

test('a demo that is killed while production is up leaves nothing behind', async () => {
  const { made, left } = await killed('SIGKILL', /From here on a website writes/);
  for (const kind of ['mount', 'loop', 'cgroup', 'folder'])
    assert.ok(
      made.some((line) => line.startsWith(kind)),
      kind,
    );
  assert.deepEqual(left, []);
});

test('a demo that is interrupted in the middle of a start leaves nothing behind', async () => {
  const { made, left } = await killed('SIGINT', /\$ bulkhead up shop/);
  assert.ok(made.length > 0);
  assert.deepEqual(left, []);
});

test('on the machine itself, where there are no walls, the search finds what it looks for', async () => {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  // Not as root: there it would mount whatever disk it finds.
  const search = spawn('bash', ['-s', '/var/lib', String(port)], {
    uid: 65_534,
    gid: 65_534,
    cwd: '/',
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  search.stdin.end(readFileSync(`${ROOT}drills/pocketos/look.sh`));
  let text = '';
  search.stdout.on('data', (data: Buffer) => (text += data.toString()));
  await once(search, 'close');
  server.close();
  const lines = new Map(
    text
      .trim()
      .split('\n')
      .map((line) => line.split('\t') as [string, string]),
  );
  assert.match(lines.get('production, in files') ?? '', / \/var\/lib /);
  assert.match(lines.get('production, in the network') ?? '', new RegExp(` 127\\.0\\.0\\.1:${port}`));
  assert.match(lines.get('production, in files') ?? '', /disks/);
  // Blindness is no absence: neither the socket of a cell nor a process of a fork is there to be seen.
  assert.notEqual(lines.get('production, through sockets'), 'not there');
  assert.match(lines.get('production, among processes') ?? '', /cannot look/);
});
