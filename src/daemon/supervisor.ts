import { NO_FILE } from '../contract/app-file.ts';
import type { Id } from '../core/ids.ts';
import { STABLE, backOff, type CellState } from '../core/lifecycle.ts';
import type { CellTimes, Cells, RunningCell } from '../host/cells.ts';
import type { VolumeRecord } from '../store/volumes.ts';
import type { Store } from '../store/store.ts';
import { refOf } from './cell-spec.ts';
import type { Hooks } from './hooks.ts';
import type { Keeper } from './keeper.ts';
import { createLives } from './lives.ts';
import type { Locks } from './locks.ts';
import type { Log } from './log.ts';

/** Keeps cells as they are wanted: starts, watches, restarts production with back-off, stops. */
export interface Supervisor {
  state(id: Id): { state: CellState; note: string | null };
  running(id: Id): boolean;
  /** Makes the cell where it does not exist; nothing of the app starts. */
  ensureCell(record: VolumeRecord): Promise<CellTimes | undefined>;
  /** The steps of a start, each by itself: the plan of `up` calls them in order. */
  begin(record: VolumeRecord): void;
  runUp(record: VolumeRecord): Promise<void>;
  runHealth(record: VolumeRecord): Promise<void>;
  /** `down`, `prepare` or `cleanup`, to its end. */
  runOnce(record: VolumeRecord, hook: 'down' | 'prepare' | 'cleanup'): Promise<void>;
  ready(record: VolumeRecord): void;
  /** A start failed. Production that is wanted up is started again after a while. */
  fail(record: VolumeRecord, why: string): void;
  /** Ends the cell, its hooks first where `hooks` says so. */
  stopCell(record: VolumeRecord, hooks: boolean): Promise<void>;
  /** After a start of the daemon: takes over the cells that live on, and ends those without a record. */
  adopt(): Promise<void>;
  /** Starts what is wanted and does not run, production before any fork. Says how it went. */
  reconcile(): Promise<string[]>;
  /** Called when a cell's processes end by themselves, and when they are back. */
  onChange(call: (record: VolumeRecord, what: string) => void): void;
  /** Ends timers and watches; cells go on. */
  close(): void;
}

export interface SupervisorDeps {
  store: Store;
  cells: Cells;
  keeper: Keeper;
  hooks: Hooks;
  locks: Locks;
  clock: () => number;
  log: Log;
}

/** Milliseconds that a start by itself waits for an operation that holds the app or fork. */
const PATIENCE = 30_000;

