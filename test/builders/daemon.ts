import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { randomUUID } from 'node:crypto';
import type { AuditRecord } from '../../src/contract/authority.ts';
import { AppError } from '../../src/contract/errors.ts';
import type { PlanView, ProgressEvent } from '../../src/contract/events.ts';
import type { Input, OperationName, Output } from '../../src/contract/operations.ts';
import { OPERATIONS } from '../../src/contract/operations.ts';
import type { ClientControl, OpenMessage } from '../../src/contract/protocol.ts';
import type { Operation } from '../../src/contract/operation.ts';
import type { Caller } from '../../src/core/caller.ts';
import type { Id } from '../../src/core/ids.ts';
import { createIdentity } from '../../src/daemon/identity.ts';
import type { Parts } from '../../src/daemon/parts.ts';
import type { ServerStream } from '../../src/daemon/stream.ts';
import { wire, type Wired } from '../../src/daemon/wire.ts';
import { createMemoryCells } from '../../src/host/memory/cells.ts';
import { createMemoryVolumes, type MemoryVolumes } from '../../src/host/memory/volumes.ts';
import type { Cells } from '../../src/host/cells.ts';
import type { Networks } from '../../src/host/networks.ts';
import type { Paths } from '../../src/host/paths.ts';
import { openStore, type Store } from '../../src/store/store.ts';
import { createCellWorld, type CellWorld } from './cell-world.ts';
import { memoryDirectory } from './memory-directory.ts';

const MIB = 2 ** 20;
export const DAY = 24 * 3_600_000;
/** The code of every person here. */
export const CODE = '123456';

const connection = { pid: 1, evidence: [] };
/** Who asks. */
export const DEPLOY: Caller = {
  ...connection,
  kind: 'person',
  uid: 1000,
  user: 'deploy',
  person: 'deploy',
  terminal: 'pts/1',
  until: 8e15,
};
export const SOMEBODY: Caller = {
  ...connection,
  kind: 'unproven',
  uid: 1001,
  user: 'ann',
  agent: null,
  override: null,
};
export const AGENT: Caller = {
  ...connection,
  kind: 'unproven',
  uid: 1000,
  user: 'deploy',
  agent: 'claude-code',
  override: null,
};
export const ROOT: Caller = { ...connection, kind: 'unproven', uid: 0, user: 'root', agent: null, override: null };

/** A daemon whose pool and cells are in memory: everything else of it is real. */
export interface TestDaemon {
  parts: Parts;
  volumes: MemoryVolumes;
  cells: Cells;
  /** What the commands in its cells do. */
  world: CellWorld;
  /** Milliseconds since 1970. */
  now: number;
  /** Who is identified, where no other is named. */
  caller: Caller;
  /** The result of an operation, through the whole pipeline. Throws AppError. */
  ask<N extends OperationName>(name: N, input: Input<N>, more?: Asked): Promise<Output<N>>;
  plan<N extends OperationName>(name: N, input: Input<N>, more?: Asked): Promise<PlanView>;
  /** Opens a stream; its answer is awaited in `done`. */
  stream<N extends OperationName>(name: N, input: Input<N>, more?: Asked): TestStream;
  /** Every record of the audit log. */
  audit(): Promise<AuditRecord[]>;
  id(ref: string): Id;
  /** Another daemon on the same state, pool and cells. The old one stops first, or dies where it stands. */
  restart(how?: 'stopped' | 'killed'): Promise<void>;
  remove(): Promise<void>;
}

export interface Asked {
  as?: Caller;
  code?: string;
  emit?: (event: ProgressEvent) => void;
}

export interface TestStream {
  done: Promise<unknown>;
  /** What came on the first channel. */
  output(): string;
  controls: readonly { type: string }[];
  send(text: string): void;
  endInput(): void;
  control(message: ClientControl): void;
  leave(): void;
  /** Reads no more. */
  stop(): void;
}

export interface DaemonOptions {
  /** Bytes. */
  pool?: number;
  floor?: number;
  memory?: number;
  notice?: number;
  /** Without a pool: nothing was ever made. */
  bare?: boolean;
  killAt?: (point: { operation: string; step: number; when: string }) => void | Promise<void>;
  volumes?: MemoryVolumes;
}

