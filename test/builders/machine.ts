import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { pathsOf, type Paths } from '../../src/host/paths.ts';

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
      resolve({ code: code ?? (signal === null ? -1 : 128), stdout: text(out), stderr: text(err), ms: performance.now() - started });
    });
  });
}

/** A machine of its own: an instance with a daemon, a small pool, and an enrolled person. */
export interface Machine {
  instance: string;
  paths: Paths;
  daemon: ChildProcess;
  /** Recovery codes that have not been used. */
  codes: string[];
  uri: string;
  /** The command line as this process runs it: unproven, since nobody signed in. */
  cli(...args: string[]): Promise<Ran>;
  /** The same with more to say. */
  cliWith(options: Parameters<typeof run>[2], ...args: string[]): Promise<Ran>;
  /** A person at a terminal, signed in. */
  person(): Promise<Person>;
  /** A code that was not used yet. */
  code(): string;
  /** Ends the daemon with a signal, and waits. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  start(env?: Record<string, string>): Promise<void>;
  /** What the daemon wrote to its log since its last start. */
  log(): string;
  /** Takes everything down again. */
  remove(): Promise<void>;
}

/** An interactive shell on a terminal of its own. */
export interface Person {
  /** Types a command line, and waits until it has ended. */
  run(line: string, deadline?: number): Promise<Ran>;
  /** Types `bulkhead ARGS`. */
  bulkhead(args: string, deadline?: number): Promise<Ran>;
  /** The shell's process. */
  pid: number;
  leave(): Promise<void>;
}

let made = 0;

/** Makes a machine. `size`: bytes of its pool as `--size` takes it. */
export async function makeMachine(options: { size?: string; floor?: string; env?: Record<string, string> } = {}): Promise<Machine> {
  made += 1;
  const instance = `t${process.pid}-${made}`;
  const paths = pathsOf(instance);
  const base = { ...process.env, BULKHEAD_INSTANCE: instance, NO_COLOR: '1' };
  let log = '';
  const machine: Machine = {
    instance,
    paths,
    daemon: undefined as unknown as ChildProcess,
    codes: [],
    uri: '',
    cli: (...args) => run(BULKHEAD, args, { env: base }),
    cliWith: (more, ...args) => run(BULKHEAD, args, { env: base, ...more }),
    person: () => signIn(machine, base),
    code() {
      const code = machine.codes.pop();
      if (code === undefined) throw new Error('no recovery code is left');
      return code;
    },
    async start(env = {}) {
      log = '';
      const child = spawn(BULKHEAD, ['daemon'], { env: { ...base, BULKHEAD_TEST: '1', ...options.env, ...env }, stdio: ['ignore', 'ignore', 'pipe'], cwd: '/' });
      child.stderr?.on('data', (chunk: Buffer) => (log += chunk.toString('utf8')));
      machine.daemon = child;
      await waitFor(async () => {
        if (child.exitCode !== null || child.signalCode !== null) throw new Error(`the daemon ended at its start:\n${log}`);
        return log.includes('bulkheadd answers');
      }, 30_000, () => log);
    },
    async stop(signal = 'SIGTERM') {
      const { daemon } = machine;
      if (daemon.exitCode !== null || daemon.signalCode !== null) return;
      const ended = new Promise<void>((resolve) => void daemon.once('exit', () => resolve()));
      daemon.kill(signal);
      await Promise.race([ended, delay(20_000).then(() => daemon.kill('SIGKILL'))]);
    },
    log: () => log,
    remove: () => remove(machine),
  };
  await machine.start();
  const init = await machine.cli('init', '--json', '--size', options.size ?? '1G', '--floor', options.floor ?? '64M');
  const last = JSON.parse(init.stdout.trim().split('\n').at(-1) ?? '{}') as { result?: { uri: string; recovery: string[] } };
  if (init.code !== 0 || last.result === undefined) {
    await machine.remove();
    throw new Error(`init failed with ${init.code}:\n${init.stdout}${init.stderr}${log}`);
  }
  machine.codes = last.result.recovery;
  machine.uri = last.result.uri;
  return machine;
}

async function signIn(machine: Machine, env: NodeJS.ProcessEnv): Promise<Person> {
  const person = await openShell(env);
  const signed = await person.bulkhead(`sign-in --code ${machine.code()}`);
  if (signed.code === 0) return person;
  await person.leave();
  throw new Error(`sign-in ended with ${signed.code}: ${signed.stdout}${signed.stderr}${machine.log()}`);
}

/** An interactive bash on a terminal, as a person has it; nobody has signed in there yet. */
export async function openShell(env: NodeJS.ProcessEnv): Promise<Person> {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'bulkhead-person-'));
  const clean = Object.fromEntries(Object.entries(env).filter(([name]) => !/CLAUDE|AGENT|CURSOR|GEMINI|CODEX/.test(name)));
  const child = spawn('/usr/bin/script', ['--quiet', '--flush', '--command', '/bin/bash --norc --noprofile -i', '/dev/null'], {
    env: { ...clean, PS1: '$ ', TERM: 'xterm', HISTFILE: '' },
    stdio: ['pipe', 'ignore', 'ignore'],
    cwd: '/',
  });
  let count = 0;
  const type = async (line: string, deadline = 60_000): Promise<Ran> => {
    count += 1;
    const file = (name: string): string => path.join(directory, `${count}.${name}`);
    const started = performance.now();
    child.stdin.write(`${line} >${file('out')} 2>${file('err')}; echo $? >${file('tmp')}; mv ${file('tmp')} ${file('code')}\n`);
    const code = await waitFor(() => readFile(file('code'), 'utf8').catch(() => undefined), deadline, () => `the command did not end: ${line}`);
    const text = (name: string): Promise<string> => readFile(file(name), 'utf8').catch(() => '');
    return { code: Number(code), stdout: await text('out'), stderr: await text('err'), ms: performance.now() - started };
  };
  const pid = Number((await type('echo $$')).stdout);
  return {
    pid,
    run: type,
    bulkhead: (args, deadline) => type(`${BULKHEAD} ${args}`, deadline),
    async leave() {
      child.stdin.end('exit\n');
      await Promise.race([new Promise((resolve) => child.once('exit', resolve)), delay(3000).then(() => child.kill('SIGKILL'))]);
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Polls until there is a value; throws at the deadline with what `say` says. */
export async function waitFor<T>(look: () => Promise<T | undefined | false> | T | undefined | false, deadline = 10_000, say: () => string = () => ''): Promise<T> {
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
  await run(path.join(ROOT, '.tools/node'), [path.join(ROOT, 'scripts/remove-instance.ts'), machine.instance], { deadline: 60_000 });
}

/** Writes a small tree for `create --from`; keys are paths, values are contents. */
export async function makeTree(files: Record<string, string>): Promise<string> {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'bulkhead-tree-'));
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(directory, name);
    await import('node:fs/promises').then((fs) => fs.mkdir(path.dirname(file), { recursive: true }));
    await writeFile(file, content, { mode: content.startsWith('#!') ? 0o755 : 0o644 });
  }
  return directory;
}
