import { setTimeout as delay } from 'node:timers/promises';
import type { ClientControl } from '../contract/protocol.ts';
import type { Session } from '../host/cells.ts';

const SIGNALS = new Set([
  'SIGINT',
  'SIGTERM',
  'SIGHUP',
  'SIGQUIT',
  'SIGUSR1',
  'SIGUSR2',
  'SIGWINCH',
  'SIGCONT',
  'SIGTSTP',
  'SIGKILL',
]);

/** Milliseconds between two of them, and how many times as long as the last one took. */
const PAUSE = 2;
const SHARE = 10;

/**
 * Carries out what a client says to its session beside its input. The first is done at once.
 * Of what comes faster than it can be done, the last size counts, and a signal that waits
 * already waits once, as with the kernel's own: a client that sends a million of them
 * (each reads the session's processes) takes a tenth of the loop's time at the most.
 */
export function createSessionControl(
  session: Pick<Session, 'resize' | 'signal'>,
  pause: (ms: number) => Promise<unknown> = delay,
): (message: ClientControl) => void {
  let size: { rows: number; columns: number } | undefined;
  const signals = new Set<string>();
  let busy = false;

  async function one(): Promise<void> {
    const wanted = size;
    const [signal] = signals;
    size = undefined;
    if (wanted !== undefined) return session.resize(wanted.rows, wanted.columns);
    if (signal === undefined) return;
    signals.delete(signal);
    await session.signal(signal);
  }

  async function work(): Promise<void> {
    busy = true;
    while (size !== undefined || signals.size > 0) {
      const started = performance.now();
      // It may have ended meanwhile.
      await one().catch(() => {});
      await pause(Math.max(PAUSE, (performance.now() - started) * SHARE));
    }
    busy = false;
  }

  return (message) => {
    if (message.type === 'resize') size = { rows: clamp(message.rows), columns: clamp(message.columns) };
    else if (message.type === 'signal' && SIGNALS.has(message.signal)) signals.add(message.signal);
    if (!busy) void work();
  };
}

const clamp = (value: number): number => Math.min(4096, Math.max(1, Math.trunc(Number(value) || 1)));
