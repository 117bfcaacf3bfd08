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

/**
 * Cuts a byte stream into frames. `push` throws on a frame over the limit or an unknown channel.
 * What waits for its rest is copied once in a doubling of its length, however small the pieces come.
 */
export function createFrameReader(): { push(chunk: Uint8Array): Frame[]; rest(): number } {
  let buffer: Uint8Array<ArrayBufferLike> = new Uint8Array(0);
  let used = 0;
  const add = (chunk: Uint8Array): Uint8Array => {
    if (used === 0) return chunk;
    if (used + chunk.length > buffer.length) {
      const larger = new Uint8Array(Math.max(used + chunk.length, 2 * buffer.length));
      larger.set(buffer.subarray(0, used));
      buffer = larger;
    }
    buffer.set(chunk, used);
    return buffer.subarray(0, used + chunk.length);
  };
  return {
    push(chunk) {
      const bytes = add(chunk);
      const { frames, at } = framesIn(bytes);
      const kept = bytes.length - at;
      // The frames look into these bytes, so what follows them gets its own.
      if (kept > 0 && (at > 0 || used === 0)) buffer = bytes.slice(at);
      used = kept;
      return frames;
    },
    rest: () => used,
  };
}

/** The whole frames at the beginning of `bytes`, and where they end. */
function framesIn(bytes: Uint8Array): { frames: Frame[]; at: number } {
  const frames: Frame[] = [];
  let at = 0;
  while (bytes.length - at >= FRAME_HEADER) {
    const view = new DataView(bytes.buffer, bytes.byteOffset + at, FRAME_HEADER);
    const channel = view.getUint8(0);
    const length = view.getUint32(1);
    if (channel > CHANNEL.control) throw new RangeError(`unknown channel ${channel}`);
    if (length > FRAME_LIMIT) throw new RangeError(`a frame of ${length} bytes is over the limit of ${FRAME_LIMIT}`);
    const end = at + FRAME_HEADER + length;
    if (bytes.length < end) break;
    frames.push({ channel, payload: bytes.subarray(at + FRAME_HEADER, end) });
    at = end;
  }
  return { frames, at };
}
