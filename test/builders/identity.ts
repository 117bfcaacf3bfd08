import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, copyFileSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import path from 'node:path';
import type { Writable } from 'node:stream';
import type { Caller } from '../../src/core/caller.ts';
import { isWantedVariable } from '../../src/core/markers.ts';
import { createIdentify, type Connection } from '../../src/daemon/identify.ts';
import { createSignIns } from '../../src/daemon/sign-ins.ts';
import { createProcesses } from '../../src/host/processes.ts';

/** What the daemon says of whoever asks: a caller, what a sign-in answered, or an error's message and reason. */
export type Answer = Partial<Exclude<Caller, { kind: 'service' }>> & {
  error?: string;
  why?: string;
  ended?: number;
  terminal?: string;
  until?: number;
};

/** Stands for our CLI: connects, asks its words one by one, prints each answer. */
const CLIENT = `
const words = process.argv.slice(3);
const socket = require('node:net').connect(process.argv[2], () => socket.write(words.shift() + '\\n'));
let text = '';
socket.on('data', (data) => {
  text += data;
  if (!text.endsWith('\\n')) return;
  process.stdout.write('ANSWER ' + text);
  text = '';
  const word = words.shift();
  if (word === undefined) socket.end(); else socket.write(word + '\\n');
});
socket.on('error', (error) => { console.log('ANSWER ' + JSON.stringify({ error: error.code })); });
`;

/** A real socket with the real identify behind it, and a client program that counts as ours. */
export async function openIdentity(channel: Channel = { channel: 'local' }) {
  const directory = mkdtempSync('/tmp/bulkhead-identity-');
  chmodSync(directory, 0o755);
  const file = path.join(directory, 'test.sock');
  const script = path.join(directory, 'client.cjs');
  writeFileSync(script, CLIENT, { mode: 0o644 });
  const exe = realpathSync(process.execPath);
  const processes = createProcesses({ keep: isWantedVariable });
  const signIns = createSignIns({ processes, clock: Date.now, program: { exe, script } });
  const identify = createIdentify({ processes, signIns, users: { nameOf: async (uid) => `user-${uid}` } });

  async function answer(socket: Socket, word: string, connected: number): Promise<Answer> {
    const fd = (socket as unknown as { _handle: { fd: number } })._handle.fd;
    try {
      const caller = await identify({ fd, connected, ...channel } as Connection);
      if (word === 'sign-in') return signIns.begin(caller, 'deploy');
      if (word === 'sign-out') return { ended: signIns.end(caller) };
      if (caller.kind === 'service') throw new TypeError('no service connects');
      return caller;
    } catch (error) {
      return { error: (error as Error).message, why: (error as { why?: string }).why ?? '' };
    }
  }

  const server = createServer((socket) => {
    const connected = processes.sinceBoot();
    socket.on('error', () => {});
    socket.on('data', (data) => {
      for (const word of data.toString().split('\n').filter(Boolean))
        void answer(socket, word, connected).then(
          (said) => socket.writable && socket.write(`${JSON.stringify(said)}\n`),
        );
    });
  });
  await new Promise<void>((resolve) => void server.listen(file, resolve));
  chmodSync(file, 0o666);

  return {
    directory,
    file,
    script,
    exe,
    processes,
    signIns,
    identify,
    /** Puts a copy of a program there under another name. */
    disguise(program: string, name: string): string {
      const copy = path.join(directory, name);
      copyFileSync(realpathSync(program), copy);
      chmodSync(copy, 0o755);
      return copy;
    },
    write(name: string, text: string): string {
      const written = path.join(directory, name);
      writeFileSync(written, text, { mode: 0o755 });
      return written;
    },
    close(): void {
      signIns.close();
      server.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
export type Identity = Awaited<ReturnType<typeof openIdentity>>;
type Channel = { channel: 'local' } | { channel: 'cell'; cell: string; idBase: number };

/** Answers in what a program printed. */
export const answersIn = (text: string): Answer[] =>
  [...text.matchAll(/ANSWER (\{.*\})/g)].map((match) => JSON.parse(match[1] ?? '{}') as Answer);

/** Runs a program to its end, away from whoever runs the tests (that may be an agent), and gives back the answers that came out of it. */
export async function askBy(
  command: readonly string[],
  options: { env?: Record<string, string>; uid?: number } = {},
): Promise<Answer[]> {
  const child = spawn('setsid', ['-f', 'timeout', '10', ...command], {
    env: { PATH: '/usr/bin:/bin', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: '/tmp',
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
  });
  let text = '';
  child.stdout.on('data', (data: Buffer) => void (text += data.toString()));
  child.stderr.on('data', (data: Buffer) => void (text += data.toString()));
  await new Promise((resolve) => void child.on('close', resolve));
  const answers = answersIn(text);
  if (answers.length === 0) throw new Error(`no answer: ${text}`);
  return answers;
}

/** A shell on a terminal of its own, as a person has one. `type` gives the answers that came until the prompt is back. */
export async function openTerminal(options: { uid?: number; env?: Record<string, string>; shell?: string } = {}) {
  const shell = options.shell ?? 'exec bash --norc --noprofile -i';
  // Away from whoever runs the tests: that may be an agent. Descriptor 3, because Node closes a child's stdin at its end.
  const child: ChildProcess = spawn(
    '/bin/sh',
    ['-c', 'exec setsid -f script -qfec "$1" /dev/null <&3 3<&-', 'sh', shell],
    {
      env: {
        PATH: '/usr/bin:/bin',
        PS1: 'READY> ',
        TERM: 'dumb',
        SHELL: '/bin/sh',
        HISTFILE: '/dev/null',
        ...options.env,
      },
      stdio: ['ignore', 'pipe', 'ignore', 'pipe'],
      cwd: '/tmp',
      ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
    },
  );
  const keyboard = child.stdio[3] as Writable;
  keyboard.on('error', () => {});
  let text = '';
  let serial = 0;
  child.stdout?.on('data', (data: Buffer) => void (text += data.toString()));
  async function until(wanted: RegExp): Promise<string> {
    for (let waited = 0; waited < 10_000; waited += 20) {
      if (wanted.test(text)) return text;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`the terminal did not say ${String(wanted)}: ${text}`);
  }
  await until(/READY> /);
  return {
    async type(line: string): Promise<Answer[]> {
      serial += 1;
      text = '';
      // The echo of what is typed must not look like the end.
      keyboard.write(`${line}\necho DONE''-${serial}\n`);
      return answersIn(await until(new RegExp(`DONE-${serial}[\\s\\S]*READY> `)));
    },
    async close(): Promise<void> {
      const ended = new Promise((resolve) => void child.stdout?.on('close', resolve));
      keyboard.write('exit\nexit\n');
      await ended;
      keyboard.destroy();
    },
  };
}
