import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmod, copyFile, readFile, realpath, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { DENIALS, type Denial } from '../../src/host/cells/seccomp.ts';
import { attack, REACHED, reachedIf, type Outcome } from './attack.ts';
import { DENIED, doorOf, weaken, type Enter, type WeakCell } from './door.ts';
import { ask, askFrom, codeIn, initOf } from './ask.ts';
import { makeStage, type Stage } from './stage.ts';
import { run } from '../builders/machine.ts';

/** What leads out of a cell that is no file: system calls, sockets, and the program that starts its sessions. */
let stage: Stage;
let weak: WeakCell;
let unmasked: WeakCell;
let root: Enter;
let own = 0;
let other = 0;
let socket = '';

before(async () => {
  stage = await makeStage({ forks: ['own', 'other'] });
  for (const ref of ['shop:own', 'shop:other'])
    assert.equal((await stage.agent('exec', ref, '--', 'true')).code, 0, stage.machine.log());
  const { machine } = stage;
  const cell = await stage.id('shop:own');
  socket = machine.paths.socket;
  root = doorOf(machine, cell);
  own = await initOf(machine, cell);
  other = await initOf(machine, await stage.id('shop:other'));
  const app = await stage.volume('shop:own');
  weak = await weaken(machine, cell, app, { ids: true, seccomp: 'none', network: true });
  unmasked = await weaken(machine, cell, app, { seccomp: 'unmasked' });
});
after(async () => {
  await weak?.remove();
  await unmasked?.remove();
  await stage?.remove();
});

/** Numbers on x86-64 of the calls whose arguments are compared. */
const NUMBERS: Record<string, number> = { ioctl: 16, socket: 41, socketpair: 53, clone: 56, unshare: 272 };
/** Bits that the kernel does not look at, in an argument of 32 bits. */
const HIGH = [1n << 32n, 1n << 63n, 0xffffffffn << 32n, 0xdeadbeefn << 32n];

type Call = readonly [number: number, args: string[]];

function callsOf({ calls, when = [] }: Denial): Call[] {
  return calls.flatMap((name) =>
    HIGH.map((high): Call => {
      const args =
        name === 'ioctl'
          ? ['fd', '0', '0', '0', '0']
          : name.startsWith('socket')
            ? ['0', '3', '0', '0', '0']
            : ['0', '0', '0', '0', '0'];
      for (const { index, value } of when) args[index] = String(BigInt(value) | high);
      return [NUMBERS[name] ?? assert.fail(`no number of ${name}`), args];
    }),
  );
}

const calls = await readFile(new URL('probes/calls.py', import.meta.url), 'utf8');
const made = async (enter: Enter, list: readonly Call[]): Promise<number[]> => {
  const ran = await enter(['/usr/bin/python3', '-', JSON.stringify(list)], 'root', calls);
  assert.equal(ran.code, 0, ran.stderr);
  return JSON.parse(ran.stdout) as number[];
};

/** The denials with compared arguments, by what they are for. */
const groups = Map.groupBy(
  DENIALS.filter(({ when }) => when !== undefined),
  ({ why }) => why,
);
for (const [why, denials] of groups)
  attack({
    name: `high bits in every compared argument: ${why}`,
    without: 'the mask',
    async weakened() {
      const answers = await made(unmasked.enter, denials.flatMap(callsOf));
      return reachedIf(
        answers.every((errno) => errno !== DENIED),
        answers,
      );
    },
    async walled() {
      const answers = await made(root, denials.flatMap(callsOf));
      const wanted = denials.flatMap((denial) => callsOf(denial).map(() => denial.errno));
      return answers.every((errno, at) => errno === wanted[at]) ? 'held: every call refused' : REACHED;
    },
  });

const ABSTRACT = `
import socket, sys
s = socket.socket(socket.AF_UNIX); s.settimeout(3); s.connect('\\0' + sys.argv[1]); print(s.recv(9).decode())
`;
attack({
  name: 'an abstract socket of the machine, such as a desktop bus has',
  without: 'its own network',
  weakened: () => abstract(weak.enter),
  walled: () => abstract(root),
  refused: /refused/i,
});

async function abstract(enter: Enter): Promise<Outcome> {
  const name = `bulkhead-attack-${process.pid}`;
  const server = createServer((client) => client.end(REACHED)).listen(`\0${name}`);
  try {
    const ran = await enter(['/usr/bin/python3', '-c', ABSTRACT, name], 'root');
    return ran.stdout.trim() || ran.stderr;
  } finally {
    server.close();
  }
}

const who = [ask('caller.show', {})];
const answered = ([answer = '']: string[]): Outcome => reachedIf(codeIn(answer) === 'result', answer);

attack({
  name: "another cell's socket, by root of a cell that has got hold of its files",
  without: 'the check of the id range',
  weakened: async () =>
    answered(
      await askFrom('/run/bulkhead/cell.sock', who, {
        in: [
          ['mnt', other],
          ['pid', other],
          ['user', other],
        ],
        uid: 1000,
      }),
    ),
  walled: async () =>
    answered(
      await askFrom('/run/bulkhead/cell.sock', who, {
        in: [
          ['mnt', other],
          ['pid', own],
          ['user', own],
        ],
        uid: 0,
      }),
    ),
  refused: /not one of the cell|Permission denied/,
});

