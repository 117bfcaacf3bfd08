import { AppError } from '../contract/errors.ts';
import type { ServerControl } from '../contract/protocol.ts';
import type { ClientStream } from '../client/stream.ts';
import type { CommonFlags, Context } from './context.ts';
import { createProgress } from './progress.ts';
import { clientFor, withCode } from './request.ts';

/** Milliseconds for which a lost session is asked for again; the daemon keeps it as long. */
const REATTACH = 30_000;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;

interface State {
  session: string | undefined;
  exit: number | undefined;
}

/** Runs a command in a cell as if it ran here: streams apart, terminal, signals, exit code. */
export async function exec(context: Context, input: Record<string, unknown>, flags: CommonFlags): Promise<void> {
  const { stdin, stdout, env } = context.process;
  const terminal = input['terminal'] === true;
  if (terminal && (stdin.isTTY !== true || stdout.isTTY !== true))
    throw new AppError('usage', 'Cannot give a terminal (-t): standard input and output are none here', { next: ['the same command without -t'] });
  const wanted = {
    ...input,
    ...(terminal ? { rows: stdout.rows, columns: stdout.columns, term: env['TERM'] ?? 'xterm' } : {}),
  } as never;
  const state: State = { session: undefined, exit: undefined };
  await withCode(flags, async (code) => {
    let stream = await clientFor(context).stream('session.exec', wanted, { code });
    const input_ = connectInput(context, () => stream, { terminal, send: (input['interactive'] as boolean | undefined) === true });
    try {
      while (!(await carry(context, stream, state, flags))) stream = await reattach(context, String(input['ref']), state);
    } finally {
      input_.release();
    }
  });
  context.process.exitCode = state.exit ?? 125;
}

async function carry(context: Context, stream: ClientStream, state: State, flags: CommonFlags): Promise<boolean> {
  const progress = createProgress(context, false);
  let failed: AppError | undefined;
  const whole = await stream.carry({
    data: (channel, bytes) => writeOut(channel === 1 ? context.process.stdout : context.process.stderr, bytes),
    control(message: ServerControl) {
      if (message.type === 'accepted') state.session = message.session;
      else if (message.type === 'exit') state.exit = message.code;
      else if (message.type === 'error') failed = AppError.from(message.error);
      else if (message.type === 'step' && flags.verbose === true) progress.event(message);
      else if (message.type === 'note') progress.event(message);
    },
  });
  progress.stop();
  if (failed !== undefined) throw failed;
  if (!whole && state.session === undefined)
    throw new AppError('no-daemon', 'The daemon went away before the command had started', { next: ['bulkhead status'] });
  return whole;
}

/** The daemon is starting again: the session went on without it. */
async function reattach(context: Context, ref: string, state: State): Promise<ClientStream> {
  const end = performance.now() + REATTACH;
  for (;;) {
    try {
      return await clientFor(context).stream('session.attach', { ref, session: state.session ?? '' });
    } catch (error) {
      if (performance.now() > end || !(error instanceof AppError) || error.code !== 'no-daemon') throw error;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

/** Waits until the other side of our output has taken it; a closed pipe ends us as it ends any program. */
function writeOut(to: NodeJS.WriteStream, bytes: Uint8Array): Promise<void> | void {
  if (to.write(bytes)) return;
  return new Promise((resolve) => {
    to.once('drain', resolve);
    to.once('close', resolve);
  });
}

/** Keys and signals on their way in; `release` puts the terminal back as it was. */
function connectInput(context: Context, stream: () => ClientStream, how: { terminal: boolean; send: boolean }): { release: () => void } {
  const { stdin, stdout } = context.process;
  const onData = (chunk: Buffer): void => {
    stdin.pause();
    void stream().write(chunk).then(() => stdin.resume());
  };
  const onEnd = (): void => stream().endInput();
  const onResize = (): void => stream().control({ type: 'resize', rows: stdout.rows, columns: stdout.columns });
  const onSignal = (signal: NodeJS.Signals): void => stream().control({ type: 'signal', signal });
  if (how.terminal) {
    stdin.setRawMode(true);
    stdout.on('resize', onResize);
  } else for (const signal of SIGNALS) process.on(signal, onSignal);
  if (how.send || how.terminal) {
    stdin.on('data', onData);
    stdin.on('end', onEnd);
  }
  stdout.on('error', () => process.exit(141));
  return {
    release() {
      if (how.terminal) stdin.setRawMode(false);
      stdout.off('resize', onResize);
      for (const signal of SIGNALS) process.off(signal, onSignal);
      stdin.off('data', onData);
      stdin.off('end', onEnd);
      stdin.pause();
      // A pipe that nobody closes must not keep us.
      stdin.unref?.();
    },
  };
}

/** Streams text (logs, audit tail) to stdout and stderr until it ends. */
export async function follow(context: Context, name: 'cell.logs' | 'audit.tail', input: Record<string, unknown>, flags: CommonFlags, show: (bytes: Uint8Array) => Uint8Array = (bytes) => bytes): Promise<void> {
  await withCode(flags, async (code) => {
    const stream = await clientFor(context).stream(name, input as never, { code });
    let failed: AppError | undefined;
    context.process.stdout.on('error', () => process.exit(141));
    const whole = await stream.carry({
      data: (channel, bytes) => writeOut(channel === 1 ? context.process.stdout : context.process.stderr, show(bytes)),
      control: (message) => void (message.type === 'error' && (failed = AppError.from(message.error))),
    });
    if (failed !== undefined) throw failed;
    if (!whole) throw new AppError('no-daemon', 'The daemon went away', { next: ['bulkhead status'] });
  });
}