export function createSupervisor(deps: SupervisorDeps): Supervisor {
  const lives = createLives();
  let changed: (record: VolumeRecord, what: string) => void = () => {};
  let closed = false;

  /** Watches what `up` left running; when the last process ends by itself, production is started again. */
  function watch({ id }: VolumeRecord): void {
    const known = lives.get(id);
    known.forget?.();
    known.forget = deps.cells.whenEmpty(id, id, () => died(id));
  }

  function died(id: Id): void {
    const known = lives.get(id);
    known.forget = undefined;
    const record = deps.store.volumes.byId(id);
    if (closed || known.state !== 'up' || record === undefined) return;
    if (deps.clock() - known.upSince > STABLE) known.failures = 0;
    const what = 'its processes have ended';
    lives.happen(id, 'die', what);
    deps.log.warn('processes ended', { ref: refOf(record) });
    changed(record, 'processes ended by themselves');
    if (record.kind === 'app') planRestart(id, what);
  }

  function planRestart(id: Id, what: string): void {
    const known = lives.get(id);
    clearTimeout(known.retry);
    const wait = backOff(known.failures);
    known.failures += 1;
    const times = known.failures > 1 ? ` (${known.failures} times in a row)` : '';
    known.note = `${what}${times}; next start in ${Math.round(wait / 1000)} s`;
    known.retry = setTimeout(() => void bringUp(id), wait).unref();
  }

  /** The record where it is wanted up, and nothing of it is up or on its way. */
  function missing(id: Id): VolumeRecord | undefined {
    const record = deps.store.volumes.byId(id);
    const { state } = lives.state(id);
    const idle = state === 'down' || state === 'failed';
    return !closed && record?.state === 'ready' && record.wanted === 'up' && idle ? record : undefined;
  }

  /** A whole start outside any request: after a boot, and after a failure. Says how it went; undefined: there was no need. */
  async function bringUp(id: Id): Promise<string | undefined> {
    const seen = missing(id);
    if (seen === undefined) return undefined;
    const start = async (): Promise<string | undefined> => {
      const record = missing(id);
      return record === undefined ? undefined : startNow(record);
    };
    return deps.locks.hold([refOf(seen)], start, { wait: PATIENCE }).catch((error: unknown) => {
      if (seen.kind === 'app' && missing(id) !== undefined) planRestart(id, messageOf(error));
      return `${refOf(seen)} was not started: ${messageOf(error)}`;
    });
  }

  async function startNow(record: VolumeRecord): Promise<string> {
    const ref = refOf(record);
    begin(record);
    try {
      await deps.keeper.ensure(record);
      await runUp(record);
      await runHealth(record);
      ready(record);
      changed(record, 'up again');
      return `${ref} is up`;
    } catch (error) {
      const why = messageOf(error);
      deps.log.warn('could not be started', { ref, error: why });
      // What was started and is not healthy is in the way of the next start; people's sessions are not.
      if (deps.keeper.running(record.id)) await deps.hooks.stop(record.id).catch(() => {});
      fail(record, why);
      changed(record, `could not be started: ${why}`);
      return `${ref} could not be started: ${why}`;
    }
  }

  const fileOf = (record: VolumeRecord) => deps.store.accepted.get(record.id)?.file ?? NO_FILE;
  const begin = ({ id }: VolumeRecord): void => {
    lives.calm(id);
    lives.happen(id, 'start');
  };
  const runUp = async (record: VolumeRecord): Promise<void> => {
    const { up, health } = fileOf(record).hooks;
    if (up !== undefined) await deps.hooks.up(record.id, refOf(record), health !== undefined);
  };
  const runHealth = async (record: VolumeRecord): Promise<void> => {
    if (fileOf(record).hooks.health !== undefined) await deps.hooks.health(record.id, refOf(record));
  };
  const ready = (record: VolumeRecord): void => {
    lives.happen(record.id, 'ready').upSince = deps.clock();
    if (fileOf(record).hooks.up !== undefined) watch(record);
  };
  const fail = ({ id, kind }: VolumeRecord, why: string): void => {
    lives.calm(id);
    const again = kind === 'app' && !closed && deps.store.volumes.byId(id)?.wanted === 'up';
    // The plan has taken it down again: it has failed all the same where it is wanted up.
    if (again && lives.state(id).state === 'down') lives.happen(id, 'start');
    lives.happen(id, 'fail', why);
    if (again) planRestart(id, why);
  };

  async function stopCell(record: VolumeRecord, hooks: boolean): Promise<void> {
    const { id } = record;
    lives.calm(id);
    lives.happen(id, 'stop');
    try {
      await deps.keeper.settled(id);
      if (deps.keeper.running(id) && hooks) await stopInOrder(record);
      await deps.keeper.end(id);
    } catch (error) {
      lives.happen(id, 'fail', `it could not be stopped: ${messageOf(error)}`);
      throw error;
    }
    lives.drop(id);
  }

  async function stopInOrder(record: VolumeRecord): Promise<void> {
    if (fileOf(record).hooks.down !== undefined)
      await deps.hooks.once(record.id, refOf(record), 'down').catch((error: unknown) => {
        deps.log.warn('hook down failed', { ref: refOf(record), error: String(error) });
        changed(record, `hook down failed: ${error instanceof Error ? error.message : String(error)}`);
      });
    await deps.hooks.stop(record.id);
  }

  async function adoptOne(cell: RunningCell): Promise<void> {
    const record = deps.store.volumes.byId(cell.id);
    if (record === undefined || record.state !== 'ready') {
      deps.log.warn('ending a cell without a record', { id: cell.id });
      return deps.cells.stop(cell.id);
    }
    await deps.keeper.adopt(cell);
    if (cell.frozen) await deps.cells.thaw(cell.id);
    const { up } = fileOf(record).hooks;
    if (record.wanted !== 'up' || (up !== undefined && !(await deps.cells.alive(cell.id, cell.id)))) return;
    begin(record);
    ready(record);
  }

  async function adopt(): Promise<void> {
    for (const cell of await deps.cells.list())
      await adoptOne(cell).catch((error: unknown) =>
        deps.log.error('could not take over a cell', { id: cell.id, error: messageOf(error) }),
      );
  }

  async function reconcile(): Promise<string[]> {
    const said: (string | undefined)[] = [];
    // Production comes first, whole: no fork starts before it stands.
    for (const kind of ['app', 'fork'] as const)
      for (const record of deps.store.volumes.list().filter((one) => one.kind === kind)) {
        if (kind === 'app' && fileOf(record).start === 'manual' && !deps.keeper.running(record.id)) continue;
        said.push(await bringUp(record.id));
      }
    return said.filter((sentence) => sentence !== undefined);
  }

  return {
    state: (id) => lives.state(id),
    running: (id) => deps.keeper.running(id),
    ensureCell: (record) => deps.keeper.ensure(record),
    begin,
    runUp,
    runHealth,
    runOnce: (record, hook) => deps.hooks.once(record.id, refOf(record), hook),
    ready,
    fail,
    stopCell,
    adopt,
    reconcile,
    onChange: (call) => void (changed = call),
    close() {
      closed = true;
      for (const id of lives.ids()) lives.calm(id);
    },
  };
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