/** Makes a daemon with an empty pool and an enrolled person. */
export async function makeDaemon(options: DaemonOptions = {}): Promise<TestDaemon> {
  const directory = memoryDirectory('daemon');
  const paths = pathsIn(directory);
  mkdirSync(paths.run);
  const volumes = options.volumes ?? createMemoryVolumes();
  const world = createCellWorld(volumes);
  const cells = createMemoryCells({ script: world.script, clock: () => daemon.now });
  let store: Store;
  let wired: Wired;
  const begin = async (): Promise<void> => {
    store = await openStore(paths, { clock: () => daemon.now });
    if (options.bare !== true && store.factors.list().length === 0) {
      // The factor itself is not checked here: that is the part of identity and its tests.
      store.factors.put({ person: 'deploy', uid: 1000, confirmed: true } as never);
      store.meta.set('floor', String(options.floor ?? 64 * MIB));
      await volumes.make({ size: options.pool ?? 1024 * MIB }, () => {});
    }
    wired = wireIn({ daemon: () => daemon, paths, store, volumes, cells, options });
    daemon.parts = wired.parts;
    await wired.parts.poolStart.take();
    await wired.parts.supervisor.adopt();
    await wired.parts.sessions.adopt();
  };
  const end = async (): Promise<void> => {
    wired.parts.supervisor.close();
    wired.parts.sessions.detachAll();
    for (const leave of perform.streams.splice(0)) leave();
    await wired.server.close();
    await store.close();
  };
  const perform = createPerform(
    () => wired,
    () => daemon.caller,
  );
  const daemon: TestDaemon = {
    parts: undefined as unknown as Parts,
    volumes,
    cells,
    world,
    now: Date.UTC(2026, 10, 29, 12),
    caller: DEPLOY,
    ...perform.doors,
    audit: () => daemon.parts.audit.read({ lines: 1e6, keep: () => true }),
    id: (ref) => {
      const [app = '', tag = null] = ref.split(':');
      const record = store.volumes.byRef(app, tag);
      if (record === undefined) throw new Error(`there is no ${ref}`);
      return record.id;
    },
    async restart(how = 'stopped') {
      if (how === 'stopped') await wired.settled();
      await end();
      await begin();
    },
    async remove() {
      await end();
      rmSync(directory, { recursive: true, force: true });
    },
  };
  await begin();
  return daemon;
}

const pathsIn = (directory: string): Paths => ({
  instance: 'test',
  state: directory,
  run: path.join(directory, 'run'),
  socket: path.join(directory, 'run', 'bulkhead.sock'),
  cgroup: 'none',
  database: path.join(directory, 'state.db'),
  audit: path.join(directory, 'audit.jsonl'),
  poolFile: path.join(directory, 'pool'),
  pool: path.join(directory, 'pool.mount'),
});

function wireIn(on: {
  daemon: () => TestDaemon;
  paths: Paths;
  store: Store;
  volumes: MemoryVolumes;
  cells: Cells;
  options: DaemonOptions;
}): Wired {
  const { store, options } = on;
  const clock = (): number => on.daemon().now;
  const forking = new Map<Id, number>();
  const program = { node: process.execPath, script: '/nowhere' };
  const identity = createIdentity({ store, forking, clock, program, enrolledOne: async () => {} });
  return wire({
    ...on,
    forking,
    clock,
    log: { info: () => {}, warn: () => {}, error: () => {} },
    newId: () => randomUUID() as Id,
    random: Math.random,
    machine: { memory: options.memory ?? 8192 * MIB, cpus: 2 },
    networks: noNetworks,
    slots: createTestSlots(),
    identity: { ...identity, factors: theFactors, identify: async ({ fd }) => CALLERS.get(fd) ?? DEPLOY },
    times: { every: 1e9, notice: options.notice ?? 60_000 },
    killAt: options.killAt,
    pause: async () => {},
  });
}

const noNetworks: Networks = {
  prepare: async () => {},
  attach: async () => {},
  healthy: async () => true,
  detach: async () => {},
  teardown: async () => {},
  resolver: { fork: '127.0.0.1', production: [] },
};

