import { spawn, type ChildProcess } from 'node:child_process';
import { constants } from 'node:os';
import { access } from 'node:fs/promises';
import { AppError } from '../contract/errors.ts';

/**
 * The one place where the daemon starts programs: absolute, with an argument
 * array, a chosen environment, a deadline, and bounded output. The working
 * directory is `/`, so nothing planted beside a caller is ever found.
 */
export interface ExecOptions {
  /** Milliseconds until it is killed. */
  deadline?: number;
  /** Bytes of output each, beyond which it is killed. */
  limit?: number;
  input?: string | Uint8Array;
  environment?: Record<string, string>;
  /** Exit codes that are no failure. */
  accept?: readonly number[];
  cwd?: string;
}

export interface ExecResult {
  code: number;
  stdout: string;
  stderr: string;
  ms: number;
}

/** Places where a system's administrator puts programs, in this order. */
const PLACES = ['/usr/sbin', '/usr/bin', '/sbin', '/bin'] as const;
export const SAFE_ENVIRONMENT = { PATH: PLACES.join(':'), LC_ALL: 'C.UTF-8', HOME: '/root' } as const;

const found = new Map<string, Promise<string>>();

/** The absolute path of a program. Throws `missing-tool` with the package that brings it. */
export async function program(name: string): Promise<string> {
  let known = found.get(name);
  if (known === undefined) {
    known = locate(name);
    found.set(name, known);
    known.catch(() => found.delete(name));
  }
  return known;
}

const PACKAGE: Record<string, string> = {
  'mkfs.btrfs': 'btrfs-progs',
  btrfs: 'btrfs-progs',
  runc: 'runc',
  conmon: 'conmon',
  nft: 'nftables',
  ip: 'iproute2',
  pasta: 'passt',
  catatonit: 'catatonit',
  losetup: 'mount',
  nsenter: 'util-linux',
  setfacl: 'acl',
};

async function locate(name: string): Promise<string> {
  for (const place of PLACES) {
    const candidate = `${place}/${name}`;
    const usable = await access(candidate, 1).then(
      () => true,
      () => false,
    );
    if (usable) return candidate;
  }
  const apt = PACKAGE[name] ?? name;
  throw new AppError('missing-tool', `Cannot find the program "${name}" on this machine`, {
    next: [`apt-get install ${apt}`, 'bulkhead doctor'],
  });
}

/** Runs a program to its end. Throws `failed` with its last words, `timeout` after the deadline. */
export async function exec(name: string, args: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
  const file = await program(name);
  const started = performance.now();
  const child = spawn(file, args, {
    cwd: options.cwd ?? '/',
    env: options.environment ?? SAFE_ENVIRONMENT,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const result = await collect(child, options);
  const ms = performance.now() - started;
  const said = result.stderr.trim().split('\n').slice(-3).join(' ').slice(0, 500);
  if (result.cut === 'deadline')
    throw new AppError('timeout', `"${name} ${args[0] ?? ''}" did not end within ${options.deadline} ms`, {
      why: said,
    });
  if (result.cut === 'limit') throw new AppError('failed', `"${name}" wrote more than it may`);
  const accepted = options.accept ?? [0];
  if (!accepted.includes(result.code))
    throw new AppError('failed', `"${name} ${args.slice(0, 3).join(' ')}" ended with ${result.code}`, { why: said });
  return { code: result.code, stdout: result.stdout, stderr: result.stderr, ms };
}

/** Starts a program that is meant to stay; the caller owns it. stdio as given to node's spawn. */
export async function start(
  name: string,
  args: readonly string[],
  options: {
    stdio: import('node:child_process').StdioOptions;
    environment?: Record<string, string>;
    detached?: boolean;
  },
): Promise<ChildProcess> {
  const file = await program(name);
  return spawn(file, args, {
    cwd: '/',
    env: options.environment ?? SAFE_ENVIRONMENT,
    stdio: options.stdio,
    detached: options.detached ?? false,
  });
}

interface Collected {
  code: number;
  stdout: string;
  stderr: string;
  cut?: 'deadline' | 'limit';
}

function collect(child: ChildProcess, options: ExecOptions): Promise<Collected> {
  const limit = options.limit ?? 4 << 20;
  return new Promise((resolve, reject) => {
    let cut: Collected['cut'];
    const kill = (why: NonNullable<Collected['cut']>) => {
      cut ??= why;
      child.kill('SIGKILL');
    };
    const timer = setTimeout(() => kill('deadline'), options.deadline ?? 30_000);
    const gather = (stream: NodeJS.ReadableStream | null) => {
      const chunks: Buffer[] = [];
      let size = 0;
      stream?.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > limit) kill('limit');
        else chunks.push(chunk);
      });
      return () => Buffer.concat(chunks).toString('utf8');
    };
    const stdout = gather(child.stdout);
    const stderr = gather(child.stderr);
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const ended = code ?? 128 + (constants.signals[signal ?? 'SIGKILL'] ?? 9);
      resolve({ code: ended, stdout: stdout(), stderr: stderr(), ...(cut === undefined ? {} : { cut }) });
    });
    // A program that ends before it has read its input: its exit code says what happened.
    child.stdin?.on('error', () => {});
    child.stdin?.end(options.input);
  });
}
