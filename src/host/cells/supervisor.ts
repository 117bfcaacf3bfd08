import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Duplex } from 'node:stream';
import { AppError } from '../../contract/errors.ts';
import { program, SAFE_ENVIRONMENT, start } from '../exec.ts';

/** What a supervisor is started with. */
export interface SupervisorInput {
  /** The session's directory, with `process.json`. */
  directory: string;
  cell: string;
  runtime: string;
  /** A directory of root's with a short path. */
  temporary: string;
  stdin: boolean;
  terminal: boolean;
  /** A log instead of streams. */
  log?: { file: string; bytes: number };
  /** Called between the socket's being there and the command's start, so that no output is missed. */
  connect: () => void;
}

/** A command that its supervisor has started. */
export interface Supervised {
  started: true;
  /** Exit code; undefined when the supervisor ended without saying one. */
  exit: Promise<number | undefined>;
  /** Forgets the supervisor, which goes on alone. */
  release(): void;
}

/** The command could not be started, and what the runtime said. */
export interface NotStarted {
  started: false;
  message: string;
}

const DEADLINE = 30_000;

/** Places of the pipes that the supervisor talks to its parent by (its `_OCI_…PIPE` variables). */
const PIPE = { sync: 3, start: 4, attach: 5 } as const;

/**
 * Starts a command in a cell under a supervisor of its own (conmon(8)), which
 * holds its streams, writes its log and its exit code, and does not need us.
 */
export async function supervise(input: SupervisorInput): Promise<Supervised | NotStarted> {
  const child = await start('conmon', await supervisorArguments(input), {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe', 'pipe'],
    environment: {
      ...SAFE_ENVIRONMENT,
      // Times in its log: the same zone for all, so that they can be compared as text.
      TZ: 'UTC',
      // Where it makes the socket by which the runtime hands over a terminal.
      TMPDIR: input.temporary,
      _OCI_SYNCPIPE: String(PIPE.sync),
      _OCI_STARTPIPE: String(PIPE.start),
      ...(input.log === undefined ? { _OCI_ATTACHPIPE: String(PIPE.attach) } : {}),
    },
    detached: true,
  });
  // conmon writes this itself only when it forks itself away.
  writeFileSync(path.join(input.directory, 'supervisor'), String(child.pid));
  // Node's types know five places at the most; each of ours is a socket pair.
  const pipes: readonly unknown[] = child.stdio;
  const [sync, go, attach] = [PIPE.sync, PIPE.start, PIPE.attach].map((at) => pipes[at] as Duplex);
  if (sync === undefined || go === undefined || attach === undefined)
    throw new AppError('failed', 'Cannot start a supervisor');
  for (const stream of [sync, go, attach]) stream.on('error', () => {});
  const timer = setTimeout(() => child.kill('SIGKILL'), DEADLINE);
  try {
    const messages = readMessages(sync);
    go.write('.');
    if (input.log === undefined) {
      await Promise.race([once(attach, 'data'), once(attach, 'end')]);
      input.connect();
      go.write('.');
    }
    const first = await messages.next();
    if (first === undefined) throw new AppError('failed', 'The supervisor ended before the command began');
    if (first.data < 0) return { started: false, message: first.message };
    const exit = messages.next().then((last) => last?.data);
    const release = (): void => {
      child.unref();
      sync.destroy();
    };
    return { started: true, exit, release };
  } finally {
    clearTimeout(timer);
    // Read by now. It is as long as the command, and lies in a tmpfs that the machine's cells share.
    rmSync(path.join(input.directory, 'process.json'), { force: true });
    go.destroy();
    attach.destroy();
  }
}

async function supervisorArguments(input: SupervisorInput): Promise<string[]> {
  const { directory, log } = input;
  const name = path.basename(directory);
  const options: Record<string, string> = {
    // Version 1: the process's number first, then its exit code.
    'api-version': '1',
    cid: input.cell,
    cuuid: name,
    name,
    bundle: directory,
    runtime: await program('runc'),
    'exec-process-spec': path.join(directory, 'process.json'),
    'exit-dir': path.join(directory, 'exit'),
    'container-pidfile': path.join(directory, 'pid'),
    'log-path': log === undefined ? 'off' : `k8s-file:${log.file}`,
  };
  return [
    '--sync',
    '--exec',
    '--no-sync-log',
    '--full-attach',
    ...Object.entries(options).map(([option, value]) => `--${option}=${value}`),
    ...['--root', input.runtime].map((value) => `--runtime-arg=${value}`),
    ...['--cgroup', name].map((value) => `--runtime-opt=${value}`),
    ...(log === undefined ? ['--exec-attach'] : [`--log-size-max=${log.bytes}`]),
    ...(input.stdin ? ['--stdin'] : []),
    // The end of a client is not the end of a terminal's input: another one may come back to it.
    ...(input.terminal ? ['--terminal', '--leave-stdin-open'] : []),
  ];
}

interface Message {
  data: number;
  message: string;
}

/** The supervisor's messages, one JSON object a line; undefined at the end. */
function readMessages(stream: Duplex): { next(): Promise<Message | undefined> } {
  let text = '';
  let over = false;
  let wake = (): void => {};
  stream.on('data', (chunk: Buffer) => {
    text += chunk.toString('utf8');
    wake();
  });
  stream.on('close', () => {
    over = true;
    wake();
  });
  return {
    next: async () => {
      while (!text.includes('\n') && !over) await new Promise<void>((resolve) => (wake = resolve));
      const end = text.indexOf('\n');
      if (end < 0) return undefined;
      const { data, message } = JSON.parse(text.slice(0, end)) as { data?: unknown; message?: unknown };
      text = text.slice(end + 1);
      return { data: Number(data), message: String(message ?? '') };
    },
  };
}
