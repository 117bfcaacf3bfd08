import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { post, run, waitFor } from '../builders/machine.ts';
import { makeStage, type Stage } from './stage.ts';

// Who may ask the daemon, and means to keep others from it.

/** Another user of the machine, who may connect; and one who may not. */
const STRANGER = 61_235;
const NOBODY = 61_236;
const REVIEW = new URL('probes/review.py', import.meta.url).pathname;

let stage: Stage;
before(async () => {
  stage = await makeStage({
    forks: ['loud'],
    files: {
      'bulkhead.yaml':
        'hooks: { up: ./ops/up.sh }\nlimits: { memory: 512MiB }\nfork: { limits: { memory: 512MiB, disk: 64MiB } }\n',
      // The hook was accepted; what it runs is the fork's own.
      'ops/up.sh': '#!/bin/sh\n[ -e /app/run ] && exec sh /app/run\nwhile :; do date >> /app/beats; sleep 0.1; done\n',
    },
  });
  await run('setfacl', ['-m', `u:${STRANGER}:rw`, stage.machine.paths.socket]);
});
after(() => stage?.remove());

/** Another process, as another user. */
function probe(uid: number, ...args: string[]): ChildProcess {
  return spawn('/usr/bin/python3', ['-', ...args], { uid, gid: uid, cwd: '/', stdio: ['pipe', 'pipe', 'inherit'] });
}

async function begin(uid: number, ...args: string[]): Promise<{ child: ChildProcess; said: string }> {
  const child = probe(uid, ...args);
  child.stdin?.end(await readFile(REVIEW));
  const [chunk] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
  return { child, said: chunk.toString().trim() };
}

const agentOf = (machine: Stage['machine']) => ({
  ...process.env,
  BULKHEAD_INSTANCE: machine.instance,
  CLAUDECODE: '1',
});

const answered = async (): Promise<number> => {
  const started = performance.now();
  const text = await Promise.race([
    post(stage.machine.paths.socket, 'machine.status', { input: {} }).catch(String),
    new Promise<string>((resolve) => void setTimeout(resolve, 10_000, 'no answer in 10 s').unref()),
  ]);
  assert.match(text, /"result"/);
  return performance.now() - started;
};
const memory = async (): Promise<number> =>
  Number(/^VmRSS:\s+(\d+)/m.exec(await readFile(`/proc/${stage.machine.daemon.pid}/status`, 'utf8'))?.[1]) * 1024;

test('one user takes every connection there is: others are still answered', { timeout: 60_000 }, async () => {
  const { child, said } = await begin(STRANGER, 'connections', stage.machine.paths.socket, '1500');
  try {
    assert.ok(Number(said) > 500, said);
    for (let count = 0; count < 3; count += 1) await answered();
  } finally {
    child.kill();
  }
});

test(
  'one user has the machine examined sixty times at once: others are still answered',
  { timeout: 90_000 },
  async () => {
    const { child } = await begin(STRANGER, 'doctors', stage.machine.paths.socket, '60');
    try {
      for (let count = 0; count < 3; count += 1) assert.ok((await answered()) < 2500);
    } finally {
      child.kill();
    }
  },
);

test('another user of the machine does not reach the socket of a cell', async () => {
  const sockets = path.join(stage.machine.paths.run, 'sockets');
  for (const cell of await readdir(sockets)) {
    const { said } = await begin(NOBODY, 'connections', path.join(sockets, cell, 'cell.sock'), '1');
    assert.equal(said, 'EACCES');
  }
});

test('one user asks until the disk is full of records: it is held up before', { timeout: 60_000 }, async () => {
  const size = async (): Promise<number> => (await stat(stage.machine.paths.audit)).size;
  const before = await size();
  const { child, said } = await begin(STRANGER, 'flood', stage.machine.paths.socket, '12');
  if (child.exitCode === null) await once(child, 'exit');
  const grown = (await size()) - before;
  assert.ok(grown > 4 << 20 && grown < 16 << 20, `${grown} bytes, ${said}`);
  assert.match(said, /too-many/);
  const records = (await readFile(stage.machine.paths.audit, 'utf8')).split('\n');
  assert.equal(records.filter((line) => line.includes('"audit.limit"')).length, 1);
  await answered();
  assert.match((await stage.machine.cli('audit', 'verify')).stdout, /intact/);
});

test('a cell that stops the helper reading in it keeps nobody from its app', { timeout: 60_000 }, async () => {
  const { machine, person } = stage;
  const script = await readFile(REVIEW, 'utf8');
  await machine.cliWith(
    { input: script, env: agentOf(machine) },
    'exec',
    '-i',
    'shop:loud',
    '--',
    'sh',
    '-c',
    'cat > /app/review.py',
  );
  const held = stage.agent(
    'exec',
    'shop:loud',
    '--',
    'python3',
    '/app/review.py',
    'hold',
    '/run/bulkhead/cell.sock',
    'shop:loud',
    '10',
  );
  await new Promise((resolve) => setTimeout(resolve, 2500));
  for (let count = 0; count < 4; count += 1) {
    const ran = await person.bulkhead('extend shop:loud --ttl 2h');
    assert.equal(ran.code, 0, ran.stderr);
    await new Promise((resolve) => setTimeout(resolve, 700));
  }
  assert.match((await held).stdout, /stopped/);
});

test('a fork that prints without end, and a client that does not read its log', { timeout: 90_000 }, async () => {
  const { machine } = stage;
  const agent = (...args: string[]) => stage.agent(...args);
  await agent('exec', 'shop:loud', '--', 'sh', '-c', 'echo "exec yes `seq -s x 40`" > /app/run');
  assert.equal((await agent('restart', 'shop:loud')).code, 0, machine.log());
  const before = await memory();
  const { child, said } = await begin(0, 'deaf', machine.paths.socket, 'shop:loud');
  assert.match(said, /101/);
  try {
    for (let round = 0; round < 8; round += 1) {
      assert.ok((await answered()) < 2000);
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    const grown = (await memory()) - before;
    assert.ok(grown < 200 << 20, `${grown} bytes more`);
  } finally {
    child.kill();
    await waitFor(async () => (await agent('down', 'shop:loud')).code === 0, 30_000);
  }
});

test('a fork that has itself restarted without end is removed all the same', { timeout: 120_000 }, async () => {
  const { machine } = stage;
  const script = await readFile(REVIEW, 'utf8');
  const env = agentOf(machine);
  await machine.cliWith({ input: script, env }, 'exec', '-i', 'shop:loud', '--', 'sh', '-c', 'cat > /app/review.py');
  const again = "trap '' TERM; python3 /app/review.py again /run/bulkhead/cell.sock shop:loud & sleep 1000";
  await machine.cliWith({ input: again, env }, 'exec', '-i', 'shop:loud', '--', 'sh', '-c', 'cat > /app/run');
  await stage.agent('restart', 'shop:loud');
  await new Promise((resolve) => setTimeout(resolve, 2000));
  const removed = await stage.agent('rm', 'shop:loud');
  assert.equal(removed.code, 0, removed.stderr);
});
