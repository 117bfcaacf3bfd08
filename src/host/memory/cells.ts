import { PassThrough, type Readable, type Writable } from 'node:stream';
import { AppError } from '../../contract/errors.ts';
import type { Id } from '../../core/ids.ts';
import type { CellProcess, Cells, CellSpec, Session, SessionSpec } from '../cells.ts';
import { createMemoryLogs, type LogWriter } from './cell-logs.ts';
import { runSession } from '../cells/run.ts';
import { signalNumber } from '../cells/processes.ts';

/** What a scripted command sees and can do. */
export interface ScriptIo {
  command: readonly string[];
  environment: Readonly<Record<string, string>>;
  cell: CellSpec;
  stdin: Readable;
  stdout: (text: string) => void;
  stderr: (text: string) => void;
  /** Aborts when the session is ended; the script's result counts no more. */
  ended: AbortSignal;
  /** Resolves with the name of the next signal. */
  signalled: () => Promise<string>;
  size: () => { rows: number; columns: number } | undefined;
}

/** A command that is a function: returns its exit code. Undefined: there is no such command. */
export type Script = (io: ScriptIo) => Promise<number> | undefined;

export interface MemoryCellsOptions {
  script?: Script;
  clock?: () => number;
}

interface MemorySession {
  spec: SessionSpec;
  session: Session;
  hostPid: number;
  started: number;
  over: boolean;
  attached: boolean;
  signal: (name: string) => void;
  finish: (code: number) => void;
  watchers: Set<() => void>;
}

interface MemoryCell {
  spec: CellSpec;
  pid: number;
  frozen: boolean;
  sessions: Map<Id, MemorySession>;
}

/** Cells without a machine: sessions are functions. For tests of what uses cells. */
export function createMemoryCells(options: MemoryCellsOptions = {}): Cells {
  const clock = options.clock ?? Date.now;
  const cells = new Map<Id, MemoryCell>();
  const logs = createMemoryLogs(clock);
  let lastPid = 1000;

  const running = (id: Id): MemoryCell => {
    const cell = cells.get(id);
    if (cell === undefined) throw new AppError('wrong-state', 'The cell is not running', { next: ['bulkhead up'] });
    return cell;
  };
  const get = (cell: Id, session: Id): MemorySession | undefined => cells.get(cell)?.sessions.get(session);

  const open = async (spec: SessionSpec): Promise<Session> => {
    const cell = running(spec.cell);
    const old = cell.sessions.get(spec.id);
    if (old !== undefined && !old.over) throw new AppError('exists', 'There is such a session already');
    const log = spec.log === 0 ? undefined : logs.open(spec.cell, spec.id, spec.log);
    const made = createMemorySession(spec, cell.spec, ++lastPid, clock(), options.script, log, () =>
      cell.sessions.delete(spec.id),
    );
    cell.sessions.set(spec.id, made);
    return made.session;
  };

  return {
    start: async (spec) => {
      if (!cells.has(spec.id)) cells.set(spec.id, { spec, pid: ++lastPid, frozen: false, sessions: new Map() });
      return { walls: 0, network: 0 };
    },
    stop: async (id) => {
      for (const { session } of cells.get(id)?.sessions.values() ?? []) await session.end();
      cells.delete(id);
    },
    up: async (id) => cells.has(id),
    list: async () =>
      [...cells.values()].map(({ spec, frozen, pid }) => ({ id: spec.id, idBase: spec.idBase, frozen, pid })),
    freeze: async (id) => void (running(id).frozen = true),
    thaw: async (id) => void (running(id).frozen = false),
    open,
    find: async (cell, session) => {
      const found = get(cell, session);
      if (found !== undefined) found.attached = true;
      return found?.session;
    },
    sessions: async (cell) => [...(cells.get(cell)?.sessions.keys() ?? [])],
    run: async (spec, limits) => runSession(await open({ ...spec, stdin: limits.input !== undefined, log: 0 }), limits),
    processes: async (id) => {
      const cell = cells.get(id);
      return cell === undefined ? [] : processesOf(cell);
    },
    alive: async (cell, session) => get(cell, session)?.over === false,
    signalAll: async (cell, session, signal) => {
      signalNumber(signal);
      get(cell, session)?.signal(signal);
    },
    whenEmpty: (cell, session, call) => whenOver(get(cell, session), call),
    log: async (cell, session, lines) => logs.read(cell, session).slice(-lines),
    follow: (cell, session, signal, call, after) => logs.follow(cell, session, signal, call, after),
    forget: async (id) => logs.forget(id),
    ceiling: async () => {},
    close: async () => {},
  };
}

