import type { FileHandle } from 'node:fs/promises';

/** Bytes that are read at a time. */
const PIECE = 64 << 10;
const NEWLINE = 10;

/** A line without its end. Bytes, since a text could hide what was changed, and splits at more than newlines. */
export interface Line {
  bytes: Buffer;
  /** False for a last line that has no end, and for one over the limit. */
  whole: boolean;
}

/** Lines of the first `size` bytes, in order. A line over `limit` bytes is given cut, and is the last. */
export async function* linesForwards(handle: FileHandle, size: number, limit: number): AsyncGenerator<Line> {
  let rest: Buffer = Buffer.alloc(0);
  for (let at = 0; at < size;) {
    const piece = await readPiece(handle, at, Math.min(PIECE, size - at));
    if (piece.length === 0) break;
    at += piece.length;
    rest = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
    for (let end = rest.indexOf(NEWLINE); end !== -1; end = rest.indexOf(NEWLINE)) {
      yield { bytes: rest.subarray(0, end), whole: true };
      rest = rest.subarray(end + 1);
    }
    if (rest.length > limit) break;
  }
  if (rest.length > 0) yield { bytes: rest.subarray(0, limit), whole: false };
}

/** The same from the end to the start, looking at no more than `most` bytes. */
export async function* linesBackwards(
  handle: FileHandle,
  size: number,
  { limit, most }: { limit: number; most: number },
): AsyncGenerator<Line> {
  let rest: Buffer = Buffer.alloc(0);
  let whole = false;
  for (let at = size; at > 0 && size - at < most;) {
    const from = Math.max(0, at - PIECE);
    const piece = await readPiece(handle, from, at - from);
    rest = rest.length === 0 ? piece : Buffer.concat([piece, rest]);
    at = from;
    for (let end = rest.lastIndexOf(NEWLINE); end !== -1; end = rest.lastIndexOf(NEWLINE)) {
      const bytes = rest.subarray(end + 1);
      // What stands after the last end is no line when it is empty, and a torn one when it is not.
      if (whole || bytes.length > 0) yield { bytes, whole };
      whole = true;
      rest = rest.subarray(0, end);
    }
    if (rest.length > limit) return yield { bytes: rest.subarray(-limit), whole: false };
    if (at === 0 && (whole || rest.length > 0)) yield { bytes: rest, whole };
  }
}

async function readPiece(handle: FileHandle, from: number, length: number): Promise<Buffer> {
  const piece = Buffer.allocUnsafe(length);
  const { bytesRead } = await handle.read(piece, 0, length, from);
  return piece.subarray(0, bytesRead);
}
