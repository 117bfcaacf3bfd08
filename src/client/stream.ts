import type { Duplex } from 'node:stream';
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

export interface StreamTaker {
  data(channel: 1 | 2, bytes: Uint8Array): Promise<void> | void;
  control(message: ServerControl): void;
}

/** The client's end of a `bulkhead/1` stream (docs/design/protocol.md). */
export interface ClientStream {
  /** Carries all that comes; true: the stream ended with its last word. */
  carry(taker: StreamTaker): Promise<boolean>;
  write(bytes: Uint8Array): Promise<void>;
  endInput(): void;
  control(message: ClientControl): void;
  close(): void;
}

/** Speaks `bulkhead/1` on an upgraded connection. */
export function createClientStream(socket: Duplex, head: Buffer, open: OpenMessage): ClientStream {
  socket.on('error', () => {});
  if (head.length > 0) socket.unshift(head);
  socket.write(encodeControl(open));
  const gone = new Promise<void>((resolve) => void socket.once('close', () => resolve()));
  return {
    async carry(taker) {
      const reader = createFrameReader();
      let whole = false;
      try {
        for await (const chunk of socket as AsyncIterable<Buffer>) {
          for (const { channel, payload } of reader.push(chunk)) {
            if (channel === CHANNEL.stdout || channel === CHANNEL.stderr) {
              await taker.data(channel, payload);
              continue;
            }
            const message = JSON.parse(new TextDecoder().decode(payload)) as ServerControl;
            taker.control(message);
            if (message.type === 'result' || message.type === 'error' || message.type === 'exit') whole = true;
            if (message.type === 'result' || message.type === 'error') return true;
          }
        }
      } catch {
        // The daemon went away: the caller sees that the last word is missing.
      }
      return whole;
    },
    async write(bytes) {
      for (let from = 0; from < bytes.length && socket.writable; from += FRAME_PIECE) {
        if (socket.write(encodeFrame(CHANNEL.stdin, bytes.subarray(from, from + FRAME_PIECE)))) continue;
        await Promise.race([gone, new Promise((resolve) => socket.once('drain', resolve))]);
      }
    },
    endInput: () => void (socket.writable && socket.write(encodeFrame(CHANNEL.stdin, new Uint8Array(0)))),
    control: (message) => void (socket.writable && socket.write(encodeControl(message))),
    close: () => void socket.destroy(),
  };
}
