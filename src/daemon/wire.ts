import type { ProgressEvent } from '../contract/events.ts';
import type { Id } from '../core/ids.ts';
import { redact } from '../core/redact.ts';
import { PURGE_WAIT, TRASH_KEPT } from '../core/retention.ts';
import type { MachineSize } from '../core/room.ts';
import type { Plan } from '../core/steps.ts';
import type { Cells } from '../host/cells.ts';
import type { Networks } from '../host/networks.ts';
import type { Paths } from '../host/paths.ts';
import type { Volumes } from '../host/volumes.ts';
import { createJournal } from '../store/journal.ts';
import type { Store } from '../store/store.ts';
import { createAuditLog } from './audit-log.ts';
import { createCellSockets } from './cell-sockets.ts';
import { refOf } from './cell-spec.ts';
import { createHooks } from './hooks.ts';
import type { Identity } from './identity.ts';
import { createRunner, type Runner, type RunnerDeps } from './journal-runner.ts';
import { createKeeper } from './keeper.ts';
import { createLimiter } from './limits.ts';
import { createLocks } from './locks.ts';
import type { Log } from './log.ts';
import { HANDLERS } from './operations/table.ts';
import type { Parts, StepTime } from './parts.ts';
import { createPipeline, type Pipeline } from './pipeline.ts';
import { createPoints } from './points.ts';
import { createPoolStart } from './pool-start.ts';
import { createReaper, type ReaperTimes } from './reaper.ts';
import { createRecordBudget } from './record-budget.ts';
import { createDaemonServer, type DaemonServer } from './server.ts';
import { noteEvent } from './service.ts';
import { createSessions } from './sessions.ts';
import { poolRoom } from './shared.ts';
import type { Slots } from './slots.ts';
import { createExecutors } from './steps.ts';
import { createSupervisor } from './supervisor.ts';
import { VERSION } from './version.ts';

/** What the daemon is made on: a real machine's, or its twins in memory. */
export interface Ground {
  paths: Paths;
  /** Milliseconds since 1970. */
  clock: () => number;
  log: Log;
  newId: () => Id;
  random: () => number;
  machine: MachineSize;
  store: Store;
  volumes: Volumes;
  cells: Cells;
  networks: Networks;
  slots: Slots;
  identity: Identity;
  forking: Parts['forking'];
  times: ReaperTimes & { purgeWait?: number | undefined; trashKept?: number | undefined };
  killAt?: RunnerDeps['killAt'] | undefined;
  /** Between the tries of a step; tests do not wait. */
  pause?: RunnerDeps['pause'];
}

export interface Wired {
  parts: Parts;
  pipeline: Pipeline;
  server: DaemonServer;
  /** Resolves when no plan is under way. */
  settled(): Promise<unknown>;
}

/** The one place where the parts are put together. Nothing is started. */
export function wire(ground: Ground): Wired {
  const { paths, clock, log, newId, store, volumes, cells, networks, identity, killAt } = ground;
  const holder: { parts?: Parts; server?: DaemonServer } = {};
  const parts = (): Parts => holder.parts ?? early();
  const sockets = createCellSockets({ paths, listen: () => (holder.server ?? early()).listen });
  const hooks = createHooks({ cells, newId });
  const keeper = createKeeper({ ...ground, sockets });
  const locks = createLocks();
  const supervisor = createSupervisor({ store, cells, keeper, hooks, locks, clock, log });
  const journal = createJournal(store.db);
  const executors = createExecutors(parts);
  const runner = createRunner({
    journal,
    executors,
    clock,
    log,
    ...(killAt === undefined ? {} : { killAt }),
    ...(ground.pause === undefined ? {} : { pause: ground.pause }),
  });
  const working = new Set<Promise<unknown>>();
  const budget = createRecordBudget(clock, (uid) => {
    const outcome = 'asks more than is recorded of one user: what is over is refused, and not recorded';
    void noteEvent(parts(), { by: 'limits', operation: 'audit.limit', target: `uid ${uid}`, outcome });
  });
  holder.parts = {
    paths,
    version: VERSION,
    clock,
    started: clock(),
    newId,
    random: ground.random,
    log,
    store,
    audit: createAuditLog(store.auditFile, budget),
    redact,
    volumes,
    cells,
    networks,
    machine: ground.machine,
    supervisor,
    sessions: createSessions({ cells, store, newId, clock, log }),
    points: createPoints(parts),
    reaper: createReaper(parts, ground.times),
    locks,
    poolStart: createPoolStart(parts, runner),
    purgeWait: ground.times.purgeWait ?? PURGE_WAIT,
    trashKept: ground.times.trashKept ?? TRASH_KEPT,
    factors: identity.factors,
    userBehind: identity.userBehind,
    forking: ground.forking,
    uploads: new Map(),
    cellHelper: ['/opt/bulkhead/node', '/opt/bulkhead/dist/cell-helper.cjs'],
    floor: () => Number(store.meta.get('floor') ?? 0),
    identify: identity.identify,
    policy: identity.policy,
    run(plan, request, emit) {
      const work = runPlan({ runner, parts: parts() }, plan, request, emit);
      working.add(work);
      return work.finally(() => working.delete(work));
    },
    recovered: [...store.auditFile.mended],
  };
  supervisor.onChange((record, what) => {
    void noteEvent(parts(), { by: 'supervisor', operation: 'cell.watch', target: refOf(record), outcome: what });
  });
  const pipeline = createPipeline(holder.parts, HANDLERS);
  holder.server = createDaemonServer(pipeline, createLimiter(budget));
  return { parts: holder.parts, pipeline, server: holder.server, settled: () => Promise.allSettled(working) };
}

function early(): never {
  throw new Error('the parts are not put together yet');
}

/** Steps that people want to see: records and manifests are too quick to tell. */
const QUIET = /^(?:record|manifest)\./;

/** Steps that nothing can do, nor take back, without the pool. */
const ON_POOL = /^(?:volume|manifest|content)\.|^cell\.start$/;

async function runPlan(
  { runner, parts }: { runner: Runner; parts: Parts },
  plan: Plan,
  request: string,
  emit: (event: ProgressEvent) => void,
): Promise<StepTime[]> {
  const times: StepTime[] = [];
  if (plan.steps.some((step) => ON_POOL.test(step.do))) await poolRoom(parts);
  await runner.run(plan, request, (event) => {
    if (event.type === 'step' && event.state === 'done') times.push({ step: event.key, ms: event.ms ?? 0 });
    if (event.type !== 'step' || !QUIET.test(event.key)) emit(event);
  });
  return times;
}
