import { spawn, type ChildProcess } from 'node:child_process';
import { request } from 'node:http';
import { rmSync } from 'node:fs';
import { chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createRuncCells } from '../../src/host/cells/cells.ts';
import { createNetworks } from '../../src/host/network/networks.ts';
import { pathsOf, type Paths } from '../../src/host/paths.ts';
import { createCodes, type Codes } from './codes.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const BULKHEAD = path.join(ROOT, 'bulkhead');

export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
  ms: number;
}

/** Runs a program to its end, with a deadline; for tests. */
export function run(
  file: string,
  args: readonly string[],
  options: { env?: NodeJS.ProcessEnv; input?: string | Uint8Array; deadline?: number; uid?: number; cwd?: string } = {},
): Promise<Ran> {
  const started = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      env: options.env ?? process.env,
      stdio: ['pipe', 'pipe', 'pipe'],
      cwd: options.cwd ?? '/',
      ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    child.stdin.on('error', () => {});
    child.stdin.end(options.input);
    const timer = setTimeout(() => child.kill('SIGKILL'), options.deadline ?? 60_000);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const text = (chunks: Buffer[]): string => Buffer.concat(chunks).toString('utf8');
      resolve({
        code: code ?? (signal === null ? -1 : 128),
        stdout: text(out),
        stderr: text(err),
        ms: performance.now() - started,
      });
    });
  });
}

/** A machine of its own: an instance with a daemon, a small pool, and an enrolled person. */
export interface Machine {
  instance: string;
  paths: Paths;
  daemon: ChildProcess;
  /** Secret of the enrolled person's TOTP, as the phone has it. */
  uri: string;
  /** The command line as this process runs it: unproven, since nobody signed in. */
  cli(...args: string[]): Promise<Ran>;
  /** The same with more to say. */
  cliWith(options: Parameters<typeof run>[2], ...args: string[]): Promise<Ran>;
  /** A person at a terminal, signed in. */
  person(): Promise<Person>;
  /** The result of a command, from its `--json`; throws when it fails. */
  json<T>(...args: string[]): Promise<T>;
  /** A code of an enrolled person that was not used yet; waits for one where there is none. */
  code(): Promise<string>;
  /** Ends the daemon with a signal, and waits. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  start(env?: Record<string, string>): Promise<void>;
  /** Ends every cell, as a boot does; while no daemon runs. */
  endCells(): Promise<void>;
  /** What the daemon wrote to its log since its last start. */
  log(): string;
  /** Takes everything down again. */
  remove(): Promise<void>;
}

/** What is typed, from what a command has said so far; undefined: not yet. */
type Answer = (output: string) => string | undefined;

/** An interactive shell on a terminal of its own. */
export interface Person {
  /** Types a command line, and waits until it has ended. */
  run(line: string, deadline?: number): Promise<Ran>;
  /** The same, and types each answer in turn, once what was said so far is enough to give it. */
  converse(line: string, answers: readonly Answer[], deadline?: number): Promise<Ran>;
  /** Makes an app from a directory, and accepts its bulkhead.yaml with a code when it is shown. Throws when that fails. */
  create(name: string, tree: string): Promise<void>;
  /** Types `bulkhead ARGS`. */
  bulkhead(args: string, deadline?: number): Promise<Ran>;
  /** The shell's process. */
  pid: number;
  leave(): Promise<void>;
}

let made = 0;

