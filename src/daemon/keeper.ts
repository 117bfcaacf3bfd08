import { NO_FILE } from '../contract/app-file.ts';
import { AppError } from '../contract/errors.ts';
import type { Id } from '../core/ids.ts';
import type { MachineSize } from '../core/room.ts';
import type { CellTimes, Cells, RunningCell } from '../host/cells.ts';
import { removeDirectory } from '../host/directories.ts';
import type { Paths } from '../host/paths.ts';
import type { Volumes } from '../host/volumes.ts';
import type { Store } from '../store/store.ts';
import type { VolumeRecord } from '../store/volumes.ts';
import type { CellSockets } from './cell-sockets.ts';
import { cellSpec, refOf, socketDirectory } from './cell-spec.ts';
import type { Slots } from './slots.ts';

/** Makes and ends cells with what belongs to each: a range of ids, a socket of its own. Knows nothing of their hooks. */
export interface Keeper {
  running(id: Id): boolean;
  /** Makes the cell where it does not exist; several that ask at once get the same one. Undefined: it was there. */
  ensure(record: VolumeRecord): Promise<CellTimes | undefined>;
  /** Ends the cell. None there is a success. */
  end(id: Id): Promise<void>;
  /** Takes over a cell of an earlier daemon. */
  adopt(cell: RunningCell): Promise<void>;
  /** Resolves once a start that is under way has ended, well or not. */
  settled(id: Id): Promise<void>;
}

export interface KeeperDeps {
  store: Store;
  cells: Cells;
  volumes: Volumes;
  slots: Slots;
  sockets: CellSockets;
  machine: MachineSize;
  paths: Paths;
}

export function createKeeper(deps: KeeperDeps): Keeper {
  const { cells, slots, sockets, paths } = deps;
  /** Slots of the cells that run. */
  const taken = new Map<Id, number>();
  const starting = new Map<Id, Promise<CellTimes | undefined>>();

  async function start(record: VolumeRecord): Promise<CellTimes | undefined> {
    if (taken.has(record.id)) {
      if (await cells.up(record.id)) return undefined;
      // Its process 1 was ended from outside: what is left of it is in the way.
      await end(record.id);
    }
    if (!(await deps.volumes.has({ area: 'live', id: record.id }))) throw contentMissing(record);
    const slot = await slots.allocate();
    try {
      const accepted = deps.store.accepted.get(record.id);
      const spec = cellSpec({
        record,
        file: accepted?.file ?? NO_FILE,
        hooks: accepted?.hooks ?? {},
        idBase: slots.idBase(slot),
        source: deps.volumes.mountSource(record.id),
        machine: deps.machine,
        paths,
      });
      await sockets.open(record.id, spec.idBase);
      const times = await cells.start(spec);
      taken.set(record.id, slot);
      return times;
    } catch (error) {
      await cells.stop(record.id).catch(() => {});
      await sockets.close(record.id);
      slots.release(slot);
      throw error;
    }
  }

  async function end(id: Id): Promise<void> {
    await cells.stop(id);
    await sockets.close(id);
    await removeDirectory(paths, socketDirectory(paths, id));
    const slot = taken.get(id);
    taken.delete(id);
    if (slot !== undefined) slots.release(slot);
  }

  return {
    running: (id) => taken.has(id),
    ensure(record) {
      const pending = starting.get(record.id);
      if (pending !== undefined) return pending;
      const started = start(record).finally(() => starting.delete(record.id));
      starting.set(record.id, started);
      return started;
    },
    end,
    async adopt(cell) {
      const slot = slots.slotOf(cell.idBase);
      slots.adopt(slot);
      taken.set(cell.id, slot);
      await sockets.open(cell.id, cell.idBase);
    },
    settled: async (id) => {
      await starting.get(id)?.catch(() => {});
    },
  };
}

function contentMissing(record: VolumeRecord): AppError {
  const ref = refOf(record);
  const fork = [`bulkhead reset ${ref}`, `bulkhead rm ${ref}`];
  const app = [`bulkhead points ${ref}`, `bulkhead fork ${ref}:look --from POINT`, 'bulkhead doctor'];
  return new AppError('not-found', `The content of ${ref} is missing from the pool`, {
    why: 'Its record is there, and what it held is not: it was taken away past the daemon.',
    next: record.kind === 'fork' ? fork : app,
  });
}
