import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { VolumeView } from '../../src/contract/app.ts';
import { AppError } from '../../src/contract/errors.ts';
import { bundleCli, runInside, type Cli } from '../builders/cli.ts';
import { startFakeDaemon, type Answers, type FakeDaemon } from '../builders/fake-daemon.ts';

let cli: Cli;
let daemon: FakeDaemon;
const HOUR = 3_600_000;
const ago = (ms: number): string => new Date(Date.now() - ms).toISOString();

const aVolume = (of: Partial<VolumeView> & { ref: string }): VolumeView => ({
  id: '00000000-0000-4000-8000-000000000000',
  kind: of.ref.includes(':') ? 'fork' : 'app',
  parent: null,
  state: 'down',
  note: null,
  owner: 'deploy',
  created: ago(2 * HOUR),
  expires: null,
  own: 0,
  shared: null,
  cap: null,
  egress: 'none',
  ports: [],
  ...of,
});
const pool = { size: 400 * 2 ** 30, used: 171 * 2 ** 30, free: 116 * 2 ** 30, floor: 20 * 2 ** 30 };
const volumes = [
  aVolume({ ref: 'shop', state: 'up', own: 128 * 2 ** 30, egress: 'production', created: ago(41 * 24 * HOUR) }),
  aVolume({
    ref: 'shop:fix',
    parent: 'shop',
    state: 'up',
    own: 14 * 2 ** 20,
    shared: 128 * 2 ** 30,
    owner: 'claude-code',
    created: ago(155_000),
  }),
  aVolume({
    ref: 'shop:fix2',
    parent: 'shop:fix',
    state: 'frozen',
    note: 'goes next\u001b[2J',
    own: 0,
    shared: 128 * 2 ** 30,
  }),
  aVolume({ ref: 'shop:migration', parent: 'shop@x', egress: 'any', own: 1.1 * 2 ** 30, shared: 128 * 2 ** 30 }),
  aVolume({ ref: 'blog', own: 2.1 * 2 ** 30, egress: 'production' }),
];

const who = {
  caller: 'unproven',
  uid: 1000,
  user: 'deploy',
  pid: 42110,
  channel: 'the local socket',
  agent: 'claude-code',
  evidence: ['CLAUDECODE=1 in pid 41873', 'the program of pid 41790'],
  until: null,
  may: ['see what exists', 'make forks (3 of 10 used)'],
  mayNot: ['change production (a person: bulkhead sign-in)'],
};

const answers: Answers = {
  'app.list': () => ({ volumes, pool }),
  'caller.show': () => who,
  'machine.status': () => ({
    version: '0.1.0',
    instance: '',
    enrolled: true,
    started: ago(HOUR),
    pool,
    poolNote: null,
    apps: 2,
    forks: 3,
    up: 2,
    recovered: [],
    notes: [],
  }),
  'machine.doctor': () => ({
    findings: [
      {
        level: 'warn',
        check: 'ptrace',
        text: 'ptrace_scope is 0: a process of yours can write into your shell',
        why: null,
        remedy: 'sudo sysctl kernel.yama.ptrace_scope=1',
      },
      { level: 'ok', check: 'kernel', text: 'kernel 6.12, pool healthy, limits in force', why: null, remedy: null },
      {
        level: 'bad',
        check: 'docker',
        text: 'user deploy is in group docker: its processes are root on this machine',
        why: 'an agent that runs as deploy can go around every wall here',
        remedy: 'sudo gpasswd -d deploy docker',
      },
    ],
  }),
  'fork.create': ({ input, emit }) => {
    emit({ type: 'step', key: 'record.make', label: 'record of shop:fix', state: 'done', ms: 1 });
    emit({ type: 'step', key: 'volume.freeze', label: 'base of shop, 128 GiB', state: 'started' });
    emit({
      type: 'step',
      key: 'volume.freeze',
      label: 'base of shop, 128 GiB',
      state: 'done',
      ms: 4.21,
      detail: 'flushed 3.1 MiB',
    });
    emit({ type: 'note', level: 'warn', text: 'little room is left' });
    return {
      ref: input.ref,
      id: 'x',
      expires: new Date(Date.now() + 60_000).toISOString(),
      cap: 1,
      up: false,
      timings: [],
    };
  },
  'volume.remove': ({ input, code }) => {
    if (code === undefined)
      throw new AppError('factor-required', 'Your code is needed for exactly this: rm of shop', {
        next: ['the same command with a code: --code 123456'],
      });
    if (code !== '118305') throw new AppError('factor-wrong', 'The code is wrong or old');
    return { ref: input.ref, trash: input.ref, until: new Date(Date.now() + 1000).toISOString() };
  },
  'cell.restart': () => {
    throw new AppError('refused', 'Changing production needs a signed-in person: shop is production', {
      why: 'Nobody has signed in here.',
      next: ['bulkhead sign-in'],
    });
  },
  plan: (operation) => ({
    operation,
    target: 'shop:fix',
    steps: [
      { key: 'a', label: 'base of shop' },
      { key: 'b', label: 'fork' },
    ],
    unknown: ['how much is flushed'],
  }),
};

