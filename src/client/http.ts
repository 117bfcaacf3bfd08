import { connect, type Socket } from 'node:net';
import { AppError, ERRORS, type ErrorBody } from '../contract/errors.ts';
import { PROTOCOL } from '../contract/protocol.ts';
import { unreachable } from './unreachable.ts';

/*
 * HTTP/1.1 (RFC 9112) as far as the daemon speaks it: one request on a connection, an
 * answer with a length or in chunks. On node:net, since node:http took 6 ms more from
 * the request to the answer in a fresh process, which is what a command line always is.
 */

/** An answer is never longer, nor a line of it; nor are headers. Bytes. */
const LONGEST = 64 << 20;
const HEADERS_LONGEST = 16 << 10;

interface Head {
  status: number;
  headers: ReadonlyMap<string, string>;
}

/**
 * Asks one operation. Calls back for each line but the last of an answer in lines;
 * returns the last line, or the whole of an answer in one piece. Throws AppError.
 */
export async function post(
  path: string,
  operation: string,
  body: unknown,
  onLine: (line: unknown) => void,
  signal?: AbortSignal,
): Promise<unknown> {
  const text = Buffer.from(JSON.stringify(body));
  const connection = connect({ path });
  const abort = (): void => void connection.destroy(new Error('it did not answer in time'));
  signal?.addEventListener('abort', abort, { once: true });
  try {
    connection.write(
      `POST /v1/${operation} HTTP/1.1\r\nHost: bulkhead\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${text.length}\r\n\r\n`,
    );
    connection.write(text);
    const { headers } = await readHead(connection);
    const pieces = bodyOf(connection, headers);
    return headers.get('content-type') === 'application/x-ndjson'
      ? await readLines(pieces, onLine)
      : await readWhole(pieces);
  } catch (error) {
    throw unreachable(error, path);
  } finally {
    signal?.removeEventListener('abort', abort);
    connection.destroy();
  }
}

/** Opens a `bulkhead/1` connection for one operation. Throws AppError. */
export async function upgrade(path: string, operation: string): Promise<Socket> {
  const connection = connect({ path, allowHalfOpen: true });
  try {
    connection.write(
      `GET /v1/${operation} HTTP/1.1\r\nHost: bulkhead\r\nConnection: Upgrade\r\nUpgrade: ${PROTOCOL}\r\n\r\n`,
    );
    const { status, headers } = await readHead(connection);
    if (status === 101) return connection;
    await readWhole(bodyOf(connection, headers));
    throw malformed();
  } catch (error) {
    connection.destroy();
    throw unreachable(error, path);
  }
}

/** Reads status and headers; what came after them is still to be read. */
function readHead(connection: Socket): Promise<Head> {
  return new Promise((resolve, reject) => {
    let seen = Buffer.alloc(0);
    const finish = (): void =>
      void connection.pause().off('data', take).off('end', gone).off('error', reject).off('close', gone);
    const gone = (): void => reject(cutOff());
    const take = (chunk: Buffer): void => {
      seen = Buffer.concat([seen, chunk]);
      const end = seen.indexOf('\r\n\r\n');
      if (end === -1 && seen.length <= HEADERS_LONGEST) return;
      finish();
      if (end === -1) return reject(malformed());
      if (seen.length > end + 4) connection.unshift(seen.subarray(end + 4));
      try {
        resolve(parseHead(seen.toString('latin1', 0, end)));
      } catch (error) {
        reject(error as Error);
      }
    };
    connection.on('data', take).on('end', gone).on('error', reject).on('close', gone);
  });
}

function parseHead(text: string): Head {
  const [first = '', ...lines] = text.split('\r\n');
  const status = /^HTTP\/1\.1 (\d{3}) /.exec(first)?.[1];
  if (status === undefined) throw malformed();
  const headers = lines.map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
  });
  return { status: Number(status), headers: new Map(headers) };
}

async function* bodyOf(connection: Socket, headers: Head['headers']): AsyncGenerator<Buffer> {
  if (headers.get('transfer-encoding') === 'chunked') return yield* chunksOf(connection);
  let left = Number(headers.get('content-length') ?? 0);
  if (left === 0) return;
  for await (const piece of connection as AsyncIterable<Buffer>) {
    yield piece.subarray(0, left);
    left -= piece.length;
    if (left <= 0) return;
  }
  throw cutOff();
}

/** `SIZE in hex CRLF, bytes, CRLF`, until a size of 0 (RFC 9112, section 7.1). */
async function* chunksOf(connection: Socket): AsyncGenerator<Buffer> {
  let pending: Buffer = Buffer.alloc(0);
  for await (const piece of connection as AsyncIterable<Buffer>) {
    pending = pending.length === 0 ? piece : Buffer.concat([pending, piece]);
    for (let line = pending.indexOf('\r\n'); line !== -1; line = pending.indexOf('\r\n')) {
      const size = Number.parseInt(pending.toString('latin1', 0, line), 16);
      if (!(size >= 0 && size <= LONGEST)) throw malformed();
      if (size === 0) return;
      if (pending.length < line + 2 + size + 2) break;
      yield pending.subarray(line + 2, line + 2 + size);
      pending = pending.subarray(line + 2 + size + 2);
    }
    if (pending.length > LONGEST) throw malformed();
  }
  throw cutOff();
}

async function readWhole(pieces: AsyncIterable<Buffer>): Promise<unknown> {
  const all: Buffer[] = [];
  let size = 0;
  for await (const piece of pieces) {
    size += piece.length;
    if (size > LONGEST) throw malformed();
    all.push(piece);
  }
  const value = parse(Buffer.concat(all).toString('utf8'));
  if (typeof value === 'object' && value !== null && 'error' in value) throw toError(value.error);
  return value;
}

async function readLines(pieces: AsyncIterable<Buffer>, onLine: (line: unknown) => void): Promise<unknown> {
  const decoder = new TextDecoder();
  let pending = '';
  for await (const piece of pieces) {
    const lines = (pending + decoder.decode(piece, { stream: true })).split('\n');
    pending = lines.pop() ?? '';
    if (pending.length > LONGEST) throw malformed();
    for (const line of lines) {
      const value = parse(line);
      const type = typeof value === 'object' && value !== null && 'type' in value ? value.type : undefined;
      if (type === 'result') return value;
      if (type === 'error') throw toError((value as { error?: unknown }).error);
      onLine(value);
    }
  }
  throw cutOff();
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw malformed(error);
  }
}

/** An error as it was sent; one whose code this client does not know is `failed`. */
export function toError(value: unknown): AppError & { request?: string } {
  const body = (typeof value === 'object' && value !== null ? value : {}) as Partial<ErrorBody>;
  const known = typeof body.code === 'string' && Object.hasOwn(ERRORS, body.code);
  const error = AppError.from({
    code: known ? (body.code as ErrorBody['code']) : 'failed',
    message: typeof body.message === 'string' ? body.message : 'The daemon answered with an error that says nothing',
    ...(typeof body.why === 'string' ? { why: body.why } : {}),
    next: Array.isArray(body.next) ? body.next.map(String) : [],
  });
  return typeof body.request === 'string' ? Object.assign(error, { request: body.request }) : error;
}

const cutOff = (): Error =>
  Object.assign(new Error('the connection ended before the answer did'), { code: 'ECONNRESET' });

const malformed = (cause?: unknown): AppError =>
  new AppError('failed', 'What answers on the socket does not speak as a daemon of this version does', {
    next: ['bulkhead status', 'bulkhead --version'],
    cause,
  });
