import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { execute } from '../../src/cli/run.ts';
import { createPaint } from '../../src/cli/terminal/paint.ts';
import type { Terminal } from '../../src/cli/terminal/terminal.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** What came of one run of the command line. */
export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  input?: string | Uint8Array;
  env?: Record<string, string>;
  cwd?: string;
  /** Runs on a terminal of its own; what it shows is `stdout`. Typed when the text appears there. */
  terminal?: readonly { after: string; type: string }[];
  signal?: { after: string; send: NodeJS.Signals };
  deadline?: number;
}

/** The command line, bundled as it is released, and run as a program. */
export interface Cli {
  file: string;
  run(socket: string, args: readonly string[], options?: RunOptions): Promise<Ran>;
  remove(): Promise<void>;
}

/** Bundles the command line into a folder of its own. */
export async function bundleCli(): Promise<Cli> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'bulkhead-cli-'));
  const file = path.join(folder, 'bulkhead.cjs');
  await build({
    absWorkingDir: ROOT,
    entryPoints: ['src/cli/main.ts'],
    outfile: file,
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'cjs',
    minifyWhitespace: true,
    alias: { 'zod/mini': './src/cli/no-schemas.ts' },
    logLevel: 'warning',
  });
  return {
    file,
    run: (socket, args, options = {}) => run(file, socket, args, options),
    remove: () => rm(folder, { recursive: true }),
  };
}

/** Runs one command line in this process, on no terminal: a tenth of the time, for what needs no process. */
export async function runInside(socket: string, args: readonly string[]): Promise<Ran> {
  const out: string[] = [];
  const err: string[] = [];
  const code = await execute(captured(socket, out, err), args);
  return { code, stdout: out.join(''), stderr: err.join('') };
}

function captured(socket: string, out: string[], err: string[]): Terminal {
  // Of a stream only what is used without a terminal is there.
  const stream = (into: string[]) =>
    ({
      isTTY: false,
      write: (text: string | Uint8Array) => (into.push(Buffer.from(text).toString()), true),
    }) as unknown as NodeJS.WriteStream;
  const [stdout, stderr] = [stream(out), stream(err)];
  const print = (into: string[], lines: readonly string[]): void => {
    for (const line of lines) into.push(`${line}\n`);
  };
  return {
    stdin: { isTTY: false } as NodeJS.ReadStream,
    stdout,
    stderr,
    env: { BULKHEAD_SOCKET: socket },
    now: () => Date.now(),
    paint: createPaint(stdout, {}),
    paintError: createPaint(stderr, {}),
    width: undefined,
    widthError: undefined,
    print: (lines) => print(out, lines),
    say: (lines) => print(err, lines),
    json: (value) => print(out, [JSON.stringify(value)]),
    flush: async () => {},
  };
}

function run(file: string, socket: string, args: readonly string[], options: RunOptions): Promise<Ran> {
  const env = {
    PATH: '/usr/bin:/bin',
    TZ: 'UTC',
    TERM: 'xterm',
    NO_COLOR: '1',
    BULKHEAD_SOCKET: socket,
    ...options.env,
  };
  const words = [process.execPath, file, ...args];
  const [program = '', rest] = options.terminal === undefined ? [words[0], words.slice(1)] : onTerminal(words);
  const child = spawn(program, rest, { cwd: options.cwd ?? '/', env, stdio: ['pipe', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  const waiting = [...(options.terminal ?? [])];
  let read = 0;
  let { signal } = options;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    if (signal !== undefined && stdout.includes(signal.after)) {
      child.kill(signal.send);
      signal = undefined;
    }
    for (let next = waiting[0]; next !== undefined && stdout.includes(next.after, read); next = waiting[0]) {
      read = stdout.indexOf(next.after, read) + next.after.length;
      waiting.shift();
      child.stdin.write(next.type);
    }
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin.on('error', () => {});
  if (options.terminal === undefined) child.stdin.end(options.input ?? '');
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => child.kill('SIGKILL'), options.deadline ?? 20_000);
    child.on('error', reject);
    child.on('close', (code, killed) => {
      clearTimeout(timer);
      resolve({ code: code ?? (killed === null ? -1 : 999), stdout, stderr });
    });
  });
}

/** util-linux's script gives a terminal of its own; the size is set first, as it has none. */
function onTerminal(words: readonly string[]): [string, string[]] {
  const line = words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
  return ['/usr/bin/script', ['--quiet', '--return', '--command', `stty rows 40 cols 100; exec ${line}`, '/dev/null']];
}
