import path from 'node:path';
import type { Id } from '../../core/ids.ts';
import type { Cells } from '../cells.ts';
import type { Networks } from '../networks.ts';
import type { Paths } from '../paths.ts';
import { createAttacher, type Attacher } from './attach.ts';
import { createCgroups } from './cgroups.ts';
import { createLifecycle } from './lifecycle.ts';
import { followLog, removeLogs, tailLog } from './logs.ts';
import { placesOf } from './places.ts';
import { listProcesses, signalGroup } from './processes.ts';
import { readRecord } from './record.ts';
import { runSession } from './run.ts';
import { createSessions } from './sessions.ts';

/** What real cells need. */
export interface RuncCellsDeps {
  paths: Paths;
  networks: Networks;
  /** Our own programs, shown in every cell: the Node that runs us, and the directory of the bundles. */
  program: { node: string; bundle: string };
  /** File of the thread that carries the sessions' bytes; beside the bundles if absent. */
  attachWorker?: string | URL;
}

/** Cells by runc and conmon. */
export function createRuncCells(deps: RuncCellsDeps): Cells {
  const places = placesOf(deps.paths);
  const cgroups = createCgroups();
  const lifecycle = createLifecycle({ ...deps, places, cgroups });
  const { groupOf } = lifecycle;
  const queue = createQueue();

  let thread: Attacher | undefined;
  const worker = deps.attachWorker ?? path.join(deps.program.bundle, 'attach-worker.cjs');
  const attacher = (): Attacher => (thread ??= createAttacher(worker, () => (thread = undefined)));
  const sessions = createSessions({ places, cgroups, attacher, running: lifecycle.running, groupOf });
  const groupOfSession = (cell: Id, session: Id): string | undefined => {
    const group = groupOf(cell);
    return group === undefined ? undefined : path.join(group, session);
  };

  /** Once, at the first look at what is there. */
  let reconciled: Promise<unknown> | undefined;

  return {
    start: (spec) => {
      // Ready by the time that the first session wants it.
      attacher();
      return queue(spec.id, () => lifecycle.start(spec));
    },
    stop: (id) =>
      queue(id, async () => {
        await lifecycle.stop(id);
        sessions.forget(id);
      }),
    up: (id) =>
      lifecycle.running(id).then(
        () => true,
        () => false,
      ),
    list: async () => {
      const running = await lifecycle.list();
      reconciled ??= Promise.all(running.map(({ id }) => sessions.endHelpers(id)));
      await reconciled;
      return running;
    },
    freeze: async (id) => cgroups.freeze((await lifecycle.running(id)).cgroup, true),
    thaw: async (id) => cgroups.freeze((await lifecycle.running(id)).cgroup, false),
    open: (spec) => sessions.open(spec),
    find: sessions.find,
    sessions: async (cell) => sessions.list(cell),
    run: async (spec, limits) =>
      runSession(await sessions.open({ ...spec, stdin: limits.input !== undefined, log: 0 }, true), limits),
    processes: async (cell) => {
      const record = await readRecord(places, cell);
      return record === undefined ? [] : listProcesses(cgroups, record.cgroup, record.idBase);
    },
    alive: async (cell, session) => {
      const group = groupOfSession(cell, session);
      return group !== undefined && cgroups.populated(group);
    },
    signalAll: async (cell, session, signal) => {
      const group = groupOfSession(cell, session);
      if (group !== undefined) signalGroup(cgroups, group, signal);
    },
    whenEmpty: (cell, session, call) =>
      cgroups.whenEmpty(groupOfSession(cell, session) ?? `${deps.paths.cgroup}/${cell}`, call),
    log: async (cell, session, lines) => tailLog(places.log(cell, session), lines),
    follow: (cell, session, signal, call, after) => followLog(places.log(cell, session), signal, call, after),
    forget: (id) => removeLogs(places.logs(id)),
    ceiling: (limits) => lifecycle.ceiling(limits),
    close: async () => {
      thread?.quit();
      lifecycle.tidy();
    },
  };
}

/** Calls with the same key run one after the other. */
function createQueue(): <T>(key: string, work: () => Promise<T>) => Promise<T> {
  const tails = new Map<string, Promise<unknown>>();
  return async (key, work) => {
    const turn = (tails.get(key) ?? Promise.resolve()).then(work, work);
    const tail = turn.catch(() => {});
    tails.set(key, tail);
    try {
      return await turn;
    } finally {
      if (tails.get(key) === tail) tails.delete(key);
    }
  };
}