before(async () => {
  [cli, daemon] = await Promise.all([bundleCli(), startFakeDaemon(answers)]);
});
after(() => Promise.all([cli?.remove(), daemon?.remove()]));

const run = (...args: string[]) => runInside(daemon.socket, args);

test('ls is a tree, escaped, with what each holds', async () => {
  const { code, stdout } = await run('ls');
  assert.equal(
    stdout,
    `app / fork         state   own       shared   owner        age   goes
shop               up      128 GiB   –        deploy       41 d
├─ shop:fix        up      14.0 MiB  128 GiB  claude-code  3 m
│  └─ shop:fix2    frozen  0 B       128 GiB  deploy       2 h
└─ shop:migration  down    1.10 GiB  128 GiB  deploy       2 h
blog               down    2.10 GiB  –        deploy       2 h
shop:fix2: goes next\\u001b[2J
shop:migration: has a way out of its network (fork.egress: any)
pool 171 GiB of 400 GiB · forks may write 96.0 GiB more · floor 20.0 GiB
`,
  );
  assert.equal(code, 0);
});

test('fork shows its steps on standard error and its result on standard output', async () => {
  const { stdout, stderr, code } = await run('fork', 'shop:fix');
  assert.equal(
    stderr,
    `✔ base of shop, 128 GiB               4.21 ms  (flushed 3.1 MiB)
! little room is left
`,
  );
  assert.match(
    stdout,
    /^shop:fix is ready\. Yours until (tomorrow )?\d\d:\d\d\. Total \d+(\.\d+)? m?s\n {2}bulkhead shell shop:fix {6}bulkhead reset/,
  );
  assert.equal(code, 0);
  assert.match((await run('fork', 'shop:fix', '-v')).stderr, /record of shop:fix/);
});

test('--json is one object a line, the last of which is the result, and nothing else', async () => {
  const { stdout, stderr } = await run('fork', 'shop:fix', '--json');
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { type: string });
  assert.deepEqual(
    lines.map(({ type }) => type),
    ['step', 'step', 'step', 'note', 'result'],
  );
  assert.equal(stderr, '');
});

test('--plan does nothing and says what would be done', async () => {
  const before = daemon.asked.length;
  const { stdout } = await run('fork', 'shop:fix', '--plan');
  assert.equal(
    stdout,
    `fork of shop:fix would do, in this order, and has done nothing:
  1  base of shop
  2  fork
What cannot be known before:
  how much is flushed
`,
  );
  assert.deepEqual(
    daemon.asked.slice(before).map(({ plan }) => plan),
    [true],
  );
});

test("a refusal says what, why and what would work; its exit code is the table's", async () => {
  const refused = await run('restart', 'shop');
  assert.deepEqual(refused, {
    code: 3,
    stdout: '',
    stderr: `Refused: changing production needs a signed-in person: shop is production.
Nobody has signed in here.
  bulkhead sign-in
`,
  });
  const verbose = await run('restart', 'shop', '-v');
  assert.match(
    verbose.stderr,
    /\ncode refused, socket .*\ntaken for unproven, uid 1000, pid 42110\n {2}CLAUDECODE=1 in pid 41873\n/,
  );
  const json = await run('--json', 'restart', 'shop');
  assert.deepEqual(
    [json.code, json.stderr, (JSON.parse(json.stdout) as { error: { code: string } }).error.code],
    [3, '', 'refused'],
  );
});

test('whoami and doctor', async () => {
  assert.equal(
    (await run('whoami')).stdout,
    `unproven: uid 1000 (deploy), pid 42110, through the local socket
  looks like  claude-code, by CLAUDECODE=1 in pid 41873; the program of pid 41790
  may         see what exists; make forks (3 of 10 used)
  may not     change production (a person: bulkhead sign-in)
`,
  );
  const doctor = await run('doctor');
  assert.equal(
    doctor.stdout,
    `✔ kernel 6.12, pool healthy, limits in force
✘ user deploy is in group docker: its processes are root on this machine
    an agent that runs as deploy can go around every wall here
    → sudo gpasswd -d deploy docker
! ptrace_scope is 0: a process of yours can write into your shell
    → sudo sysctl kernel.yama.ptrace_scope=1
2 findings. Not protected in any case: an agent with root. See docs/design/threat-model.md
`,
  );
  assert.equal(doctor.code, 1);
});

