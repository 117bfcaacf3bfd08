import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { AppError } from '../../src/contract/errors.ts';
import type { Input } from '../../src/contract/operations.ts';
import type { ServerStream } from '../../src/daemon/stream.ts';
import { bundleCli, type Cli } from '../builders/cli.ts';
import { startFakeDaemon, type FakeDaemon } from '../builders/fake-daemon.ts';

let cli: Cli;
before(async () => {
  cli = await bundleCli();
});
after(() => cli?.remove());

const collect = async (stream: ServerStream): Promise<Buffer> => {
  const all: Buffer[] = [];
  for await (const chunk of stream.stdin as AsyncIterable<Buffer>) all.push(chunk);
  return Buffer.concat(all);
};

/** A command that is played by the test. */
type Play = (stream: ServerStream, input: Input<'session.exec'>) => Promise<number>;

async function withSession(
  play: Play,
  use: (daemon: FakeDaemon) => Promise<void>,
  more: Parameters<typeof startFakeDaemon>[0] = {},
): Promise<void> {
  const daemon = await startFakeDaemon({
    'session.exec': async ({ stream, input }) => {
      if (stream === undefined) throw new Error('it is a stream');
      stream.control({ type: 'accepted', session: 'a-session' });
      const code = await play(stream, input);
      stream.control({ type: 'exit', code });
      return { code };
    },
    ...more,
  });
  try {
    await use(daemon);
  } finally {
    await daemon.remove();
  }
}

test('exec keeps output apart, passes the exit code, and sends input only with -i', async () => {
  const play: Play = async (stream, { interactive }) => {
    await stream.write(1, Buffer.from('out\n'));
    await stream.write(2, Buffer.from('err\n'));
    if (interactive === true) await stream.write(1, Buffer.from(`${(await collect(stream)).length}\n`));
    return 7;
  };
  await withSession(play, async ({ socket }) => {
    assert.deepEqual(await cli.run(socket, ['exec', 'a:b', '--', 'x'], { input: 'ignored' }), {
      code: 7,
      stdout: 'out\n',
      stderr: 'err\n',
    });
    const input = 'x'.repeat(3_000_000);
    assert.deepEqual(await cli.run(socket, ['exec', '-i', 'a:b', '--', 'wc'], { input }), {
      code: 7,
      stdout: 'out\n3000000\n',
      stderr: 'err\n',
    });
    const json = await cli.run(socket, ['exec', '--json', 'a:b', '--', 'x']);
    assert.deepEqual(
      json.stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
      [
        { type: 'output', stream: 'stdout', text: 'out\n' },
        { type: 'output', stream: 'stderr', text: 'err\n' },
        { type: 'result', result: { code: 7 } },
      ],
    );
  });
});

test('a failure of ours is 125 and on standard error', async () => {
  const daemon = await startFakeDaemon({
    'session.exec': () => {
      throw new AppError('refused', 'shop is production, and you are not signed in as a person', {
        next: ['bulkhead fork shop:fix'],
      });
    },
  });
  assert.deepEqual(await cli.run(daemon.socket, ['exec', 'shop', '--', 'psql']), {
    code: 125,
    stdout: '',
    stderr: 'Refused: shop is production, and you are not signed in as a person.\n  bulkhead fork shop:fix\n',
  });
  await daemon.remove();
});

test("a signal is the command's", async () => {
  const play: Play = async (stream) => {
    await stream.write(1, Buffer.from('ready\n'));
    const signal = await new Promise<string>((resolve) =>
      stream.onControl((message) => message.type === 'signal' && resolve(message.signal)),
    );
    await stream.write(1, Buffer.from(`got ${signal}\n`));
    return 42;
  };
  await withSession(play, async ({ socket }) => {
    const ran = await cli.run(socket, ['exec', 'a:b', '--', 'x'], { signal: { after: 'ready', send: 'SIGINT' } });
    assert.deepEqual([ran.code, ran.stdout], [42, 'ready\ngot SIGINT\n']);
  });
});

