import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { ProgressEvent } from '../contract/events.ts';
import type { Id } from '../core/ids.ts';
import { forksCeiling, type MachineSize } from '../core/room.ts';
import type { Plan } from '../core/steps.ts';
import { createBtrfsVolumes } from '../host/btrfs/volumes.ts';
import { createRuncCells } from '../host/cells/cells.ts';
import { createNetworks } from '../host/network/networks.ts';
import type { Paths } from '../host/paths.ts';
import { redact } from '../core/redact.ts';
import { createJournal } from '../store/journal.ts';
import { auditCaller, openStore } from '../store/store.ts';
import { createCellSockets, type Listen } from './cell-sockets.ts';
import { createHooks } from './hooks.ts';
import { createIdentity } from './identity.ts';
import { createLocks } from './locks.ts';
import type { Log } from './log.ts';
import { HANDLERS } from './operations/table.ts';
import type { Parts, StepTime } from './parts.ts';
import { createKeeper } from './keeper.ts';
import { createPipeline } from './pipeline.ts';
import { createPoints } from './points.ts';
import { openSocket } from './public-socket.ts';
import { createReaper } from './reaper.ts';
import { createRunner, type Runner, type RunnerDeps } from './journal-runner.ts';
import { createDaemonServer } from './server.ts';
import { createSessions } from './sessions.ts';
import { createSlots } from './slots.ts';
import { createExecutors } from './steps.ts';
import { createSupervisor } from './supervisor.ts';
import { sweep } from './sweep.ts';
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
  const supervisor = createSupervisor({ store, cells, keeper, hooks, clock, log });
  const killAt = killPoint(options);
  const runner = createRunner({
    journal: createJournal(store.db),
    executors: createExecutors(parts),
    clock,
    log,
    ...(killAt === undefined ? {} : { killAt }),
  });
  const forking = new Map<Id, number>();
  const identity = createIdentity({
    store,
    forking,
    clock,
    program: { node: options.program.node, script: path.join(options.program.bundle, 'bulkhead.cjs') },
    enrolledOne: () => openSocket(paths.socket, store.factors.uids()),
  });
  const reaper = createReaper(parts, reaperTimes(options.environment));
  holder.parts = {
    paths,
    version: VERSION,
    clock,
    started: clock(),
    newId,
    random: options.random,
    log,
    store,
    audit: {
      append: async (entry) => void (await store.auditFile.append({ ...entry, caller: auditCaller(entry.caller) })),
      read: (wanted) => store.auditFile.read(wanted),
      tail: (call) => store.auditFile.tail(call),
      verify: () => store.auditFile.verify(),
    },
    redact,
    volumes,
    cells,
    networks,
    machine: options.machine,
    supervisor,
    sessions: createSessions({ cells, store, newId, clock, log }),
    points: createPoints(parts),
    reaper,
    locks: createLocks(),
    factors: identity.factors,
    userBehind: identity.userBehind,
    forking,
    uploads: new Map(),
    cellHelper: ['/opt/bulkhead/node', '/opt/bulkhead/dist/cell-helper.cjs'],
    floor: () => Number(store.meta.get('floor') ?? 0),
    identify: identity.identify,
    policy: identity.policy,
    run: (plan, request, emit) => runPlan(runner, plan, request, emit),
    recovered: [...store.auditFile.mended],
  };

  const opened = await volumes.open();
  await networks.prepare();
  // Forks share a parent with a ceiling: production has what is above it.
  await cells.ceiling(forksCeiling(options.machine));
  if (opened) {
    parts().recovered.push(...(await runner.recover()), ...(await sweep(parts())));
    for (const said of parts().recovered) log.warn('recovered', { what: said });
  }
  const pipeline = createPipeline(parts(), HANDLERS);
  const server = createDaemonServer(pipeline);
  holder.listen = server.listen;
  supervisor.onChange((record, what) => void noteChange(parts(), record, what));
  return {
    async listen() {
      await server.listen(paths.socket, { channel: 'local' });
      await openSocket(paths.socket, store.factors.uids());
    },
    async reconcile() {
      if (!(await volumes.room().then(Boolean))) return;
      await supervisor.adopt();
      await parts().sessions.adopt();
      reaper.start();
      for (const said of await supervisor.reconcile()) log.info('reconciled', { what: said });
    },
    async reload() {
      await openSocket(paths.socket, store.factors.uids());
      await reaper.round();
    },
    async stop() {
      reaper.stop();
      supervisor.close();
      parts().sessions.detachAll();
      await server.close();
      identity.signIns.close();
      await store.close();
    },
  };
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

async function noteChange(
  parts: Parts,
  record: Parameters<Parts['supervisor']['begin']>[0],
  what: string,
): Promise<void> {
  const target = record.tag === null ? record.app : `${record.app}:${record.tag}`;
  await parts.audit.append({
    request: parts.newId(),
    phase: 'event',
    operation: 'cell.watch',
    target,
    caller: { kind: 'service', name: 'supervisor', evidence: [] },
    outcome: what.slice(0, 500),
    code: null,
    arguments: null,
  });
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

function reaperTimes(environment: Options['environment']): { every: number; notice: number } {
  const test = environment['BULKHEAD_TEST'] === '1';
  return {
    every: Number((test && environment['BULKHEAD_REAPER_EVERY']) || 2000),
    notice: Number((test && environment['BULKHEAD_REAPER_NOTICE']) || 60_000),
  };
}