test('bulkhead alone says what is there and what one is likely to want', async () => {
  const { stdout, code } = await run();
  assert.match(stdout, /^app \/ fork .*\n\n {2}bulkhead fork shop:fix {6}/s);
  assert.doesNotMatch(stdout, /sign-in/, 'an agent is not shown what it cannot do');
  assert.ok(stdout.split('\n').length <= 24 && code === 0);
});

test('no daemon: exit code 7, and how to start one', async () => {
  const { code, stderr } = await runInside('/nowhere.sock', ['ls']);
  assert.equal(code, 7);
  assert.match(stderr, /^No daemon answers on \/nowhere\.sock\.\n {2}sudo bulkhead daemon/);
  assert.equal((await runInside('/nowhere.sock', ['exec', 'shop', '--', 'ls'])).code, 125);
});

test('what is asked wrongly: exit code 2, 125 for exec; what is not built says so', async () => {
  for (const [line, code, says] of [
    ['forks', 2, /There is no command "forks"; did you mean fork/],
    ['fork', 2, /^REF is missing\.\n {2}bulkhead fork \[flags\] REF\n/],
    ['fork x --ttl soon', 2, /Cannot use "soon" for --ttl: write a length of time/],
    ['exec shop ls -la', 125, /stand after "--".*\n {2}bulkhead exec shop -- ls -la\n/],
    ['-H vps1 ls', 2, /another machine \(-H\): that is not built yet/],
    ['fork shop --ask', 2, /\(--ask\): that is not built yet/],
    ['help nothing', 2, /no command or topic "nothing"/],
  ] as const) {
    const ran = await run(...line.split(' '));
    assert.deepEqual([ran.code, ran.stdout], [code, ''], line);
    assert.match(ran.stderr, says);
  }
});

test('an app is removed by its name and a code, asked for on the terminal', async () => {
  const terminal = [
    { after: 'Its name again, to remove it: ', type: 'shop\n' },
    { after: 'Code: ', type: '000 000\n' },
    { after: 'Code: ', type: '118 305\n' },
  ];
  const { stdout, code } = await cli.run(daemon.socket, ['rm', 'shop'], { terminal });
  assert.match(stdout, /The code is wrong or old\./);
  assert.match(stdout, /shop is in the trash until/);
  assert.equal(code, 0);
  assert.deepEqual(daemon.asked.at(-1), {
    operation: 'volume.remove',
    input: { ref: 'shop', confirm: 'shop' },
    plan: false,
    code: '118305',
  });
  const other = await cli.run(daemon.socket, ['rm', 'shop'], { terminal: [{ after: 'remove it: ', type: 'blog\n' }] });
  assert.deepEqual([other.code, daemon.asked.at(-1)?.code], [2, undefined]);
  const alone = await run('rm', 'shop');
  assert.deepEqual([alone.code, alone.stderr.includes('--code 123456')], [3, true]);
  assert.equal((await run('rm', 'shop', '--confirm', 'shop', '--code', '118 305')).code, 0);
});

test('a terminal has colours, unless NO_COLOR is set', async () => {
  const shown = await cli.run(daemon.socket, ['ls'], { terminal: [], env: { NO_COLOR: '' } });
  assert.match(shown.stdout, /\u001b\[32mup/);
  assert.doesNotMatch((await cli.run(daemon.socket, ['ls'], { terminal: [] })).stdout, /\u001b/);
});

test('completion offers commands, flags, refs and topics', async () => {
  const words = async (...line: string[]) =>
    (await run('__complete', ...line)).stdout.split('\n').map((one) => one.split('\t')[0]);
  assert.deepEqual((await words('tr')).filter(Boolean), ['trash']);
  assert.deepEqual((await words('trash', '')).filter(Boolean), ['ls', 'restore', 'purge']);
  assert.deepEqual((await words('exec', 'shop:f')).filter(Boolean), ['shop:fix', 'shop:fix2']);
  assert.deepEqual((await words('fork', '--t')).filter(Boolean), ['--ttl']);
  assert.deepEqual((await words('fork', 'x', '--ttl', '')).filter(Boolean), []);
  assert.deepEqual((await words('help', 'si')).filter(Boolean), ['sign-in']);
});