attack({
  name: "a cell's socket, by another user of the machine",
  without: 'the check of the id range',
  weakened: async () =>
    answered(
      await askFrom('/run/bulkhead/cell.sock', who, {
        in: [
          ['mnt', other],
          ['pid', other],
          ['user', other],
        ],
        uid: 1000,
      }),
    ),
  walled: async () => answered(await askFrom('/run/bulkhead/cell.sock', who, { in: [['mnt', other]] })),
  refused: /not one of the cell/,
});

attack({
  name: "the machine's socket, by root of a cell that has got hold of the machine's files",
  without: 'the rights of the file',
  async weakened() {
    // Opened to all: now the daemon is asked. That it refuses by what it sees is the attack after this one.
    await chmod(socket, 0o666);
    const [answer = ''] = await askFrom(socket, who, {
      in: [
        ['pid', own],
        ['user', own],
      ],
      uid: 0,
    });
    await chmod(socket, 0o660);
    return reachedIf(answer.startsWith('HTTP/1.1'), answer);
  },
  walled: async () =>
    answered(
      await askFrom(socket, who, {
        in: [
          ['pid', own],
          ['user', own],
        ],
        uid: 0,
      }),
    ),
  refused: /Permission denied/,
});

attack({
  name: "the machine's socket, by a process of a cell that the file's rights let in",
  without: 'the pid namespace',
  weakened: async () => answered(await askFrom(socket, who)),
  walled: async () => answered(await askFrom(socket, who, { in: [['pid', own]] })),
  refused: /runs in a cell/,
});

attack({
  name: 'a session that starts in a directory that the runtime left open (CVE-2024-21626)',
  without: 'a process of the machine in sight',
  weakened: () =>
    workingDirectory(
      (directory, command) => weak.enter(['sh', '-c', `cd ${directory} && exec ${command}`], 'root'),
      [`/proc/${stage.machine.daemon.pid}/root`],
    ),
  walled: () =>
    workingDirectory(
      (directory, command) => stage.agent('exec', '-w', directory, 'shop:own', '--', ...command.split(' ')),
      [
        ...Array.from({ length: 16 }, (_, fd) => `/proc/self/fd/${fd + 3}`),
        '/proc/1/cwd',
        '/proc/1/root',
        '/proc/self/task/1/root',
      ],
    ),
});

async function workingDirectory(
  enter: (directory: string, command: string) => Promise<{ code: number; stdout: string; stderr: string }>,
  directories: readonly string[],
): Promise<Outcome> {
  const landmark = stage.machine.paths.database;
  const tried = await Promise.all(
    directories.map(async (directory) => {
      const ran = await enter(directory, `/usr/bin/stat -L .${landmark} ../..${landmark} ../../../../../..${landmark}`);
      return ran.stdout.includes('Inode');
    }),
  );
  return reachedIf(tried.includes(true), 'nothing of the machine was there');
}

attack({
  name: 'a session finds descriptors of whoever started it',
  without: 'a supervisor that closes them',
  async weakened() {
    const directory = await realpath('/etc');
    const ran = await run('sh', ['-c', `exec 9<${directory}; exec ls -l /proc/self/fd`]);
    return reachedIf(strangers(ran.stdout).length > 0, ran.stdout);
  },
  async walled() {
    const plain = await stage.agent('exec', 'shop:own', '--', 'ls', '-l', '/proc/self/fd');
    assert.equal(plain.code, 0, plain.stderr);
    return reachedIf(strangers(plain.stdout).length > 0, plain.stdout);
  },
});

/** Beside the three streams, and the directory that ls itself reads. */
const strangers = (listing: string): string[] =>
  [...listing.matchAll(/(\d+) -> (.*)/g)]
    .filter(([, fd, file]) => Number(fd) > 2 && !/^\/proc\/\d+\/fd$/.test(file ?? ''))
    .map(String);

attack({
  name: 'the container runtime, overwritten as it enters the cell (CVE-2019-5736)',
  without: 'a runtime that protects itself',
  async weakened() {
    const victim = `/tmp/bulkhead-attack-victim-${process.pid}`;
    await copyFile('/usr/bin/sleep', victim);
    await chmod(victim, 0o755);
    try {
      return await seize(weak.enter, path.basename(victim), () => run(victim, ['1']));
    } finally {
      await rm(victim);
    }
  },
  async walled() {
    const runc = await realpath('/usr/sbin/runc').catch(() => realpath('/usr/bin/runc'));
    const before_ = await digest(runc);
    const outcome = await seize(root, 'runc', () =>
      Promise.all(
        ['/proc/self/exe', '/bin/true', '/bin/true'].map((command) => stage.agent('exec', 'shop:own', '--', command)),
      ),
    );
    assert.equal(await digest(runc), before_);
    return outcome;
  },
});

const digest = async (file: string): Promise<string> =>
  createHash('sha256')
    .update(await readFile(file))
    .digest('hex');
const seizing = await readFile(new URL('probes/seize.py', import.meta.url), 'utf8');

/** Watches in the cell for a program while it is started from outside. */
async function seize(enter: Enter, name: string, meanwhile: () => Promise<unknown>): Promise<Outcome> {
  const watching = enter(['/usr/bin/python3', '-c', seizing, name, '3'], 'root');
  await new Promise((resolve) => setTimeout(resolve, 500));
  await meanwhile();
  const { stdout } = await watching;
  return reachedIf(/^reached /m.test(stdout), stdout);
}

test('production is what it was', async () => {
  assert.equal((await stage.production()).missed, false);
});
