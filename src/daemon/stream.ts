import { Readable } from 'node:stream';
import type { Duplex } from 'node:stream';
import { AppError } from '../contract/errors.ts';
import {
  CHANNEL,
  FRAME_PIECE,
  createFrameReader,
  encodeControl,
  encodeFrame,
  type ClientControl,
  type OpenMessage,
  type ServerControl,
} from '../contract/protocol.ts';

/** The daemon's end of a `bulkhead/1` stream (docs/design/protocol.md). */
export interface ServerStream {
  /** The first control frame; rejects when the client goes before it, or sends anything else. */
  readonly open: Promise<OpenMessage>;
  /** Channel 0, with back-pressure; ends at the client's empty frame, and breaks with an `AppError` when the client leaves before. */
  readonly stdin: Readable;
  /** Aborted when the client is gone. */
  readonly gone: AbortSignal;
  /** Calls back for each control frame after `open`. */
  onControl(call: (message: ClientControl) => void): void;
  /** Resolves when the client can take more. */
  write(channel: 1 | 2, bytes: Uint8Array): Promise<void>;
  control(message: ServerControl): void;
  /** Sends what is pending and ends the connection. */
  end(): void;
}

/** Milliseconds that a client has to say what it wants. */
const OPEN_DEADLINE = 10_000;
/** Milliseconds in which a client may read why its stream was ended. */
const LINGER = 1000;

/** Speaks `bulkhead/1` on an upgraded connection. `head`: what came with the upgrade. */
export function createServerStream(socket: Duplex, head: Buffer): ServerStream {
  const reader = createFrameReader();
  const gone = new AbortController();
  const opened = Promise.withResolvers<OpenMessage>();
  opened.promise.catch(() => {});
  let isOpen = false;
  let onControl: ((message: ClientControl) => void) | undefined;
  const early: ClientControl[] = [];
  const stdin = new Readable({ highWaterMark: 1 << 18, read: () => void socket.resume() });

  const control = (message: ClientControl): void => {
    if (isOpen) {
      if (onControl === undefined) early.push(message);
      else onControl(message);
      if (early.length > 64) throw new RangeError('too many control frames before the operation began');
    } else if (message.type === 'open') {
      isOpen = true;
      clearTimeout(late);
      opened.resolve(message);
    } else throw new TypeError('the first control frame must be "open"');
  };
  const take = (chunk: Buffer): void => {
    for (const frame of reader.push(chunk)) {
      if (frame.channel === CHANNEL.control) control(parseControl(frame.payload));
      else if (frame.channel !== CHANNEL.stdin) throw new RangeError(`channel ${frame.channel} is the daemon's`);
      else if (!isOpen) throw new TypeError('the first frame must be "open"');
      else if (frame.payload.length === 0) stdin.push(null);
      else if (!stdin.readableEnded && !stdin.destroyed && !stdin.push(Buffer.from(frame.payload))) socket.pause();
    }
  };
  const leave = (error?: Error, linger = 0): void => {
    if (gone.signal.aborted) return;
    clearTimeout(late);
    gone.abort();
    const left = new AppError('failed', 'The client left', { cause: error });
    opened.reject(error ?? left);
    // A cut upload is not a finished one: whoever reads it must see the difference.
    if (!stdin.readableEnded) stdin.destroy(left);
    // What was sent and is not read yet would be taken back with the connection, and what the client sends, refused.
    if (linger > 0) setTimeout(() => socket.destroy(), linger).unref();
    else socket.destroy();
  };
  const late = setTimeout(() => leave(new Error('the client asked for nothing')), OPEN_DEADLINE);
  stdin.on('error', () => {});
  // Whoever read it has had enough: the rest is dropped, and the client's end is seen.
  stdin.on('close', () => socket.resume());
  socket.on('data', (chunk: Buffer) => {
    if (gone.signal.aborted) return;
    try {
      take(chunk);
    } catch (error) {
      sendLast(socket, error);
      leave(error instanceof Error ? error : undefined, LINGER);
    }
  });
  // The socket may be half-open: a client that ends its side has gone, and is not waited for.
  socket.on('end', () => leave());
  socket.on('close', () => leave());
  socket.on('error', (error: Error) => leave(error));
  if (head.length > 0) socket.unshift(head);

  return {
    open: opened.promise,
    stdin,
    gone: gone.signal,
    onControl(call) {
      onControl = call;
      for (const message of early.splice(0)) call(message);
    },
    write: (channel, bytes) => writePieces(socket, gone.signal, channel, bytes),
    control: (message) => void (socket.writable && socket.write(encodeControl(message))),
    end() {
      if (socket.writable) socket.end();
      // What the client is still sending is dropped, so that it comes to read the end.
      stdin.destroy();
    },
  };
}

function parseControl(payload: Uint8Array): ClientControl {
  const value: unknown = JSON.parse(new TextDecoder().decode(payload));
  if (typeof value !== 'object' || value === null || !('type' in value))
    throw new TypeError('a control frame must be an object with a type');
  if (!['open', 'resize', 'signal'].includes(String(value.type)))
    throw new TypeError('a control frame must be "open", "resize" or "signal"');
  return value as ClientControl;
}

function sendLast(socket: Duplex, error: unknown): void {
  const message = `Cannot read the stream: ${error instanceof Error ? error.message : 'malformed'}`;
  if (socket.writable) socket.end(encodeControl({ type: 'error', error: { code: 'usage', message, next: [] } }));
}

async function writePieces(socket: Duplex, gone: AbortSignal, channel: number, bytes: Uint8Array): Promise<void> {
  for (let from = 0; from < bytes.length && !gone.aborted; from += FRAME_PIECE) {
    if (socket.write(encodeFrame(channel, bytes.subarray(from, from + FRAME_PIECE)))) continue;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        socket.off('drain', done);
        socket.off('close', done);
        resolve();
      };
      socket.on('drain', done);
      socket.on('close', done);
    });
  }
}
