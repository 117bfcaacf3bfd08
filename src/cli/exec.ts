import { startSession, type ClientSession } from '../client/session.ts';
import { AppError } from '../contract/errors.ts';
import type { ProgressEvent } from '../contract/events.ts';
import type { Input } from '../contract/operations.ts';
import type { Context, Flags, Run } from './context.ts';
import { outputObject } from './terminal/output.ts';
import { createProgress } from './terminal/progress.ts';
import { pour, type Terminal } from './terminal/terminal.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;
const NUMBERS = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1, SIGQUIT: 3 } as const;
/** So many interrupts, and we leave, whatever the command does with them. */
const LEAVE_AFTER = 3;

/** `exec`: a command in a cell as if it ran here. Returns its exit code. */
export const exec: Run<'session.exec'> = async (context, input, flags) => {
  const { terminal, client } = context;
  if (input.command.length === 0)
    throw new AppError('usage', 'There is no command to run', {
      next: [`bulkhead exec ${input.ref} -- ls`, `bulkhead shell ${input.ref}`],
    });
  if (input.terminal === true) needTerminal(terminal, input);
  const session = startSession(
    client,
    { ...input, ...sizeOf(terminal, input) },
    { ...hooksOf(context, flags), code: flags.code },
  );
  // Both may fail, and the exit tells why.
  session.exit.catch(() => {});
  const release = connectInput(terminal, session, input);
  try {
    const exit = await session.exit;
    if (flags.json) terminal.json({ type: 'result', result: { code: exit } });
    return exit;
  } finally {
    release();
  }
};

/** `shell`: a login shell; without a terminal here it reads what comes on standard input. */
export function shell(
  context: Context,
  input: Pick<Input<'session.exec'>, 'ref' | 'directory'>,
  flags: Flags,
): Promise<number> {
  const terminal = context.terminal.stdin.isTTY && context.terminal.stdout.isTTY;
  return exec(context, { ...input, command: ['/bin/bash', '-l'], interactive: true, terminal }, flags);
}

function needTerminal({ stdin, stdout }: Terminal, input: Input<'session.exec'>): void {
  if (stdin.isTTY && stdout.isTTY) return;
  const which = stdin.isTTY ? 'standard output' : 'standard input';
  throw new AppError('usage', `Cannot give it a terminal (-t): ${which} is not a terminal here`, {
    next: [`bulkhead exec ${input.interactive === true ? '-i ' : ''}${input.ref} -- ${input.command[0] ?? 'CMD'} …`],
  });
}

function sizeOf({ stdout, env }: Terminal, input: Input<'session.exec'>): Partial<Input<'session.exec'>> {
  if (input.terminal !== true) return {};
  return { rows: stdout.rows, columns: stdout.columns, term: env['TERM'] ?? 'xterm' };
}

/** Output apart and with back-pressure; our own words only where they cannot be taken for the command's. */
function hooksOf({ terminal }: Context, flags: Flags) {
  const { stdout, stderr } = terminal;
  const manner = flags.json ? 'json' : flags.verbose ? 'lines' : 'quiet';
  const progress = createProgress(terminal, manner, true);
  return {
    onEvent: (event: ProgressEvent) => progress.event(event),
    onAccepted: () => progress.end(),
    onOutput(channel: 1 | 2, bytes: Uint8Array): Promise<void> | void {
      if (flags.json) return terminal.json(outputObject(channel === 1 ? 'stdout' : 'stderr', bytes));
      return pour(channel === 1 ? stdout : stderr, bytes);
    },
    onLost(state: 'lost' | 'back'): void {
      if (stderr.isTTY)
        stderr.write(state === 'lost' ? '\r\nThe daemon has gone; waiting for it …\r\n' : '\r\nIt is back.\r\n');
    },
  };
}

/** Connects keys, standard input, size and signals to a session; the returned function takes it all back. */
function connectInput(terminal: Terminal, session: ClientSession, input: Input<'session.exec'>): () => void {
  const { stdout } = terminal;
  // Standard input is opened only where it is sent: that alone takes 4 ms.
  const stdin = input.interactive === true ? terminal.stdin : undefined;
  const raw = input.terminal === true && stdin !== undefined;
  const onSize = (): void => session.resize(stdout.rows, stdout.columns);
  const onSignal = signalHandler(session);
  if (raw) stdin.setRawMode(true);
  if (input.terminal === true) stdout.on('resize', onSize);
  for (const signal of SIGNALS) process.on(signal, onSignal);
  if (stdin !== undefined) void sendAll(stdin, session);
  return () => {
    if (raw) stdin.setRawMode(false);
    stdout.off('resize', onSize);
    for (const signal of SIGNALS) process.off(signal, onSignal);
    stdin?.destroy();
  };
}

async function sendAll(stdin: NodeJS.ReadStream, session: ClientSession): Promise<void> {
  try {
    for await (const chunk of stdin as AsyncIterable<Buffer>) await session.send(chunk);
    session.endInput();
  } catch {
    // The session has ended, or standard input was closed under us: its exit code says what came of it.
  }
}

/** Signals are the command's, once it runs. Before that, and when it does not listen, they are ours. */
function signalHandler(session: ClientSession): (signal: NodeJS.Signals) => void {
  let asked = 0;
  return (signal) => {
    asked += 1;
    if (session.accepted() && asked <= LEAVE_AFTER) return session.signal(signal);
    session.leave(128 + NUMBERS[signal as keyof typeof NUMBERS]);
  };
}
