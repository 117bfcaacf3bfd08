import { NO_FILE } from '../contract/app-file.ts';
import type { Id } from '../core/ids.ts';
import { STABLE, backOff, next, type CellEvent, type CellState } from '../core/lifecycle.ts';
import type { CellTimes, Cells } from '../host/cells.ts';
import type { VolumeRecord } from '../store/volumes.ts';
import type { Store } from '../store/store.ts';
import { refOf } from './cell-spec.ts';
import type { Hooks } from './hooks.ts';
import type { Keeper } from './keeper.ts';
import type { Log } from './log.ts';

/** What is known of a running cell; gone with the daemon, found again from the kernel. */
interface Life {
  state: CellState;
  note: string | null;
  /** Failed starts in a row. */
  failures: number;
  upSince: number;
  retry: NodeJS.Timeout | undefined;
  forget: (() => void) | undefined;
}

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
  clock: () => number;
  log: Log;
}

export function createSupervisor(deps: SupervisorDeps): Supervisor {
  const lives = new Map<Id, Life>();
  let changed: (record: VolumeRecord, what: string) => void = () => {};
  let closed = false;

  const life = (id: Id): Life => {
    let known = lives.get(id);
    if (known === undefined) {
      known = { state: 'down', note: null, failures: 0, upSince: 0, retry: undefined, forget: undefined };
      lives.set(id, known);
    }
    return known;
  };
  const happen = (id: Id, event: CellEvent, note: string | null = null): Life => {
    const known = life(id);
    known.state = next(known.state, event);
    known.note = note;
    return known;
  };

  /** Watches what `up` left running; when the last process ends by itself, production is started again. */
  function watch(record: VolumeRecord): void {
    const known = life(record.id);
    known.forget?.();
    known.forget = deps.cells.whenEmpty(record.id, record.id, () => died(record));
  }

  function died(record: VolumeRecord): void {
    const known = life(record.id);
    known.forget = undefined;
    if (closed || known.state !== 'up') return;
    happen(record.id, 'die', 'its processes have ended');
    deps.log.warn('processes ended', { ref: refOf(record) });
    changed(record, 'processes ended by themselves');
    if (record.kind === 'app') planRestart(record);
  }

  function planRestart(record: VolumeRecord): void {
    const known = life(record.id);
    if (deps.clock() - known.upSince > STABLE) known.failures = 0;
    const wait = backOff(known.failures);
    known.failures += 1;
    known.note = `ended ${known.failures} times in a row, next start in ${Math.round(wait / 1000)} s`;
    known.retry = setTimeout(() => {
      known.retry = undefined;
      const current = deps.store.volumes.byId(record.id);
      if (!closed && current?.wanted === 'up' && life(record.id).state === 'failed') void bringUp(current);
    }, wait);
    known.retry.unref();
  }

  /** A whole start outside any request: after a boot, and after a failure. Says how it went. */
  async function bringUp(record: VolumeRecord): Promise<string> {
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
      const why = error instanceof Error ? error.message : String(error);
      fail(record, why);
      changed(record, `could not be started: ${why}`);
      if (record.kind === 'app') planRestart(record);
      return `${ref} could not be started: ${why}`;
    }
  }

  const fileOf = (record: VolumeRecord) => deps.store.accepted.get(record.id)?.file ?? NO_FILE;
  const begin = (record: VolumeRecord): void => {
    const known = life(record.id);
    clearTimeout(known.retry);
    known.retry = undefined;
    happen(record.id, 'start');
  };
  const runUp = async (record: VolumeRecord): Promise<void> => {
    const { up, health } = fileOf(record).hooks;
    if (up !== undefined) await deps.hooks.up(record.id, refOf(record), health !== undefined);
  };
  const runHealth = async (record: VolumeRecord): Promise<void> => {
    if (fileOf(record).hooks.health !== undefined) await deps.hooks.health(record.id, refOf(record));
  };
  const ready = (record: VolumeRecord): void => {
    happen(record.id, 'ready').upSince = deps.clock();
    if (fileOf(record).hooks.up !== undefined) watch(record);
  };
  const fail = (record: VolumeRecord, why: string): void => {
    const known = life(record.id);
    known.forget?.();
    known.forget = undefined;
    happen(record.id, 'fail', why);
  };

  async function stopCell(record: VolumeRecord, hooks: boolean): Promise<void> {
    const known = happen(record.id, 'stop');
    clearTimeout(known.retry);
    known.retry = undefined;
    known.forget?.();
    known.forget = undefined;
    await deps.keeper.settled(record.id);
    if (deps.keeper.running(record.id) && hooks) await stopInOrder(record);
    await deps.keeper.end(record.id);
    happen(record.id, 'stopped');
  }

  async function stopInOrder(record: VolumeRecord): Promise<void> {
    if (fileOf(record).hooks.down !== undefined)
      await deps.hooks.once(record.id, refOf(record), 'down').catch((error: unknown) => {
        deps.log.warn('hook down failed', { ref: refOf(record), error: String(error) });
        changed(record, `hook down failed: ${error instanceof Error ? error.message : String(error)}`);
      });
    await deps.hooks.stop(record.id);
  }

  async function adopt(): Promise<void> {
    for (const cell of await deps.cells.list()) {
      const record = deps.store.volumes.byId(cell.id);
      if (record === undefined || record.state !== 'ready') {
        deps.log.warn('ending a cell without a record', { id: cell.id });
        await deps.cells.stop(cell.id);
        continue;
      }
      await deps.keeper.adopt(cell);
      if (cell.frozen) await deps.cells.thaw(cell.id);
      if (
        record.wanted === 'up' &&
        (fileOf(record).hooks.up === undefined || (await deps.cells.alive(cell.id, cell.id)))
      ) {
        begin(record);
        ready(record);
      }
    }
  }

  async function reconcile(): Promise<string[]> {
    const missing = deps.store.volumes
      .list()
      .filter((record) => record.state === 'ready' && record.wanted === 'up' && life(record.id).state !== 'up');
    const said: string[] = [];
    // Production comes first, whole: no fork starts before it stands.
    for (const kind of ['app', 'fork'] as const)
      for (const record of missing.filter((one) => one.kind === kind)) {
        if (kind === 'app' && fileOf(record).start === 'manual' && !deps.keeper.running(record.id)) continue;
        said.push(await bringUp(record));
      }
    return said;
  }

  return {
    state: (id) => ({ state: life(id).state, note: life(id).note }),
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
      for (const known of lives.values()) {
        clearTimeout(known.retry);
        known.forget?.();
      }
    },
  };
}