/** Folders of this process's tests; what a test does not remove goes with the process. */
const folders = new Set<string>();
process.once('exit', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/**
 * Makes a machine. `size`: bytes of its pool as `--size` takes it. `bare`: it has no pool and nobody is enrolled.
 * `without`: programs that its daemon does not find, in a mount namespace of its own.
 */
export async function makeMachine(
  options: {
    size?: string;
    floor?: string;
    env?: Record<string, string>;
    persons?: number;
    bare?: true;
    without?: string[];
  } = {},
): Promise<Machine> {
  made += 1;
  const instance = `t${process.pid}-${made}`;
  const paths = pathsOf(instance);
  const base = { ...process.env, BULKHEAD_INSTANCE: instance, NO_COLOR: '1' };
  let log = '';
  const codes = createCodes();
  const machine: Machine = {
    instance,
    paths,
    daemon: undefined as unknown as ChildProcess,
    uri: '',
    cli: (...args) => run(BULKHEAD, args, { env: base }),
    cliWith: (more, ...args) => run(BULKHEAD, args, { env: base, ...more }),
    person: () => signIn(machine, base),
    json: async <T>(...args: string[]): Promise<T> => {
      const ran = await machine.cli(...args, '--json');
      const last = JSON.parse(ran.stdout.trim().split('\n').at(-1) ?? '{}') as { result?: T };
      if (ran.code !== 0 || last.result === undefined)
        throw new Error(`${args.join(' ')} ended with ${ran.code}:\n${ran.stdout}${ran.stderr}${log}`);
      return last.result;
    },
    code: () => codes.next(),
    async start(env = {}) {
      log = '';
      const [file, ...args] = daemonCommand(options.without ?? []);
      const child = spawn(file, args, {
        env: { ...base, BULKHEAD_TEST: '1', ...options.env, ...env },
        stdio: ['ignore', 'ignore', 'pipe'],
        cwd: '/',
      });
      child.stderr?.on('data', (chunk: Buffer) => (log += chunk.toString('utf8')));
      machine.daemon = child;
      await waitFor(
        async () => {
          if (child.exitCode !== null || child.signalCode !== null)
            throw new Error(`the daemon ended at its start:\n${log}`);
          return log.includes('bulkheadd answers');
        },
        30_000,
        () => log,
      );
    },
    async stop(signal = 'SIGTERM') {
      const { daemon } = machine;
      if (daemon.exitCode !== null || daemon.signalCode !== null) return;
      const ended = new Promise<void>((resolve) => void daemon.once('exit', () => resolve()));
      daemon.kill(signal);
      const late = setTimeout(() => daemon.kill('SIGKILL'), 20_000);
      await ended;
      clearTimeout(late);
    },
    async endCells() {
      const cells = createRuncCells({
        paths,
        networks: createNetworks({ paths }),
        program: { node: process.execPath, bundle: path.join(ROOT, 'dist') },
      });
      for (const cell of await cells.list()) await cells.stop(cell.id);
    },
    log: () => log,
    remove: () => remove(machine),
  };
  await machine.start();
  if (options.bare === true) return machine;
  try {
    await enrol(machine, codes, [
      'init',
      '--size',
      options.size ?? '1G',
      '--floor',
      options.floor ?? '64M',
      '--person',
      'root',
    ]);
    if ((options.persons ?? 1) > 1) await enrolMore(machine, codes, options.persons ?? 1);
  } catch (error) {
    await machine.remove();
    throw error;
  }
  return machine;
}

function daemonCommand(without: readonly string[]): [string, ...string[]] {
  if (without.length === 0) return [BULKHEAD, 'daemon'];
  const hide = 'for file; do [ -e "$file" ] && mount --bind /dev/null "$file"; done';
  return [
    'unshare',
    '--mount',
    '--propagation',
    'private',
    'sh',
    '-c',
    `${hide}; exec ${BULKHEAD} daemon`,
    'sh',
    ...without,
  ];
}

async function enrol(machine: Machine, codes: Codes, args: string[]): Promise<void> {
  const ran = await machine.cli(...args, '--json');
  const last = JSON.parse(ran.stdout.trim().split('\n').at(-1) ?? '{}') as {
    result?: { uri: string; recovery: string[] };
  };
  if (ran.code !== 0 || last.result === undefined)
    throw new Error(`init ended with ${ran.code}:\n${ran.stdout}${ran.stderr}${machine.log()}`);
  machine.uri = last.result.uri;
  codes.add(last.result.uri, last.result.recovery);
  const answer = await post(machine.paths.socket, 'machine.confirm', { input: {}, code: codes.newest() });
  if (!answer.includes('"result"')) throw new Error(`confirm: ${answer}`);
}

/** More persons are more codes: one code is good once, and there are three of each in half a minute. */
async function enrolMore(machine: Machine, codes: Codes, count: number): Promise<void> {
  const users = (await readFile('/etc/passwd', 'utf8'))
    .split('\n')
    .map((line) => line.split(':')[0] ?? '')
    .filter((name) => name !== '' && name !== 'root');
  const person = await machine.person();
  for (const user of users.slice(0, count - 1)) {
    const own = await codes.next();
    const ran = await person.converse(`${BULKHEAD} init --person ${user}`, [
      (output) => (output.includes('needs a pool') ? own : undefined),
      (output) => {
        const secret = /or type it: ([A-Z2-7 ]+)\n/.exec(output)?.[1]?.replaceAll(' ', '');
        if (secret === undefined) return undefined;
        codes.add(`otpauth://totp/Bulkhead:${user}?secret=${secret}`, []);
        return codes.newest();
      },
    ]);
    if (ran.code !== 0) throw new Error(`init of ${user} ended with ${ran.code}:\n${ran.stdout}${ran.stderr}`);
  }
  await person.leave();
}

/** Asks the daemon without the command line. */
export function post(socketPath: string, name: string, body: unknown): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, method: 'POST', path: `/v1/${name}`, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve(text));
    });
    sent.on('error', reject);
    sent.end(JSON.stringify(body));
  });
}