test('output waits for who reads it, and a reader that leaves ends the session', async () => {
  let sent = 0;
  let left = false;
  const play: Play = async (stream) => {
    const piece = Buffer.alloc(65_536, 'y');
    for (; sent < 500 && !stream.gone.aborted; sent += 1) await stream.write(1, piece);
    left = stream.gone.aborted;
    return 0;
  };
  await withSession(play, async ({ socket }) => {
    const shell = spawnAsync(
      `"${process.execPath}" "${cli.file}" exec a:b -- yes | head -c 100000 | wc -c; echo "\${PIPESTATUS[0]}"`,
      socket,
    );
    const { stdout } = await shell;
    assert.equal(stdout, '100000\n141\n');
    assert.ok(left && sent < 200, `${sent} pieces were sent`);
  });
});

test('a terminal: raw keys, size, resize', async () => {
  const play: Play = async (stream, { rows, columns, term }) => {
    await stream.write(1, Buffer.from(`${rows}x${columns} ${term} ready\r\n`));
    const key = await new Promise<Buffer>((resolve) => stream.stdin.once('data', resolve));
    await stream.write(1, Buffer.from(`key ${key[0]}\r\n`));
    return 0;
  };
  await withSession(play, async ({ socket }) => {
    const ran = await cli.run(socket, ['exec', '-it', 'a:b', '--', 'top'], {
      terminal: [{ after: 'ready', type: '\u0003' }],
    });
    assert.match(ran.stdout, /40x100 xterm ready[\r\n]+key 3[\r\n]/);
    const none = await cli.run(socket, ['exec', '-it', 'a:b', '--', 'top']);
    assert.deepEqual(
      [none.code, none.stderr],
      [
        125,
        'Cannot give it a terminal (-t): standard input is not a terminal here.\n  bulkhead exec -i a:b -- top …\n',
      ],
    );
    const shell = await cli.run(socket, ['shell', 'a:b'], { terminal: [{ after: 'ready', type: 'x' }] });
    assert.match(shell.stdout, /key 120/);
  });
});

test('a session goes on when the daemon has been started again', async () => {
  let daemon: FakeDaemon | undefined;
  const play: Play = async (stream) => {
    await stream.write(1, Buffer.from('before\n'));
    setTimeout(() => void daemon?.stop().then(() => setTimeout(() => void daemon?.start(), 300)), 100);
    return new Promise(() => {});
  };
  const attach = async ({ stream, input }: { stream: ServerStream | undefined; input: Input<'session.attach'> }) => {
    await stream?.write(1, Buffer.from(`${input.ref} ${input.session} after\n`));
    stream?.control({ type: 'exit', code: 5 });
    return { code: 5 };
  };
  await withSession(
    play,
    async (started) => {
      daemon = started;
      const ran = await cli.run(started.socket, ['exec', 'a:b', '--', 'x']);
      assert.deepEqual(ran, { code: 5, stdout: 'before\na:b a-session after\n', stderr: '' });
    },
    { 'session.attach': attach },
  );
});

test('create sends a directory as a tar, shows what its file asks for, and takes the code for that', async () => {
  const from = await mkdtemp(path.join(os.tmpdir(), 'bulkhead-from-'));
  await writeFile(path.join(from, 'rows'), '1\n2\n');
  await symlink('/etc/passwd', path.join(from, 'link'));
  let archive: Buffer = Buffer.alloc(0);
  const daemon = await startFakeDaemon({
    'app.create': async ({ stream, input }) => {
      if (stream !== undefined) archive = await collect(stream);
      return { ref: input.name, id: 'x', files: 2, bytes: 4, proposal: true };
    },
    'config.diff': () => ({
      hash: 'abc',
      changes: [
        { key: 'ports', accepted: [], proposed: ['80:8080'] },
        { key: 'hooks.up', accepted: null, proposed: './up' },
        { key: 'hooks.health', accepted: null, proposed: './health' },
        { key: 'content.up', accepted: null, proposed: '12' },
      ],
    }),
    'config.accept': ({ input, code }) => {
      if (code === undefined) throw new AppError('factor-required', 'Your code is needed');
      return { ref: input.ref, hash: input.hash ?? '' };
    },
  });
  const made = await cli.run(daemon.socket, ['create', 'shop', '--from', from], {
    terminal: [{ after: 'Code, to accept that: ', type: '740 226\n' }],
  });
  assert.equal(made.code, 0, made.stdout);
  assert.match(
    made.stdout,
    /✔ read 4 B, 2 files as \w+ .*\r\n(?:! 2 files of root stay [^\r]*\r\n[^\r]*again\r\n)? {2}bulkhead.yaml asks for: port 80 → 8080 on this machine; hooks up, health\r\n/,
  );
  assert.match(made.stdout, /✔ shop exists, down\r\n {2}bulkhead up shop/);
  const listed = spawnSync('/usr/bin/tar', ['-tv'], { input: archive }).stdout.toString();
  assert.match(listed, /link -> \/etc\/passwd\n.* 4 .* rows\n$/);
  assert.deepEqual(
    daemon.asked.map(({ operation, plan }) => `${operation}${plan ? ' --plan' : ''}`),
    ['app.create --plan', 'app.create', 'config.diff', 'config.accept', 'config.accept'],
  );
  await Promise.all([daemon.remove(), rm(from, { recursive: true })]);
});