function processesOf(cell: MemoryCell): CellProcess[] {
  const init = { pid: 1, hostPid: cell.pid, user: 0, session: 'init', started: new Date(0), rss: 0, command: 'init' };
  const others = [...cell.sessions.values()]
    .filter(({ over }) => !over)
    .map(({ spec, hostPid, started }, at) => ({
      pid: at + 2,
      hostPid,
      user: spec.user === 'agent' ? 1000 : 0,
      session: spec.id,
      started: new Date(started),
      rss: 0,
      command: spec.command.join(' '),
    }));
  return [init, ...others];
}

function whenOver(session: MemorySession | undefined, call: () => void): () => void {
  if (session !== undefined && !session.over) {
    session.watchers.add(call);
    return () => session.watchers.delete(call);
  }
  const soon = setImmediate(call);
  return () => clearImmediate(soon);
}

function createMemorySession(
  spec: SessionSpec,
  cell: CellSpec,
  hostPid: number,
  started: number,
  script: Script | undefined,
  log: LogWriter | undefined,
  forget: () => void,
): MemorySession {
  const streams = { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() };
  const ended = new AbortController();
  const signals: ((name: string) => void)[] = [];
  let size = spec.terminal;
  let resolveExit: (code: number) => void = () => {};
  const exit = new Promise<number>((resolve) => (resolveExit = resolve));
  if (log !== undefined) for (const stream of [streams.stdout, streams.stderr]) stream.end();
  const write = (name: 'stdout' | 'stderr', to: Writable) => (text: string) => {
    if (made.over) return;
    if (log !== undefined) log(name, text);
    else to.write(text);
  };
  const made: MemorySession = {
    spec,
    hostPid,
    started,
    over: false,
    attached: true,
    watchers: new Set(),
    signal: (name) => {
      const waiting = signals.splice(0);
      for (const call of waiting) call(name);
      if (waiting.length === 0 || name === 'SIGKILL') made.finish(128 + signalNumber(name));
    },
    finish: (code) => {
      if (made.over) return;
      made.over = true;
      streams.stdout.end();
      streams.stderr.end();
      resolveExit(code);
      for (const call of made.watchers) call();
    },
    session: {
      id: spec.id,
      ...streams,
      exit,
      resize: (rows, columns) => void (size = { rows, columns }),
      signal: async (name) => {
        signalNumber(name);
        made.signal(name);
      },
      end: async () => {
        ended.abort();
        made.finish(137);
        forget();
      },
      detach: () => void (made.attached = false),
    },
  };
  if (!spec.stdin && spec.terminal === undefined) streams.stdin.end();
  const toStderr = spec.terminal === undefined ? streams.stderr : streams.stdout;
  const result = script?.({
    command: spec.command,
    environment: { ...cell.environment, ...spec.environment },
    cell,
    stdin: streams.stdin,
    stdout: write('stdout', streams.stdout),
    stderr: write('stderr', toStderr),
    ended: ended.signal,
    signalled: () => new Promise((resolve) => signals.push(resolve)),
    size: () => size,
  });
  if (result === undefined) write('stderr', toStderr)(`bulkhead: ${spec.command[0] ?? ''}: command not found\n`);
  (result ?? Promise.resolve(127)).then(made.finish, () => made.finish(1));
  return made;
}
