import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ProgressEvent } from '../contract/events.ts';
import type { Id } from '../core/ids.ts';
import { PURGE_WAIT } from '../core/retention.ts';
import { forksCeiling, type MachineSize } from '../core/room.ts';
import type { Plan } from '../core/steps.ts';
import { createBtrfsVolumes } from '../host/btrfs/volumes.ts';
import { createRuncCells } from '../host/cells/cells.ts';
import { createNetworks } from '../host/network/networks.ts';
import type { Paths } from '../host/paths.ts';
import { redact } from '../core/redact.ts';
import { createJournal } from '../store/journal.ts';
import { openStore } from '../store/store.ts';
import { createAuditLog } from './audit-log.ts';
import { createCellSockets, type Listen } from './cell-sockets.ts';
import { refOf } from './cell-spec.ts';
import { createHooks } from './hooks.ts';
import { createIdentity } from './identity.ts';
import { createLocks } from './locks.ts';
import type { Log } from './log.ts';
import { HANDLERS } from './operations/table.ts';
import type { Parts, StepTime } from './parts.ts';
import { createKeeper } from './keeper.ts';
import { createPipeline } from './pipeline.ts';
import { createPoints } from './points.ts';
import { createPoolStart } from './pool-start.ts';
import { openSocket } from './public-socket.ts';
import { createReaper } from './reaper.ts';
import { createRunner, type Runner, type RunnerDeps } from './journal-runner.ts';
import { createDaemonServer } from './server.ts';
import { noteEvent } from './service.ts';
import { createSessions } from './sessions.ts';
import { createSlots } from './slots.ts';
import { createExecutors } from './steps.ts';
import { createSupervisor } from './supervisor.ts';
import { VERSION } from './version.ts';

export interface Options {
  paths: Paths;
  clock: () => number;
  log: Log;
  newId: () => Id;
  random: () => number;
  machine: MachineSize;
  program: { node: string; bundle: string };
  environment: Readonly<Record<string, string | undefined>>;
}

export interface Daemon {
  /** Opens the sockets. */
  listen(): Promise<void>;
  /** Adopts what runs, and starts what is wanted. */
  reconcile(): Promise<void>;
  reload(): Promise<void>;
  /** Stops answering. Cells, their services and sessions go on. */
  stop(): Promise<void>;
}

