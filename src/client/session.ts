import { AppError } from '../contract/errors.ts';
import type { Input } from '../contract/operations.ts';
import type { ClientControl } from '../contract/protocol.ts';
import { resultOf, type CallOptions, type Client } from './connect.ts';
import type { ClientStream, StreamHooks } from './stream.ts';

/** Milliseconds in which a session waits for its client after the daemon ended, and between two tries. */
const REATTACH = 30_000;
const PAUSE = 150;

/** A running command in a cell. It survives a restart of the daemon: its connection is made again. */
export interface ClientSession {
  /** Sends standard input; resolves when more can be taken. */
  send(bytes: Uint8Array): Promise<void>;
  endInput(): void;
  signal(name: string): void;
  resize(rows: number, columns: number): void;
  /** Whether the daemon has started it. */
  accepted(): boolean;
  /** Leaves with an exit code of ours; the command ends, since its client has gone. */
  leave(exit: number): void;
  /** The command's exit code. Rejects with AppError. */
  readonly exit: Promise<number>;
}

export type SessionHooks = StreamHooks & {
  /** The connection was lost, and is being made again; or was. */
  onLost?: (state: 'lost' | 'back') => void;
};

/** Starts a command. `patience`: milliseconds for the daemon to come back, 30 s unless told. */
export function startSession(
  client: Client,
  input: Input<'session.exec'>,
  options: Pick<CallOptions, 'code'> & SessionHooks & { patience?: number },
): ClientSession {
  const { code, onLost = () => {}, patience = REATTACH, ...hooks } = options;
  let id: string | undefined;
  let ended = false;
  let size: { rows: number; columns: number } | undefined;
  const withId: StreamHooks = {
    ...hooks,
    onAccepted: (session) => {
      id = session;
      hooks.onAccepted?.(session);
    },
  };
  const left = Promise.withResolvers<number>();
  let stream: Promise<ClientStream> = client.stream('session.exec', input, { code, ...withId });

  const control = (message: ClientControl): void =>
    void stream.then(
      (to) => to.control(message),
      () => {},
    );

  async function follow(): Promise<number> {
    for (;;) {
      const end = await (await stream).ended;
      if (end.kind !== 'lost' || id === undefined) {
        const result = resultOf<{ code: number }>(end, client.socket);
        return end.kind === 'result' ? (end.exit ?? result.code) : result.code;
      }
      onLost('lost');
      const session = id;
      stream = again(() => client.stream('session.attach', { ref: input.ref, session }, withId), patience);
      const back = await stream;
      onLost('back');
      if (size !== undefined) back.control({ type: 'resize', ...size });
      if (ended) back.endInput();
    }
  }

  return {
    send: async (bytes) => (await stream).send(bytes),
    endInput() {
      ended = true;
      void stream.then(
        (to) => to.endInput(),
        () => {},
      );
    },
    signal: (name) => control({ type: 'signal', signal: name }),
    resize(rows, columns) {
      size = { rows, columns };
      control({ type: 'resize', rows, columns });
    },
    accepted: () => id !== undefined,
    leave(exit) {
      left.resolve(exit);
      void stream.then(
        (to) => to.leave(),
        () => {},
      );
    },
    exit: Promise.race([left.promise, follow()]),
  };
}

/** Tries until the daemon is back. Other refusals than its absence are final. */
async function again(open: () => Promise<ClientStream>, patience: number): Promise<ClientStream> {
  const end = performance.now() + patience;
  for (;;) {
    try {
      return await open();
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'no-daemon') throw error;
      if (performance.now() > end)
        throw new AppError('no-daemon', `The daemon ended, and was not back after ${patience / 1000} s`, {
          why: 'The command has lost its client, and ends when the daemon starts again.',
          next: ['bulkhead status'],
          cause: error,
        });
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }
}
