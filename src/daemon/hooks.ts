import { AppError } from '../contract/errors.ts';
import { escapeText } from '../contract/names.ts';
import type { Id } from '../core/ids.ts';
import type { Cells, RunResult, Session } from '../host/cells.ts';

/** A hook's name in bulkhead.yaml; its accepted content is the file of that name in the cell. */
export type HookName = 'up' | 'down' | 'health' | 'prepare' | 'cleanup';

/** Where a cell sees its accepted hooks, read-only. */
const DIRECTORY = '/run/bulkhead-hooks';

/** Milliseconds that each may take. */
const DEADLINE = { down: 30_000, health: 60_000, prepare: 600_000, cleanup: 60_000 } as const;
/** An up hook that still runs after this, without a health hook, is the service itself. */
const SETTLE = 1000;
/** Between the polite signal and the end of what `up` started. */
const STOP_DEADLINE = 10_000;
const LOG_KEPT = 8 << 20;
const OUTPUT_KEPT = 64 << 10;

/**
 * Runs the hook, and stays for as long as anything that it left behind holds
 * descriptor 9: so the log goes on when a hook starts its services in the
 * background and ends. A hook that fails passes its code through the pipe.
 */
const KEEPER = `exec 3>&1 4>&2
{ ${DIRECTORY}/up 9>&1 >&3 2>&4 3>&- 4>&- || echo $?; } | { read -r code && exit "$code"; exit 0; }`;

/** The shells that are ours in a list of processes. */
export const KEEPERS = /^\/bin\/sh -c exec 3>&1 4>&2\s/;

export interface Hooks {
  /** Starts the up hook; resolves when it counts as up. Throws `hook-failed`. */
  up(cell: Id, ref: string, health: boolean): Promise<void>;
  /** Waits until the health hook says ready. Throws `hook-failed`. */
  health(cell: Id, ref: string): Promise<void>;
  /** Runs `down`, `prepare` or `cleanup` to its end. Throws `hook-failed`. */
  once(cell: Id, ref: string, hook: 'down' | 'prepare' | 'cleanup'): Promise<void>;
  /** Ends what `up` started: asked first, then killed at the deadline. */
  stop(cell: Id): Promise<void>;
}

export interface HooksDeps {
  cells: Cells;
  newId: () => Id;
}

/** Runs an app's accepted hooks in its cell, as its user agent. */
export function createHooks({ cells, newId }: HooksDeps): Hooks {
  const start = (cell: Id): Promise<Session> =>
    cells.open({ cell, id: cell, command: ['/bin/sh', '-c', KEEPER], user: 'agent', stdin: false, log: LOG_KEPT });
  const run = (cell: Id, command: readonly string[], deadline: number): Promise<RunResult> =>
    cells.run({ cell, id: newId(), command, user: 'agent', stdin: false, log: 0 }, { deadline, output: OUTPUT_KEPT });

  return {
    async up(cell, ref, health) {
      if (await cells.alive(cell, cell)) return;
      const session = await start(cell);
      session.stdout.resume();
      session.stderr.resume();
      if (health) return;
      const code = await Promise.race([session.exit, delay(SETTLE)]);
      if (code !== undefined && code !== 0) throw await failure(cells, cell, ref, 'up', `ended with ${code}`);
    },
    async health(cell, ref) {
      const session = await cells.find(cell, cell);
      const failed = session?.exit.then((code) => (code === 0 ? new Promise<never>(() => {}) : code));
      // One session asks again and again: no new process of ours for each try.
      const asking = run(
        cell,
        ['/bin/sh', '-c', `until ${DIRECTORY}/health >/dev/null 2>&1; do sleep 0.05; done`],
        DEADLINE.health,
      );
      const first = await Promise.race([
        asking.then((result) => ({ result })),
        ...(failed ? [failed.then((code) => ({ code }))] : []),
      ]);
      if ('code' in first) throw await failure(cells, cell, ref, 'up', `ended with ${first.code}`);
      if (first.result.cut === 'deadline')
        throw await failure(cells, cell, ref, 'health', `did not say ready within ${DEADLINE.health / 1000} s`);
      if (first.result.code !== 0) throw await failure(cells, cell, ref, 'health', `ended with ${first.result.code}`);
    },
    async once(cell, ref, hook) {
      const result = await run(cell, [`${DIRECTORY}/${hook}`], DEADLINE[hook]);
      if (result.cut === undefined && result.code === 0) return;
      const what =
        result.cut === 'deadline' ? `did not end within ${DEADLINE[hook] / 1000} s` : `ended with ${result.code}`;
      const said = lastLines(result.stderr.length > 0 ? result.stderr.toString() : result.stdout.toString());
      throw new AppError('hook-failed', `The hook "${hook}" of ${ref} ${what}`, { why: said });
    },
    async stop(cell) {
      if (!(await cells.alive(cell, cell))) return;
      const empty = new Promise<void>((resolve) => void cells.whenEmpty(cell, cell, resolve));
      await cells.signalAll(cell, cell, 'SIGTERM');
      await Promise.race([empty, delay(STOP_DEADLINE)]);
      await (await cells.find(cell, cell))?.end();
    },
  };
}

async function failure(cells: Cells, cell: Id, ref: string, hook: HookName, what: string): Promise<AppError> {
  const lines = await cells.log(cell, cell, 6).catch(() => []);
  const said = lastLines(lines.map((line) => line.text).join('\n'));
  return new AppError('hook-failed', `The hook "${hook}" of ${ref} ${what}`, {
    ...(said === '' ? {} : { why: said }),
    next: [`bulkhead logs ${ref}`, `bulkhead shell ${ref}`],
  });
}

const lastLines = (text: string): string =>
  text
    .trim()
    .split('\n')
    .slice(-6)
    .map((line) => escapeText(line.slice(0, 300)))
    .join('\n');

const delay = (ms: number): Promise<undefined> =>
  new Promise((resolve) => void setTimeout(() => resolve(undefined), ms).unref());
