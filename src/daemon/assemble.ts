import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { forksCeiling } from '../core/room.ts';
import { createBtrfsVolumes } from '../host/btrfs/volumes.ts';
import { createRuncCells } from '../host/cells/cells.ts';
import { createNetworks } from '../host/network/networks.ts';
import { openStore } from '../store/store.ts';
import { createIdentity } from './identity.ts';
import type { RunnerDeps } from './journal-runner.ts';
import type { Log } from './log.ts';
import { openSocket } from './public-socket.ts';
import { createSlots } from './slots.ts';
import { wire, type Ground } from './wire.ts';

export interface Options extends Pick<Ground, 'paths' | 'clock' | 'log' | 'newId' | 'random' | 'machine'> {
  program: { node: string; bundle: string };
  environment: Readonly<Record<string, string | undefined>>;
}

export interface Daemon {
  /** Opens the sockets. */
  listen(): Promise<void>;
  /** Adopts what runs, and starts what is wanted. */
  reconcile(): Promise<void>;
  /** Lets newly enrolled persons connect, takes a pool that has come back, and looks at everything once. */
  reload(): Promise<void>;
  /** Stops answering. Cells, their services and sessions go on. */
  stop(): Promise<void>;
}

/** Milliseconds that a stop waits for the plans that are under way. */
const STOP_WAIT = 3000;

/** The daemon on this machine, up to where it listens: its state, its pool, what a crash has left. */
export async function assemble(options: Options): Promise<Daemon> {
  const { paths, log } = options;
  const ground = await groundOf(options);
  const wired = wire(ground);
  const { parts, server } = wired;
  const { store, cells, networks, identity } = ground;
  const { supervisor, sessions, reaper, poolStart } = parts;

  // Without one of these the daemon still answers, so that `doctor` can say what is missing.
  await attempt(log, 'networks', () => networks.prepare());
  // Forks share a parent with a ceiling: production has what is above it.
  await attempt(log, 'ceiling', () => cells.ceiling(forksCeiling(options.machine)));
  const usable = await poolStart.take();

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
      await attempt(log, 'sessions', () => sessions.adopt());
      reaper.start();
      if (usable) await startWanted();
    },
    async reload() {
      await openToPersons();
      if (await poolStart.take()) await startWanted();
      await reaper.round();
    },
    async stop() {
      reaper.stop();
      supervisor.close();
      sessions.detachAll();
      await server.close();
      // What is under way may come to its end; what does not is the next start's.
      await Promise.race([wired.settled(), delay(STOP_WAIT, undefined, { ref: false })]);
      identity.signIns.close();
      await store.close();
    },
  };
}

async function groundOf(options: Options): Promise<Ground> {
  const { paths, clock, program } = options;
  // First: it refuses where another daemon of this instance runs.
  const store = await openStore(paths, { clock });
  const networks = createNetworks({ paths });
  const forking: Ground['forking'] = new Map();
  return {
    ...options,
    store,
    networks,
    forking,
    volumes: createBtrfsVolumes({ paths }),
    cells: createRuncCells({ paths, networks, program }),
    slots: await createSlots(paths.run),
    identity: createIdentity({
      store,
      forking,
      clock,
      program: { node: program.node, script: path.join(program.bundle, 'bulkhead.cjs') },
      enrolledOne: () => openSocket(paths.socket, store.factors.uids()),
    }),
    times: {
      every: testNumber(options, 'BULKHEAD_REAPER_EVERY') ?? 2000,
      notice: testNumber(options, 'BULKHEAD_REAPER_NOTICE') ?? 60_000,
      purgeWait: testNumber(options, 'BULKHEAD_PURGE_WAIT'),
      trashKept: testNumber(options, 'BULKHEAD_TRASH_KEPT'),
    },
    killAt: killPoint(options),
  };
}

async function attempt(log: Log, what: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    log.error('going on without', { what, error: error instanceof Error ? error.message : String(error) });
  }
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
