import { AppError } from '../contract/errors.ts';
import type { Id } from '../core/ids.ts';
import type { Cells, Session, SessionSpec } from '../host/cells.ts';
import type { Store } from '../store/store.ts';
import type { VolumeRecord } from '../store/volumes.ts';
import { refOf } from './cell-spec.ts';
import type { Log } from './log.ts';
import { createSessionControl } from './session-control.ts';
import type { ServerStream } from './stream.ts';

/** Milliseconds that a client has, after the daemon's restart, to attach again. */
const GRACE = 30_000;

/** Sessions that have a client. One ends with its client; the daemon's own end only detaches them. */
export interface Sessions {
  /** Runs a command for a client, to its exit code. */
  start(
    record: VolumeRecord,
    owner: string,
    stream: ServerStream,
    spec: Pick<SessionSpec, 'command' | 'stdin' | 'directory' | 'terminal' | 'environment'>,
  ): Promise<number>;
  /** Goes on with a session of the same owner. */
  attach(record: VolumeRecord, session: Id, owner: string, stream: ServerStream): Promise<number>;
  /** Ends all sessions of a cell. */
  endAll(cell: Id): Promise<void>;
  /** After the daemon's start: sessions of an earlier one wait for their clients, and end without them. */
  adopt(): Promise<void>;
  /** When a client last came or went, in milliseconds since 1970; undefined: not since the daemon started. */
  lastUsed(cell: Id): number | undefined;
  /** Keeps nothing of a cell that will not come back. */
  forget(cell: Id): void;
  /** Leaves all sessions running. */
  detachAll(): void;
}

export interface SessionsDeps {
  cells: Cells;
  store: Store;
  newId: () => Id;
  clock: () => number;
  log: Log;
}

export function createSessions(deps: SessionsDeps): Sessions {
  const live = new Map<Id, { cell: Id; session: Session; attached: boolean }>();
  const used = new Map<Id, number>();
  let stopping = false;

  async function carry(record: VolumeRecord, session: Session, stream: ServerStream): Promise<number> {
    const entry = { cell: record.id, session, attached: true };
    live.set(session.id, entry);
    used.set(record.id, deps.clock());
    stream.control({ type: 'accepted', session: session.id });
    stream.onControl(createSessionControl(session));
    const left = new Promise<'left'>((resolve) => {
      if (stream.gone.aborted) resolve('left');
      stream.gone.addEventListener('abort', () => resolve('left'), { once: true });
    });
    stream.stdin.on('data', (chunk: Buffer) => {
      if (!session.stdin.write(chunk)) {
        stream.stdin.pause();
        session.stdin.once('drain', () => stream.stdin.resume());
      }
    });
    stream.stdin.on('end', () => session.stdin.end());
    const output = Promise.all([pump(session.stdout, 1, stream), pump(session.stderr, 2, stream)]);
    const ended = session.exit.then(async (code) => {
      await output;
      return code;
    });
    const result = await Promise.race([ended, left]);
    used.set(record.id, deps.clock());
    live.delete(session.id);
    if (result === 'left') {
      if (stopping) {
        // It goes on, and its record with it: its client may come back to the next daemon.
        session.detach();
        throw new AppError('no-daemon', `The daemon stops; the session in ${refOf(record)} goes on`);
      }
      await session.end();
      deps.store.sessions.remove(session.id);
      throw new AppError('failed', `The client of a session in ${refOf(record)} left; the session was ended`);
    }
    deps.store.sessions.remove(session.id);
    stream.control({ type: 'exit', code: result });
    // What it leaves is cleared while its client has its answer already; a cell's end clears it as well.
    void session
      .end()
      .catch((error: unknown) => deps.log.warn('a session left something', { id: session.id, error: String(error) }));
    return result;
  }

  const orphan = (cell: Id, id: Id): void => {
    setTimeout(() => {
      if (live.has(id) || stopping) return;
      deps.store.sessions.remove(id);
      void deps.cells
        .find(cell, id)
        .then((session) => session?.end())
        .catch((error: unknown) => deps.log.warn('a session did not end', { id, error: String(error) }));
    }, GRACE).unref();
  };

  return {
    async start(record, owner, stream, spec) {
      const id = deps.newId();
      deps.store.sessions.add({ id, cell: record.id, owner, started: deps.clock() });
      try {
        const session = await deps.cells.open({ ...spec, cell: record.id, id, user: 'agent', log: 0 });
        return await carry(record, session, stream);
      } catch (error) {
        if (!stopping) deps.store.sessions.remove(id);
        throw error;
      }
    },
    async attach(record, id, owner, stream) {
      const known = deps.store.sessions.get(id);
      const session =
        known?.cell === record.id && known.owner === owner && !live.has(id)
          ? await deps.cells.find(record.id, id)
          : undefined;
      if (session === undefined)
        throw new AppError(
          'not-found',
          `There is no session ${id} of yours in ${refOf(record)} that waits for its client`,
          {
            next: [`bulkhead exec ${refOf(record)} -- CMD`],
          },
        );
      return carry(record, session, stream);
    },
    async endAll(cell) {
      const mine = [...live.values()].filter((entry) => entry.cell === cell);
      await Promise.all(mine.map((entry) => entry.session.end()));
    },
    async adopt() {
      for (const known of deps.store.sessions.list()) {
        const found = await deps.cells.find(known.cell, known.id).catch(() => undefined);
        if (found === undefined) deps.store.sessions.remove(known.id);
        else {
          found.detach();
          orphan(known.cell, known.id);
        }
      }
    },
    lastUsed: (cell) => ([...live.values()].some((entry) => entry.cell === cell) ? deps.clock() : used.get(cell)),
    forget: (cell) => void used.delete(cell),
    detachAll() {
      stopping = true;
      for (const { session } of live.values()) session.detach();
    },
  };
}

/** One direction of a session, with back-pressure from the client to the command. */
async function pump(from: AsyncIterable<Buffer>, channel: 1 | 2, stream: ServerStream): Promise<void> {
  try {
    for await (const chunk of from) {
      if (stream.gone.aborted) return;
      await stream.write(channel, chunk);
    }
  } catch {
    // The session was ended or detached below us: its exit says what happened.
  }
}