/** The one place where the parts are put together. */
export async function assemble(options: Options): Promise<Daemon> {
  const { paths, clock, log, newId } = options;
  const store = await openStore(paths, { clock });
  const volumes = createBtrfsVolumes({ paths });
  const networks = createNetworks({ paths });
  const cells = createRuncCells({ paths, networks, program: options.program });
  const slots = await createSlots(paths.run);
  const holder: { parts?: Parts; listen?: Listen } = {};
  const parts = (): Parts => {
    if (holder.parts === undefined) throw new Error('the parts are not put together yet');
    return holder.parts;
  };
  const sockets = createCellSockets({ paths, listen: () => holder.listen as Listen });
  const hooks = createHooks({ cells, newId });
  const keeper = createKeeper({ store, cells, volumes, slots, sockets, machine: options.machine, paths });
  const locks = createLocks();
  const supervisor = createSupervisor({ store, cells, keeper, hooks, locks, clock, log });
  const killAt = killPoint(options);
  const runner = createRunner({
    journal: createJournal(store.db),
    executors: createExecutors(parts),
    clock,
    log,
    ...(killAt === undefined ? {} : { killAt }),
  });
  const working = new Set<Promise<unknown>>();
  const forking = new Map<Id, number>();
  const identity = createIdentity({
    store,
    forking,
    clock,
    program: { node: options.program.node, script: path.join(options.program.bundle, 'bulkhead.cjs') },
    enrolledOne: () => openSocket(paths.socket, store.factors.uids()),
  });
  const reaper = createReaper(parts, {
    every: testNumber(options, 'BULKHEAD_REAPER_EVERY') ?? 2000,
    notice: testNumber(options, 'BULKHEAD_REAPER_NOTICE') ?? 60_000,
  });
  holder.parts = {
    paths,
    version: VERSION,
    clock,
    started: clock(),
    newId,
    random: options.random,
    log,
    store,
    audit: createAuditLog(store.auditFile),
    redact,
    volumes,
    cells,
    networks,
    machine: options.machine,
    supervisor,
    sessions: createSessions({ cells, store, newId, clock, log }),
    points: createPoints(parts),
    reaper,
    locks,
    poolStart: createPoolStart(parts, runner),
    purgeWait: testNumber(options, 'BULKHEAD_PURGE_WAIT') ?? PURGE_WAIT,
    factors: identity.factors,
    userBehind: identity.userBehind,
    forking,
    uploads: new Map(),
    cellHelper: ['/opt/bulkhead/node', '/opt/bulkhead/dist/cell-helper.cjs'],
    floor: () => Number(store.meta.get('floor') ?? 0),
    identify: identity.identify,
    policy: identity.policy,
    run(plan, request, emit) {
      const work = runPlan(runner, plan, request, emit);
      working.add(work);
      return work.finally(() => working.delete(work));
    },
    recovered: [...store.auditFile.mended],
  };

  // Without one of these the daemon still answers, so that `doctor` can say what is missing.
  await attempt(log, 'networks', () => networks.prepare());
  // Forks share a parent with a ceiling: production has what is above it.
  await attempt(log, 'ceiling', () => cells.ceiling(forksCeiling(options.machine)));
  const usable = await parts().poolStart.take();
  const pipeline = createPipeline(parts(), HANDLERS);
  const server = createDaemonServer(pipeline);
  holder.listen = server.listen;
  supervisor.onChange((record, what) => {
    void noteEvent(parts(), { by: 'supervisor', operation: 'cell.watch', target: refOf(record), outcome: what });
  });
  const openToPersons = () => attempt(log, 'socket', () => openSocket(paths.socket, store.factors.uids()));
  const startWanted = async (): Promise<void> => {
    for (const said of await supervisor.reconcile()) log.info('reconciled', { what: said });
  };
  return {
    async listen() {
      await server.listen(paths.socket, { channel: 'local' });
      await openToPersons();
    },
    async reconcile() {
      await attempt(log, 'cells', () => supervisor.adopt());
      await attempt(log, 'sessions', () => parts().sessions.adopt());
      reaper.start();
      if (usable) await startWanted();
    },
    async reload() {
      await openToPersons();
      if (await parts().poolStart.take()) await startWanted();
      await reaper.round();
    },
    async stop() {
      reaper.stop();
      supervisor.close();
      parts().sessions.detachAll();
      await server.close();
      // What is under way may come to its end; what does not is the next start's.
      await Promise.race([Promise.allSettled([...working]), delay(STOP_WAIT, undefined, { ref: false })]);
      identity.signIns.close();
      await store.close();
    },
  };
}

/** Milliseconds that a stop waits for the plans that are under way. */
const STOP_WAIT = 3000;

async function attempt(log: Log, what: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    log.error('cannot do without, going on', { what, error: error instanceof Error ? error.message : String(error) });
  }
}

/** Steps that people want to see: records and manifests are too quick to tell. */
const QUIET = /^(?:record|manifest)\./;

async function runPlan(
  runner: Runner,
  plan: Plan,
  request: string,
  emit: (event: ProgressEvent) => void,
): Promise<StepTime[]> {
  const times: StepTime[] = [];
  await runner.run(plan, request, (event) => {
    if (event.type === 'step' && event.state === 'done') times.push({ step: event.key, ms: event.ms ?? 0 });
    if (event.type !== 'step' || !QUIET.test(event.key)) emit(event);
  });
  return times;
}

/** Kill tests write one journalled point into a file, and the daemon dies there by its own hand. */
function killPoint({ paths, environment }: Options): RunnerDeps['killAt'] {
  if (environment['BULKHEAD_TEST'] !== '1') return undefined;
  const file = path.join(paths.run, 'kill-at');
  return (point) => {
    const wanted = existsSync(file) ? readFileSync(file, 'utf8') : '';
    if (wanted === `${point.operation}:${point.step}:${point.when}`) process.kill(process.pid, 'SIGKILL');
  };
}

/** Times that tests shorten. Milliseconds; undefined: as usual. */
function testNumber({ environment }: Options, name: string): number | undefined {
  const value = environment['BULKHEAD_TEST'] === '1' ? environment[name] : undefined;
  return value === undefined ? undefined : Number(value);
}
