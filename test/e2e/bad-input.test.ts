import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { ERRORS } from '../../src/contract/errors.ts';
import { ask, askAs, askFrom, codeIn } from '../attacks/ask.ts';
import { makeStage, type Stage } from '../attacks/stage.ts';
import { BULKHEAD, makeTree, post, run, waitFor, type Ran } from '../builders/machine.ts';

/** What is asked wrongly, or at the wrong moment: a code that stays, a next step, and nothing left behind. */
let stage: Stage;
let directory: string;

before(async () => {
  stage = await makeStage({ forks: ['a'], size: '512M' });
  directory = await mkdtemp(path.join(os.tmpdir(), 'bulkhead-bad-'));
});
after(async () => {
  await stage?.remove();
  await rm(directory, { recursive: true, force: true });
});

interface Failure {
  code: keyof typeof ERRORS;
  message: string;
  next: string[];
}

/** The error in an answer with `--json`. */
function failure(ran: Ran): Failure {
  const last = ran.stdout.trim().split('\n').at(-1) ?? '';
  const { error } = JSON.parse(last === '' ? '{}' : last) as { error?: Failure };
  assert.ok(error !== undefined, `no error in ${ran.stdout}${ran.stderr}`);
  assert.ok(error.code in ERRORS, error.code);
  assert.ok(error.message.length > 10 && !/\n {4}at |undefined|\[object/.test(error.message), error.message);
  return error;
}
const fails = async (code: string, ...words: string[]): Promise<Failure> => {
  const error = failure(await stage.agent(...words, '--json'));
  assert.equal(error.code, code, `${words.join(' ').slice(0, 80)}: ${error.code} ${error.message}`);
  return error;
};

/** Records and pool tell the same, and nothing is in the making; after a start what was up may be on its way. */
async function whole(): Promise<void> {
  const list = async () => (await stage.machine.json<{ volumes: { id: string; state: string }[] }>('ls')).volumes;
  const moving = ({ state }: { state: string }): boolean =>
    ['making', 'removing', 'starting', 'stopping'].includes(state);
  await waitFor(
    async () => !(await list()).some(moving),
    10_000,
    () => 'something is in the making',
  );
  const live = await readdir(path.join(stage.machine.paths.pool, 'live'));
  assert.deepEqual(live.toSorted(), (await list()).map(({ id }) => id).toSorted());
}

test('names that are not allowed', async () => {
  const names = [
    'Shop',
    '',
    'shop:',
    ':a',
    'shop:a:b',
    'a'.repeat(41),
    'shop:-a',
    'shöp',
    'sh op',
    'shop:a\nb',
    '..',
    'shop:../x',
    'shop:\u202ea',
  ];
  for (const name of names.filter((each) => !each.includes('/'))) {
    const error = await fails('bad-name', 'fork', name);
    assert.match(error.message, /lower-case letters|a ref is/);
    assert.ok(error.next.length > 0 && !/[\u0000-\u001f\u202e]/.test(error.message));
  }
  await fails('not-built', 'fork', 'vps1/shop:a');
  await whole();
});

test('refs that do not exist', async () => {
  const asked: string[][] = [
    ['fork', 'nothing:a'],
    ['fork', 'shop:x', '--from', 'shop:nothing'],
    ['fork', 'shop:x', '--from', 'shop@2020-01-01T00:00:00Z'],
    ['rm', 'shop:nothing'],
    ['up', 'shop:nothing'],
    ['down', 'shop:nothing'],
    ['restart', 'shop:nothing'],
    ['ps', 'shop:nothing'],
    ['reset', 'shop:nothing'],
    ['extend', 'shop:nothing', '--ttl', '2h'],
    ['points', 'nothing'],
    ['config', 'show', 'nothing'],
    ['config', 'diff', 'nothing'],
    ['trash', 'restore', 'shop:nothing'],
    ['logs', 'shop:nothing'],
    ['ls', 'nothing'],
  ];
  for (const words of asked) assert.ok((await fails('not-found', ...words)).next.length > 0, words.join(' '));
  await whole();
});

test('what cannot be done to such a thing', async () => {
  await fails('wrong-state', 'reset', 'shop');
  await fails('wrong-state', 'points', 'shop:a');
  await fails('exists', 'fork', 'shop:a');
  await fails('usage', 'fork', 'shop:b', '--ttl', '40d');
  await fails('usage', 'fork', 'shop:b', '--disk', '1K');
  await fails('usage', 'exec', 'shop:a');
  await whole();
});

test('two forks with one tag at the same moment: one is made', async () => {
  const asked = await Promise.all(Array.from({ length: 6 }, () => stage.agent('fork', 'shop:twin', '--json')));
  assert.equal(asked.filter(({ code }) => code === 0).length, 1);
  for (const ran of asked) if (ran.code !== 0) assert.match(failure(ran).code, /exists|busy/);
  await stage.agent('rm', 'shop:twin');
  await whole();
});

test('a fork of a fork that is being removed', async () => {
  for (let round = 0; round < 3; round += 1) {
    assert.equal((await stage.agent('fork', 'shop:parent')).code, 0);
    const [removed, forked] = await Promise.all([
      stage.agent('rm', 'shop:parent', '--json'),
      stage.agent('fork', `shop:child${round}`, '--from', 'shop:parent', '--json'),
    ]);
    for (const ran of [removed, forked]) if (ran.code !== 0) assert.match(failure(ran).code, /busy|not-found/);
    await stage.agent('rm', 'shop:parent');
    await stage.agent('rm', `shop:child${round}`);
    await whole();
  }
});

test('a file with unknown keys, wrong values, and keys whose part is not there', async () => {
  const files: [string, string, RegExp][] = [
    ['hoks: { up: ./x }', 'bad-file', /hoks/],
    ['hooks: { upp: ./x }', 'bad-file', /upp/],
    ['limits: { memory: lots }', 'bad-file', /memory/],
    ['ports: ["99999:1"]', 'bad-file', /ports|99999/],
    ['start: sometimes', 'bad-file', /start/],
    ['a: [', 'bad-file', /bulkhead\.yaml/],
    ['engine: docker', 'not-built', /docker/],
    ['secrets: { A: { in: .env } }', 'not-built', /secrets/],
    ['fork: { egress: [example.com] }', 'not-built', /egress/],
    ['- a list', 'bad-file', /bulkhead\.yaml/],
  ];
  for (const [text, code, named] of files) {
    await stage.agent('exec', 'shop:a', '--', 'sh', '-c', `printf '%s\\n' '${text}' > /app/bulkhead.yaml`);
    const error = await fails(code, 'config', 'diff', 'shop:a');
    assert.match(error.message, named, text);
  }
});

test('a tree with devices, sockets and FIFOs is refused, or taken without harm', async () => {
  const tree = await makeTree({ 'file.txt': 'x' });
  await run('mknod', [path.join(tree, 'disk'), 'b', '7', '0']);
  const socket = createServer().listen(path.join(tree, 'socket'));
  const ran = await stage.person.bulkhead(`create bad --from ${tree} --json </dev/null`);
  socket.close();
  assert.match(failure(ran).code, /bad-archive|usage/);
  assert.match(failure(ran).message + ran.stdout, /disk|socket/);
  await rm(tree, { recursive: true });
  await whole();
});

test('hard links, sparse files and symlinks come in as what they are', async () => {
  const tree = await makeTree({ one: 'same' });
  await run('sh', [
    '-c',
    'cd "$1" && ln one two && truncate -s 64M sparse && ln -s /etc/shadow out && ln -s ../../.. up && chown -h 1000:1000 *',
    'sh',
    tree,
  ]);
  const ran = await stage.person.bulkhead(`create links --from ${tree} --json </dev/null`, 30_000);
  assert.equal(ran.code, 0, ran.stdout + ran.stderr);
  const seen = await stage.person.bulkhead(
    `exec links -- sh -c 'stat -c %h one; stat -c "%s %b" sparse; readlink out up; cat out'`,
  );
  const [links, sparse, out, up] = seen.stdout.split('\n');
  assert.deepEqual([links, out, up], ['2', '/etc/shadow', '../../..'], seen.stdout + seen.stderr);
  assert.equal(sparse?.split(' ')[0], String(64 << 20));
  assert.ok(!seen.stdout.includes('root:'));
  await rm(tree, { recursive: true });
});

test('a tree that does not fit: said with figures, production goes on, and nothing is left', async () => {
  const tree = await makeTree({ one: 'same' });
  await run('sh', ['-c', 'truncate -s 2G "$1/image" && chown 1000:1000 "$1/image"', 'sh', tree]);
  const ran = await stage.person.bulkhead(`create large --from ${tree} --json </dev/null`, 40_000);
  assert.equal(failure(ran).code, 'pool-full', ran.stdout);
  assert.match(failure(ran).message, /MiB free/);
  await rm(tree, { recursive: true });
  await whole();
  assert.equal((await stage.production()).missed, false);
  // Forks were frozen while there was no room.
  await waitFor(async () => (await stage.agent('exec', 'shop:a', '--', 'true')).code === 0, 10_000);
});

test('arguments that are too long, or that no program can be given', async () => {
  const { socket } = stage.machine.paths;
  const exec = (command: string[], more: object = {}) => ask('session.exec', { ref: 'shop:a', command, ...more });
  const answers = await askFrom(socket, [
    exec(['echo', 'x'.repeat(1 << 20)]),
    exec(['echo', 'x'.repeat(200_000)]),
    exec(Array.from({ length: 5000 }, () => 'x')),
    exec(['echo', 'a\u0000b']),
    exec(['true'], { directory: 'a\u0000b' }),
    exec(['']),
    exec(['true'], { rows: -1 }),
    exec(['true'], { directory: '/no/such/place' }),
    exec(['no-such-program']),
    exec(['true'], { unknown: 1 }),
  ]);
  for (const [at, answer] of answers.entries()) {
    assert.match(answer, /"code":("(usage|too-large|not-found|failed)"|12[567])/, `${at}: ${answer.slice(0, 300)}`);
    assert.doesNotMatch(answer, /Something went wrong/, answer.slice(0, 300));
  }
});

const bytes = (text: string): readonly ['RAW', string, null] => [
  'RAW',
  Buffer.from(text, 'latin1').toString('hex'),
  null,
];
const head = (line: string, ...headers: string[]): string =>
  [line, 'Host: x', ...(line.startsWith('POST') ? ['Connection: close'] : []), ...headers, '', ''].join('\r\n');
const upgrade = head('GET /v1/session.exec HTTP/1.1', 'Connection: Upgrade', 'Upgrade: bulkhead/1');
const frame = (channel: number, length: number, payload: string): string =>
  `${String.fromCharCode(channel)}${String.fromCharCode(length >>> 24, (length >>> 16) & 255, (length >>> 8) & 255, length & 255)}${payload}`;
const control = (value: unknown): string => frame(3, JSON.stringify(value).length, JSON.stringify(value));
const sized = (name: string, body: string): string =>
  head(`POST /v1/${name} HTTP/1.1`, `Content-Length: ${body.length}`) + body;

/** What is sent, and what must come back: a code, a status, or an end. */
const MALFORMED: Record<string, readonly [string, RegExp]> = {
  'no request at all': ['\u0016\u0003\u0001\u0002\u0000garbage\r\n\r\n', /400|^after [\d.]+ s: $/],
  'a header of 20 KiB': [head('POST /v1/caller.show HTTP/1.1', `X: ${'x'.repeat(20_000)}`), /4\d\d/],
  'a body of 300 KiB': [sized('caller.show', `{"input":"${'x'.repeat(300_000)}"}`), /too-large|413/],
  'a body said to be of 1 TiB': [
    head('POST /v1/caller.show HTTP/1.1', 'Content-Length: 1099511627776'),
    /too-large|413|400/,
  ],
  'two lengths': [head('POST /v1/caller.show HTTP/1.1', 'Content-Length: 2', 'Content-Length: 3') + '{}', /400/],
  'a length and chunks': [
    head('POST /v1/caller.show HTTP/1.1', 'Content-Length: 2', 'Transfer-Encoding: chunked') + '0\r\n\r\n',
    /400/,
  ],
  'no JSON': [sized('caller.show', '{input'), /"usage"/],
  'a list': [sized('caller.show', '[1,2]'), /"usage"/],
  'a number': [sized('caller.show', '7'), /"usage"/],
  'input that is text': [sized('app.list', '{"input":"x"}'), /"usage"/],
  'a key that is not declared': [sized('app.list', '{"input":{"x":1}}'), /"usage"/],
  'a key named __proto__': [sized('app.list', '{"input":{"__proto__":{"ref":"shop"}}}'), /"usage"|"result"/],
  'lists nested a hundred thousand deep': [
    sized('app.list', `{"input":{"ref":${'['.repeat(100_000)}${']'.repeat(100_000)}}}`),
    /"usage"/,
  ],
  'an operation that is not there': [sized('machine.explode', '{}'), /"usage"/],
  'a path that climbs': [sized('../../etc/passwd', '{}'), /"usage"/],
  'a stream asked as a request': [sized('session.exec', '{"input":{"ref":"shop:a","command":["true"]}}'), /"usage"/],
  'another protocol': [head('GET /v1/session.exec HTTP/1.1', 'Connection: Upgrade', 'Upgrade: websocket'), /"usage"/],
  'a frame on a channel that is not there': [upgrade + frame(9, 1, 'x'), /"usage"/],
  'a frame of 4 GiB': [upgrade + frame(0, 0xffffffff, 'x'), /"usage"/],
  'a first frame that is not the opening': [upgrade + control({ type: 'signal', signal: 'SIGKILL' }), /"usage"/],
  'a control frame that is no JSON': [upgrade + frame(3, 5, '{open'), /"usage"/],
  'a control frame that is a list': [upgrade + frame(3, 2, '[]'), /"usage"/],
  'an opening that is cut off': [upgrade + frame(3, 500, '{"type":"open"'), /^after/],
};

test('malformed and oversized requests, on the machine’s socket and on a cell’s', { timeout: 60_000 }, async () => {
  assert.equal((await stage.agent('exec', 'shop:a', '--', 'true')).code, 0);
  const record = await readFile(
    path.join(stage.machine.paths.run, 'cells', await stage.id('shop:a'), 'cell.json'),
    'utf8',
  );
  const { pid } = JSON.parse(record) as { pid: number };
  const asks = Object.values(MALFORMED).map(([text]) => bytes(text));
  const inside = {
    in: [
      ['mnt', pid],
      ['pid', pid],
      ['user', pid],
    ] as const,
    uid: 1000,
  };
  const answers = await Promise.all([
    askFrom(stage.machine.paths.socket, asks),
    askFrom('/run/bulkhead/cell.sock', asks, inside),
  ]);
  for (const list of answers)
    for (const [at, [name, [, wanted]]] of Object.entries(MALFORMED).entries()) {
      const answer = list[at] ?? '';
      assert.match(answer, wanted, `${name}: ${answer.slice(0, 200)}`);
      assert.doesNotMatch(answer, /Something went wrong| {4}at /, name);
    }
  assert.match(await post(stage.machine.paths.socket, 'machine.status', { input: {} }), /"result"/);
});

test('a client that goes away: its session ends, and what it uploads is not kept', async () => {
  const env = { ...process.env, BULKHEAD_INSTANCE: stage.machine.instance, CLAUDECODE: '1' };
  const child = spawn(BULKHEAD, ['exec', 'shop:a', '--', 'sleep', '987'], { env, stdio: 'ignore' });
  const there = async (): Promise<boolean> => (await stage.machine.cli('ps', 'shop:a')).stdout.includes('sleep 987');
  await waitFor(there, 10_000, () => 'the session did not begin');
  child.kill('SIGKILL');
  await waitFor(
    async () => !(await there()),
    10_000,
    () => 'the session goes on without its client',
  );
  const big = path.join(directory, 'cut.tar');
  await run('sh', ['-c', 'cd "$1" && head -c 20M /dev/urandom > random && tar -cf "$2" random', 'sh', directory, big]);
  const upload = (cut?: number) =>
    ask('app.create', { name: 'cut', from: 'x' }, { upload: big, ...(cut === undefined ? {} : { cut }) });
  assert.deepEqual(await askAs(stage.person, stage.machine, [upload(4 << 20)]), ['cut']);
  const began = performance.now();
  const again = await waitFor(async () => {
    const [answer = ''] = await askAs(stage.person, stage.machine, [upload()]);
    return codeIn(answer) === 'busy' ? undefined : answer;
  });
  assert.equal(codeIn(again), 'result', again);
  assert.ok(performance.now() - began < 8000);
  await whole();
});

test('a pool below its floor: no new fork, with figures; what production holds stays', async () => {
  for (let round = 0; round < 4; round += 1) {
    // What is used is known once it is committed.
    await run('sync', ['--file-system', stage.machine.paths.pool]);
    const { pool } = await stage.machine.json<{ pool: { free: number; floor: number } }>('ls');
    if (pool.free < pool.floor) break;
    const bytes = Math.floor(pool.free - pool.floor / 2);
    const line = `exec shop -- sh -c 'head -c ${bytes} /dev/urandom >> /app/bulk && sync /app/bulk'`;
    assert.equal((await stage.person.bulkhead(line)).code, 0);
  }
  const error = await fails('pool-full', 'fork', 'shop:late');
  assert.match(error.message, /MiB/);
  assert.ok(error.next.length > 0);
  assert.equal((await stage.person.bulkhead('exec shop -- rm /app/bulk')).code, 0);
  await whole();
});

test('a tool that is missing is named, with its package', { timeout: 60_000 }, async () => {
  await stage.agent('down', 'shop:a');
  await stage.machine.stop();
  const hide =
    'for tool in /usr/bin/runc /usr/sbin/runc; do [ -e $tool ] && mount --bind /dev/null $tool; done; exec "$0" daemon';
  const env = { ...process.env, BULKHEAD_INSTANCE: stage.machine.instance, BULKHEAD_TEST: '1' };
  const daemon = spawn('unshare', ['--mount', '--propagation', 'slave', 'sh', '-c', hide, BULKHEAD], {
    env,
    stdio: 'ignore',
  });
  const ended = new Promise((resolve) => void daemon.once('exit', resolve));
  try {
    await waitFor(
      async () =>
        (await post(stage.machine.paths.socket, 'machine.status', { input: {} }).catch(() => '')).includes('"result"'),
      20_000,
    );
    const error = await fails('missing-tool', 'up', 'shop:a');
    assert.match(`${error.message} ${error.next.join(' ')}`, /runc/);
  } finally {
    daemon.kill('SIGTERM');
    await ended;
    await stage.machine.start();
  }
  await whole();
});

test(
  'a pool that is not there: said, with a next step, and taken again when it is back',
  { timeout: 60_000 },
  async () => {
    const { paths } = stage.machine;
    await stage.machine.stop();
    await stage.machine.endCells();
    await run('umount', [paths.pool]);
    await rename(paths.poolFile, `${paths.poolFile}.away`);
    await stage.machine.start();
    try {
      const error = await fails('no-pool', 'fork', 'shop:x');
      assert.ok(error.next.length > 0);
      assert.match((await stage.machine.cli('status')).stdout, /no pool|not there|missing/i);
    } finally {
      await stage.machine.stop();
      await rename(`${paths.poolFile}.away`, paths.poolFile);
      await stage.machine.start();
    }
    const again = await stage.agent('fork', 'shop:again');
    assert.equal(again.code, 0, again.stdout + again.stderr + stage.machine.log());
    assert.ok((await stat(path.join(await stage.volume('shop'), 'secret.txt'))).isFile());
    await whole();
  },
);