function createTestSlots() {
  const taken = new Set<number>();
  const base = 0x70000000;
  return {
    allocate: async () => {
      let slot = 0;
      while (taken.has(slot)) slot += 1;
      taken.add(slot);
      return slot;
    },
    adopt: (slot: number) => void taken.add(slot),
    release: (slot: number) => void taken.delete(slot),
    idBase: (slot: number) => base + slot * 65_536,
    slotOf: (idBase: number) => (idBase - base) / 65_536,
  };
}

/** Takes one code, from whoever is a person. */
const theFactors: Parts['factors'] = {
  enrolled: () => true,
  enrol: async (person) => ({ person, uri: 'otpauth://totp/test', recovery: [] }),
  async demand(_caller, code) {
    if (code === undefined) throw new AppError('factor-required', 'A code is needed');
    if (code !== CODE) throw new AppError('factor-wrong', 'The code is wrong');
  },
  confirmed: () => 'deploy',
  signIn: () => ({ person: 'deploy', terminal: 'pts/1', until: new Date(0).toISOString() }),
  signOut: () => 0,
};

/** A connection stands for whoever made it. */
const CALLERS = new Map<number, Caller>();
let connections = 0;

function connect(caller: Caller): number {
  connections += 1;
  CALLERS.set(connections, caller);
  return connections;
}

function createPerform(wired: () => Wired, usual: () => Caller) {
  /** As a daemon that stops ends its connections. */
  const streams: (() => void)[] = [];
  const send = async (
    name: OperationName,
    body: object,
    { as = usual(), emit = () => {} }: Asked,
  ): Promise<unknown> => {
    let answer: unknown;
    const from = { name, channel: { channel: 'local' } as const, fd: connect(as), connected: 0, body };
    const gone = new AbortController().signal;
    // Only progress comes here: the pipeline gives the result to `reply`.
    await wired().pipeline.request({ ...from, gone, emit: emit as never, reply: (value) => void (answer = value) });
    return answer;
  };
  const stream: TestDaemon['stream'] = (name, input, { as = usual(), code } = {}) => {
    const made = aStream({ type: 'open', input, ...(code === undefined ? {} : { code }) });
    const channel = { channel: 'local' } as const;
    const work = wired().pipeline.stream({ name, channel, fd: connect(as), connected: 0, stream: made.server });
    const done = work.then(() => made.answer());
    // Who only opens it does not wait for its end.
    done.catch(() => {});
    streams.push(() => made.client.leave());
    return { ...made.client, done };
  };
  const doors: Pick<TestDaemon, 'ask' | 'plan' | 'stream'> = {
    stream,
    async ask(name, input, more = {}) {
      const streamed = (OPERATIONS[name] as unknown as Operation).answer === 'stream';
      if (!streamed) return ((await send(name, { input, code: more.code }, more)) as { result: never }).result;
      const opened = stream(name, input, more);
      opened.endInput();
      return (await opened.done) as never;
    },
    plan: async (name, input, more = {}) =>
      ((await send(name, { input, plan: true, code: more.code }, more)) as { plan: PlanView }).plan,
  };
  return { doors, streams };
}

/** Both ends of a stream without a socket. */
function aStream(open: OpenMessage) {
  const stdin = new PassThrough();
  const gone = new AbortController();
  const controls: ({ type: string } & Record<string, unknown>)[] = [];
  let output = '';
  let reading = true;
  let listener: (message: ClientControl) => void = () => {};
  const server: ServerStream = {
    open: Promise.resolve(open),
    stdin,
    gone: gone.signal,
    onControl: (call) => void (listener = call),
    write: (_channel, bytes) => {
      output += Buffer.from(bytes).toString();
      return reading ? Promise.resolve() : new Promise(() => {});
    },
    control: (message) => void controls.push(message as never),
    end: () => {},
  };
  stdin.on('error', () => {});
  const client: Omit<TestStream, 'done'> = {
    controls,
    output: () => output,
    send: (text) => void stdin.write(text),
    endInput: () => void stdin.end(),
    control: (message) => listener(message),
    stop: () => void (reading = false),
    leave: () => {
      gone.abort();
      stdin.destroy(new Error('the client left'));
    },
  };
  const answer = (): unknown => {
    const error = controls.find(({ type }) => type === 'error');
    if (error !== undefined) throw AppError.from(error['error'] as never);
    return controls.find(({ type }) => type === 'result')?.['result'];
  };
  return { server, client, answer };
}