test('create tells a refusal before it reads, and an error in the middle of an upload', async () => {
  const from = await mkdtemp(path.join(os.tmpdir(), 'bulkhead-from-'));
  await writeFile(path.join(from, 'big'), Buffer.alloc(8 << 20));
  const daemon = await startFakeDaemon({
    'app.create': async ({ stream }) => {
      await new Promise((resolve) => stream?.stdin.once('data', resolve));
      throw new AppError('pool-full', 'The pool is full', { next: ['bulkhead ls'] });
    },
  });
  assert.deepEqual(await cli.run(daemon.socket, ['create', 'shop', '--from', from]), {
    code: 1,
    stdout: '',
    stderr: 'The pool is full.\n  bulkhead ls\n',
  });
  spawnSync('/usr/bin/mkfifo', [path.join(from, 'zz')]);
  const fifo = await cli.run(daemon.socket, ['create', 'shop', '--from', from]);
  assert.deepEqual([fifo.code, fifo.stderr.split('\n')[0]], [2, 'Cannot read "zz" into an app: it is a FIFO.']);
  await Promise.all([daemon.remove(), rm(from, { recursive: true })]);
});

test('logs are bytes for a pipe, and cannot move the cursor of a terminal', async () => {
  const daemon = await startFakeDaemon({
    'cell.logs': async ({ stream }) => {
      await stream?.write(1, Buffer.from('\u001b[31mred\u001b[0m\u001b]0;title\u0007\n'));
      return {};
    },
  });
  assert.equal((await cli.run(daemon.socket, ['logs', 'a:b'])).stdout, '\u001b[31mred\u001b[0m\u001b]0;title\u0007\n');
  const shown = await cli.run(daemon.socket, ['logs', 'a:b'], { terminal: [] });
  assert.equal(shown.stdout.trim(), '\u001b[31mred\u001b[0m\\u001b]0;title\\u0007');
  await daemon.remove();
});

test('bash completes a ref behind its colon', async () => {
  const daemon = await startFakeDaemon({
    'app.list': () => ({
      pool: null,
      volumes: ['shop', 'shop:fix', 'shop:fresh'].map((ref) => ({ ref, kind: 'fork', state: 'up' }) as never),
    }),
  });
  const script = `bulkhead() { "${process.execPath}" "${cli.file}" "$@"; }; source <(bulkhead completion bash)
COMP_LINE='bulkhead exec shop:f'; COMP_POINT=\${#COMP_LINE}; _bulkhead; echo "\${COMPREPLY[*]}"
COMP_LINE='bulkhead tr'; COMP_POINT=\${#COMP_LINE}; _bulkhead; echo "\${COMPREPLY[*]}"`;
  assert.equal((await spawnAsync(script, daemon.socket)).stdout, 'fix fresh\ntrash\n');
  await daemon.remove();
});

async function spawnAsync(script: string, socket: string): Promise<{ stdout: string }> {
  const { spawn } = await import('node:child_process');
  const child = spawn('/bin/bash', ['--norc', '-c', script], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: '/usr/bin:/bin', BULKHEAD_SOCKET: socket },
  });
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.pipe(process.stderr);
  await new Promise((resolve) => child.on('close', resolve));
  return { stdout };
}
