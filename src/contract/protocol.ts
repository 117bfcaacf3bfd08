/**
 * The bytes of a stream after `Upgrade: bulkhead/1`: frames of
 * channel (u8), length (u32, big endian), that many bytes.
 * docs/design/protocol.md is the specification.
 */
export const PROTOCOL = 'bulkhead/1';
export const CHANNEL = { stdin: 0, stdout: 1, stderr: 2, control: 3 } as const;
/** A longer frame ends the connection. Writers cut at 64 KiB. */
export const FRAME_LIMIT = 1 << 20;
export const FRAME_PIECE = 1 << 16;
export const FRAME_HEADER = 5;

import type { ErrorBody } from './errors.ts';
import type { ProgressEvent } from './events.ts';

/** First control frame from the client. Nothing is done before it. */
export interface OpenMessage {
  type: 'open';
  input: unknown;
  code?: string;
  plan?: boolean;
}

/** Control frames from the client after `open`. An empty stdin frame means the end of input. */
export type ClientControl =
  | OpenMessage
  | { type: 'resize'; rows: number; columns: number }
  | { type: 'signal'; signal: string };

/** Control frames from the daemon. `exit`, `result` or `error` is the last. */
export type ServerControl =
  | ProgressEvent
  | { type: 'accepted'; session: string }
  | { type: 'exit'; code: number }
  | { type: 'result'; result: unknown }
  | { type: 'error'; error: ErrorBody };

export interface Frame {
  channel: number;
  payload: Uint8Array;
}

/** One frame as bytes. */
export function encodeFrame(channel: number, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(FRAME_HEADER + payload.length);
  const view = new DataView(frame.buffer);
  view.setUint8(0, channel);
  view.setUint32(1, payload.length);
  frame.set(payload, FRAME_HEADER);
  return frame;
}

export function encodeControl(message: ClientControl | ServerControl): Uint8Array {
  return encodeFrame(CHANNEL.control, new TextEncoder().encode(JSON.stringify(message)));
}

/** Cuts a byte stream into frames. `push` throws on a frame over the limit or an unknown channel. */
export function createFrameReader(): { push(chunk: Uint8Array): Frame[]; rest(): number } {
  let pending: Uint8Array = new Uint8Array(0);
  return {
    push(chunk) {
      pending = pending.length === 0 ? chunk : concat(pending, chunk);
      const frames: Frame[] = [];
      let at = 0;
      while (pending.length - at >= FRAME_HEADER) {
        const view = new DataView(pending.buffer, pending.byteOffset + at, FRAME_HEADER);
        const channel = view.getUint8(0);
        const length = view.getUint32(1);
        if (channel > CHANNEL.control) throw new RangeError(`unknown channel ${channel}`);
        if (length > FRAME_LIMIT)
          throw new RangeError(`a frame of ${length} bytes is over the limit of ${FRAME_LIMIT}`);
        if (pending.length - at - FRAME_HEADER < length) break;
        frames.push({ channel, payload: pending.subarray(at + FRAME_HEADER, at + FRAME_HEADER + length) });
        at += FRAME_HEADER + length;
      }
      pending = pending.subarray(at);
      return frames;
    },
    rest: () => pending.length,
  };
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}