async function signIn(machine: Machine, env: NodeJS.ProcessEnv): Promise<Person> {
  const person = await openShell(env, () => machine.code());
  const signed = await person.bulkhead(`sign-in --code ${await machine.code()}`);
  if (signed.code === 0) return person;
  await person.leave();
  throw new Error(`sign-in ended with ${signed.code}: ${signed.stdout}${signed.stderr}${machine.log()}`);
}

/** An interactive bash on a terminal, as a person has it; nobody has signed in there yet. `uid`: another user's. */
export async function openShell(env: NodeJS.ProcessEnv, codes: () => Promise<string>, uid?: number): Promise<Person> {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'bulkhead-person-'));
  folders.add(directory);
  if (uid !== undefined) await chown(directory, uid, uid);
  const clean = Object.fromEntries(
    Object.entries(env).filter(([name]) => !/CLAUDE|AGENT|CURSOR|GEMINI|CODEX/.test(name)),
  );
  const child = spawn(
    '/usr/bin/script',
    ['--quiet', '--flush', '--command', '/bin/bash --norc --noprofile -i', '/dev/null'],
    {
      env: { ...clean, PS1: '$ ', TERM: 'xterm', HISTFILE: '' },
      stdio: ['pipe', 'ignore', 'ignore'],
      cwd: '/',
      ...(uid === undefined ? {} : { uid, gid: uid }),
    },
  );
  // A test that fails leaves its person sitting there; that must not keep the test's process.
  child.unref();
  (child.stdin as unknown as { unref?: () => void }).unref?.();
  let count = 0;
  const type = async (line: string, deadline = 60_000, answers: readonly Answer[] = []): Promise<Ran> => {
    count += 1;
    const file = (name: string): string => path.join(directory, `${count}.${name}`);
    const started = performance.now();
    child.stdin.write(
      `${line} >${file('out')} 2>${file('err')}; echo $? >${file('tmp')}; mv ${file('tmp')} ${file('code')}\n`,
    );
    const text = (name: string): Promise<string> => readFile(file(name), 'utf8').catch(() => '');
    const left = [...answers];
    let said = '';
    const look = async (): Promise<string | undefined> => {
      said = `${await text('out')}${await text('err')}`;
      const answer = left[0]?.(said);
      if (answer !== undefined) {
        left.shift();
        child.stdin.write(`${answer}\n`);
      }
      return (await text('code')) || undefined;
    };
    const code = await waitFor(look, deadline, () => `the command did not end: ${line}\n${said}`);
    return {
      code: Number(code),
      stdout: await text('out'),
      stderr: await text('err'),
      ms: performance.now() - started,
    };
  };
  const pid = Number((await type('echo $$')).stdout);
  return {
    pid,
    run: (line, deadline) => type(line, deadline),
    converse: (line, answers, deadline) => type(line, deadline, answers),
    bulkhead: (args, deadline) => type(`${BULKHEAD} ${args}`, deadline),
    async create(name, tree) {
      const code = await codes();
      const ran = await type(`${BULKHEAD} create ${name} --from ${tree}`, undefined, [
        (output) => (output.includes('asks for') ? code : undefined),
      ]);
      if (ran.code !== 0) throw new Error(`create ${name} ended with ${ran.code}:\n${ran.stdout}${ran.stderr}`);
    },
    async leave() {
      child.stdin.end('exit\n');
      const late = setTimeout(() => child.kill('SIGKILL'), 3000);
      await new Promise((resolve) => child.once('exit', resolve));
      clearTimeout(late);
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Polls until there is a value; throws at the deadline with what `say` says. */
export async function waitFor<T>(
  look: () => Promise<T | undefined | false> | T | undefined | false,
  deadline = 10_000,
  say: () => string = () => '',
): Promise<T> {
  const end = performance.now() + deadline;
  for (;;) {
    const value = await look();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > end) throw new Error(`waited ${deadline} ms in vain: ${say()}`);
    await delay(20);
  }
}

async function remove(machine: Machine): Promise<void> {
  await machine.stop('SIGKILL');
  await run(path.join(ROOT, '.tools/node'), [path.join(ROOT, 'scripts/remove-instance.ts'), machine.instance], {
    deadline: 60_000,
  });
}

/** Writes a small tree for `create --from`; keys are paths, values are contents. It goes with the test's process. */
export async function makeTree(files: Record<string, string>): Promise<string> {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'bulkhead-tree-'));
  folders.add(directory);
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(directory, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, content, { mode: content.startsWith('#!') ? 0o755 : 0o644 });
  }
  // Root keeps numeric owners: the tree is made the agent's, as a person's own would be.
  await run('/usr/bin/chown', ['-R', '1000:1000', directory]);
  return directory;
}
