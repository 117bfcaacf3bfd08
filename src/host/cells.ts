import type { Readable, Writable } from 'node:stream';
import type { Id } from '../core/ids.ts';

/**
 * The port to the kernel walls. A *cell* runs one app or fork; its processes are
 * *sessions*, each with a supervisor and a cgroup of its own, so that log, exit
 * code and end do not depend on the daemon.
 *
 * The real one is `cells/` (runc and conmon), the twin `memory/cells.ts`; both pass `cells.suite.ts`.
 */
export interface Cells {
  /** Starts the walls and process 1, network included; nothing of the app runs yet. Repeating it is a success. */
  start(spec: CellSpec): Promise<CellTimes>;
  /** Ends every process of the cell, then takes away mounts, cgroups and network. Nothing left is a success. */
  stop(id: Id): Promise<void>;
  /** True while its walls stand: its process 1 may have been ended from outside. */
  up(id: Id): Promise<boolean>;
  /** The cells that exist, those of an earlier daemon included. */
  list(): Promise<RunningCell[]>;
  /** Stops all its processes from running, without ending them; and the reverse. */
  freeze(id: Id): Promise<void>;
  thaw(id: Id): Promise<void>;

  /** Starts a session. It lives until its command ends, `end` is called, or the cell stops. */
  open(spec: SessionSpec): Promise<Session>;
  /** A session that exists, of this daemon or an earlier one; undefined when it is gone. */
  find(cell: Id, session: Id): Promise<Session | undefined>;
  sessions(cell: Id): Promise<Id[]>;
  /** Runs a short helper with bounded output and a deadline; for reading a cell's files, never by root outside. */
  run(spec: SessionSpec, limits: RunLimits): Promise<RunResult>;
  /** Processes by session, from the kernel's lists. */
  processes(cell: Id): Promise<CellProcess[]>;
  /** True while any process of the session lives, also one that left its parent. */
  alive(cell: Id, session: Id): Promise<boolean>;
  /** Sends a signal to every process of a session, newest first, racing no reused number. */
  signalAll(cell: Id, session: Id, signal: string): Promise<void>;
  /** Called once when the last process of the session has ended. Returns an unsubscribe. */
  whenEmpty(cell: Id, session: Id, call: () => void): () => void;
  /** Bounded tail of a session's log, oldest first. */
  log(cell: Id, session: Id, lines: number): Promise<LogLine[]>;
  /**
   * Follows the log until the signal aborts: from now on, or from after the line that was written at `after`.
   * The next lines come once the call with these has been dealt with.
   */
  follow(cell: Id, session: Id, signal: AbortSignal, call: FollowLog, after?: string): Promise<void>;
  /** Removes the logs of a cell that will not come back. Nothing left is a success. */
  forget(id: Id): Promise<void>;
  /** What all forks together may use at the most; bytes and processors. */
  ceiling(limits: { memory?: number; cpus?: number }): Promise<void>;
  /** Lets go of everything that keeps this process busy; cells and sessions go on. Where there are none, nothing stays. */
  close(): Promise<void>;
}

export interface CellSpec {
  id: Id;
  role: 'production' | 'fork';
  /** Host name inside, and in messages: `shop`, `shop-fix`. */
  name: string;
  /** Where `/app` comes from: `Volumes.mountSource`. */
  source: string;
  /** First of its 65,536 host ids. */
  idBase: number;
  limits: CellLimits;
  network: CellNetwork;
  /** Directories of the machine that a person accepted, read-only: `/opt/node24`. */
  paths: readonly string[];
  /** Directory with the cell's socket, bound read-only at /run/bulkhead. */
  socketDir: string;
  /** Hooks by the content that was accepted: file name → content, read-only at /run/bulkhead-hooks. */
  hooks: Readonly<Record<string, string>>;
  /** Set for every session: BULKHEAD_REF, BULKHEAD_ID, BULKHEAD_ROLE, BULKHEAD_PARENT. */
  environment: Readonly<Record<string, string>>;
}

export interface CellLimits {
  /** Bytes. */
  memory: number;
  /** Processors, 0.5 is half of one. */
  cpus: number;
  pids: number;
}

/**
 * `none`: ends in the gateway's namespace, where everything is refused at once.
 * `out`: production's way out (pasta behind its fence), and its ports.
 */
export type CellNetwork =
  | { kind: 'none' }
  | { kind: 'out'; ports: readonly { host: number; cell: number; address?: string }[] };

/** Milliseconds of the parts of a start. */
export interface CellTimes {
  walls: number;
  network: number;
}

export interface RunningCell {
  id: Id;
  idBase: number;
  frozen: boolean;
  /** Process 1, as the machine sees it. */
  pid: number;
}

export interface SessionSpec {
  cell: Id;
  id: Id;
  command: readonly string[];
  directory?: string;
  environment?: Readonly<Record<string, string>>;
  /** `agent` (uid 1000, no capability at all) or `root` of the cell (unpacking only). */
  user: 'agent' | 'root';
  stdin: boolean;
  terminal?: { rows: number; columns: number };
  /**
   * Bytes of its log that are kept at the most; 0: no log. A session with a log
   * has no streams, so that a service never waits for the daemon to read: `stdin`
   * is refused, `stdout` and `stderr` end at once.
   */
  log: number;
}

export interface Session {
  id: Id;
  stdin: Writable;
  /** A terminal's whole output comes here. */
  stdout: Readable;
  stderr: Readable;
  /** Exit code of the command, 128 + N after signal N; resolves once, also for a session of an earlier daemon. */
  exit: Promise<number>;
  resize(rows: number, columns: number): void;
  /** To the command's foreground, by name: `SIGINT`. */
  signal(name: string): Promise<void>;
  /** Ends every process of it at once (`cgroup.kill`), and forgets its files. */
  end(): Promise<void>;
  /** Stops reading, leaves it running: the daemon stops, the session goes on. */
  detach(): void;
}

export interface RunLimits {
  /** Milliseconds. */
  deadline: number;
  /** Bytes of stdout and stderr each. */
  output: number;
  input?: Readable | Uint8Array;
}

export interface RunResult {
  code: number;
  stdout: Buffer;
  stderr: Buffer;
  /** What ended it, when it was not the command itself; `input`: it broke off. */
  cut?: 'deadline' | 'output' | 'input';
}

export interface CellProcess {
  /** Inside the cell, and on the machine. */
  pid: number;
  hostPid: number;
  user: number;
  session: string;
  started: Date;
  rss: number;
  command: string;
}

export type FollowLog = (lines: readonly LogLine[]) => Promise<void> | void;

export interface LogLine {
  at: string;
  stream: 'stdout' | 'stderr';
  text: string;
}
