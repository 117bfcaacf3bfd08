import { readFileSync, readdirSync, watch } from 'node:fs';
import path from 'node:path';
import { supervised } from './strays.ts';

/** Milliseconds between looks whether a supervisor still runs: one that was killed writes nothing. */
const LOOK = 1000;
/** As after SIGKILL: what became of the command is not known, but it has ended. */
const UNKNOWN = 137;

/** The exit code that a session's supervisor has written; undefined while there is none. */
export function writtenExit(directory: string): number | undefined {
  try {
    const exits = path.join(directory, 'exit');
    // The supervisor writes beside and renames; the name is the cell's.
    const name = readdirSync(exits).find((entry) => !entry.includes('.'));
    const code = name === undefined ? '' : readFileSync(path.join(exits, name), 'utf8').trim();
    return /^\d+$/.test(code) ? Number(code) : undefined;
  } catch {
    return undefined;
  }
}

/** Resolves with the exit code of a session that another daemon has started, once there is one. */
export function awaitExit(directory: string, signal: AbortSignal): Promise<number> {
  return new Promise((resolve) => {
    const look = (): void => {
      // In this order: one that ends in between has written by then.
      const running = supervised(directory);
      const code = writtenExit(directory);
      if (code === undefined && running) return;
      stop();
      resolve(code ?? UNKNOWN);
    };
    const timer = setInterval(look, LOOK);
    const watcher = watch(path.join(directory, 'exit'), look);
    watcher.on('error', look);
    const stop = (): void => {
      clearInterval(timer);
      watcher.close();
    };
    signal.addEventListener('abort', stop, { once: true });
    look();
  });
}
