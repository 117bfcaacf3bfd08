import { escapeText } from '../../contract/names.ts';

/** Output of something in a cell as a line of JSON: text where it is UTF-8, else base64. */
export function outputObject(stream: 'stdout' | 'stderr', bytes: Uint8Array): object {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = buffer.toString('utf8');
  if (Buffer.byteLength(text) === buffer.length && !text.includes('\ufffd')) return { type: 'output', stream, text };
  return { type: 'output', stream, base64: buffer.toString('base64') };
}

/** Colours (SGR), tabs and line ends may stay: they move nothing. */
const HARMLESS = /(\u001b\[[0-9;]*m|\t|\r?\n)/;

/** For a terminal: escapes what could move the cursor, set a title or answer a query. Bytes for everything else. */
export function createLineFilter(to: { isTTY?: boolean }): (bytes: Uint8Array) => Uint8Array {
  if (to.isTTY !== true) return (bytes) => bytes;
  const decoder = new TextDecoder();
  return (bytes) => {
    const parts = decoder.decode(bytes, { stream: true }).split(HARMLESS);
    return Buffer.from(parts.map((part, at) => (at % 2 === 1 ? part : escapeText(part))).join(''));
  };
}
