import type { Readable } from 'node:stream';
import type { AuditRecord } from '../contract/authority.ts';
import type { ProgressEvent } from '../contract/events.ts';
import type { Fields } from '../contract/fields.ts';
import type { Operation } from '../contract/operation.ts';
import type { OperationName } from '../contract/operations.ts';
import type { Caller } from '../core/caller.ts';
import type { Id } from '../core/ids.ts';
import type { MachineSize } from '../core/room.ts';
import type { Plan } from '../core/steps.ts';
import type { Cells } from '../host/cells.ts';
import type { Networks } from '../host/networks.ts';
import type { Paths } from '../host/paths.ts';
import type { Volumes } from '../host/volumes.ts';
import type { Store } from '../store/store.ts';
import type { Channel } from './cell-sockets.ts';
import type { FactorGate } from './factor-gate.ts';
import type { Locks } from './locks.ts';
import type { Log } from './log.ts';
import type { Points } from './points.ts';
import type { PoolStart } from './pool-start.ts';
import type { Reaper } from './reaper.ts';
import type { Sessions } from './sessions.ts';
import type { Supervisor } from './supervisor.ts';
import type { Target } from './target.ts';
import type { Verdict } from '../core/policy.ts';

/** Everything that a handler may use. Put together in `wire.ts`, and nowhere else. */
export interface Parts {
  paths: Paths;
  version: string;
  /** Milliseconds since 1970. */
  clock: () => number;
  started: number;
  newId: () => Id;
  random: () => number;
  log: Log;
  store: Store;
  audit: AuditLog;
  redact: (input: unknown, fields: Fields) => unknown;
  volumes: Volumes;
  cells: Cells;
  networks: Networks;
  machine: MachineSize;
  supervisor: Supervisor;
  sessions: Sessions;
  points: Points;
  reaper: Reaper;
  locks: Locks;
  poolStart: PoolStart;
  /** Milliseconds between the wish to delete something for good and its end. */
  purgeWait: number;
  /** Milliseconds that the trash keeps what was removed. */
  trashKept: number;
  factors: FactorGate;
  /** The user whom `init` enrols where it is told no other. */
  userBehind: (caller: Caller) => string;
  /** Forks in the making, with their owner's uid: they count for the quota before they have a record. */
  forking: Map<Id, number>;
  /** Streams that `content.unpack` takes its archive from, by the upload's id; gone with the daemon. */
  uploads: Map<Id, Readable>;
  /** Command that reads a proposal inside a cell. */
  cellHelper: readonly string[];
  /** Bytes of the pool that stay free for production. */
  floor: () => number;
  identify: (from: { fd: number; connected?: number } & Channel) => Promise<Caller>;
  policy: (
    operation: Operation,
    name: OperationName,
    caller: Caller,
    target: Target,
    input: Record<string, unknown>,
  ) => Verdict;
  /** Journals and executes a plan; the events are those that people want to see. */
  run: (plan: Plan, request: string, emit: (event: ProgressEvent) => void) => Promise<StepTime[]>;
  /** What the last start finished or undid. */
  recovered: string[];
}

export interface StepTime {
  step: string;
  ms: number;
}

/** The audit log, as the daemon writes it; the store gives each record its number, time and MAC. */
export interface AuditLog {
  append(entry: Omit<AuditRecord, 'seq' | 'at' | 'mac' | 'caller'> & { caller: Caller }): Promise<void>;
  read(options: { lines: number; keep: (record: AuditRecord) => boolean }): Promise<AuditRecord[]>;
  /** Calls back for each record from now on; returns its end. */
  tail(call: (record: AuditRecord) => void): () => void;
  verify(): Promise<{ intact: boolean; records: number; finding: string | null }>;
}
