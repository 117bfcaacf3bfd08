import type { Duplex } from 'node:stream';
import type { AppError } from '../contract/errors.ts';
import type { ProgressEvent } from '../contract/events.ts';
import {
  CHANNEL,
  FRAME_HEADER,
  FRAME_PIECE,
  createFrameReader,
  encodeControl,
  type ClientControl,
  type OpenMessage,
  type ServerControl,
} from '../contract/protocol.ts';
import { toError } from './http.ts';

/** What a stream says while it runs. */
export interface StreamHooks {
  onEvent?: (event: ProgressEvent) => void;
  /** Output on channel 1 or 2; the daemon is held back until the promise resolves. */
  onOutput?: (channel: 1 | 2, bytes: Uint8Array) => Promise<void> | void;
  /** The session that the stream carries, to go on with after the connection was lost. */
  onAccepted?: (session: string) => void;
}

/** How a stream ended. `lost`: the connection ended without a last word. */
export type StreamEnd =
  | { kind: 'result'; result: unknown; exit: number | undefined }
  | { kind: 'error'; error: AppError }
  | { kind: 'lost'; cause: unknown };

/** The client's end of a `bulkhead/1` stream (docs/design/protocol.md). */
export interface ClientStream {
  /** Sends input; resolves when more can be taken, or nobody takes any more. */
  send(bytes: Uint8Array): Promise<void>;
  /** Says that there is no more input. */
  endInput(): void;
  control(message: ClientControl): void;
  /** Ends the connection from here: an attached session ends with it. */
  leave(): void;
  /** Never rejects. */
  readonly ended: Promise<StreamEnd>;
}

/** Speaks `bulkhead/1` on an upgraded connection, beginning with `open`. */
export function createClientStream(connection: Duplex, open: OpenMessage, hooks: StreamHooks): ClientStream {
  connection.on('error', () => {});
  connection.write(encodeControl(open));
  const ended = read(connection, hooks).finally(() => connection.destroy());
  return {
    ended,
    async send(bytes) {
      for (let from = 0; from < bytes.length; from += FRAME_PIECE) {
        if (connection.destroyed || !connection.writable) return;
        if (!writeFrame(connection, bytes.subarray(from, from + FRAME_PIECE))) await drained(connection, ended);
      }
    },
    endInput: () => void (connection.writable && writeFrame(connection, new Uint8Array(0))),
    control: (message) => void (connection.writable && connection.write(encodeControl(message))),
    leave: () => void connection.destroy(),
  };
}

/** Header and payload leave in one system call, and the payload is not copied. */
function writeFrame(connection: Duplex, payload: Uint8Array): boolean {
  const header = Buffer.alloc(FRAME_HEADER);
  header.writeUInt8(CHANNEL.stdin, 0);
  header.writeUInt32BE(payload.length, 1);
  connection.cork();
  let more = connection.write(header);
  if (payload.length > 0) more = connection.write(payload);
  connection.uncork();
  return more;
}

async function drained(connection: Duplex, ended: Promise<unknown>): Promise<void> {
  await Promise.race([ended, new Promise((resolve) => connection.once('drain', resolve))]);
}

async function read(connection: Duplex, hooks: StreamHooks): Promise<StreamEnd> {
  const reader = createFrameReader();
  let exit: number | undefined;
  try {
    for await (const chunk of connection as AsyncIterable<Buffer>) {
      for (const { channel, payload } of reader.push(chunk)) {
        if (channel === CHANNEL.stdout || channel === CHANNEL.stderr) {
          await hooks.onOutput?.(channel, payload);
          continue;
        }
        const message = JSON.parse(new TextDecoder().decode(payload)) as ServerControl;
        if (message.type === 'result') return { kind: 'result', result: message.result, exit };
        if (message.type === 'error') return { kind: 'error', error: toError(message.error) };
        if (message.type === 'exit') exit = message.code;
        else if (message.type === 'accepted') hooks.onAccepted?.(message.session);
        else hooks.onEvent?.(message);
      }
    }
  } catch (cause) {
    return { kind: 'lost', cause };
  }
  if (exit !== undefined) return { kind: 'result', result: { code: exit }, exit };
  return { kind: 'lost', cause: Object.assign(new Error('the connection ended'), { code: 'ECONNRESET' }) };
}
