import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import { rm } from 'node:fs/promises';
import { uptime } from 'node:os';
import { AppError, ERRORS, type ErrorBody } from '../contract/errors.ts';
import type { AnswerEvent } from '../contract/events.ts';
import { isOperation, OPERATIONS, type OperationName } from '../contract/operations.ts';
import { PROTOCOL } from '../contract/protocol.ts';
import type { Operation } from '../contract/operation.ts';
import type { Channel, Listen } from './cell-sockets.ts';
import { createLimiter, type Limiter } from './limits.ts';
import { toBody } from './error-body.ts';
import { createServerStream } from './stream.ts';
import type { Pipeline } from './pipeline.ts';

/** A request's body may have as many bytes. */
const BODY_LIMIT = 256 << 10;
/**
 * Connections that wait to be accepted. Where the queue is full a connect(2) that does not block fails
 * with EAGAIN, so one user who connects faster than they are taken would shut out the others: as long
 * as the kernel allows (net.core.somaxconn, 4096 since Linux 5.4).
 */
const QUEUE = 4096;
/** Milliseconds for a whole request to arrive. */
const ARRIVE = 10_000;

/** Answers on Unix sockets: HTTP with routes from the operations table, and `bulkhead/1` streams. */
export interface DaemonServer {
  listen: Listen;
  /** Stops taking requests, and ends the connections. */
  close(): Promise<void>;
}

export function createDaemonServer(pipeline: Pipeline, limiter: Limiter = createLimiter()): DaemonServer {
  const servers = new Set<Server>();
  const sockets = new Set<Duplex>();
  /** When each connection was made, in milliseconds after boot: what is typed connects at once. */
  const accepted = new WeakMap<Duplex, number>();

  const listen: Listen = async (file, channel) => {
    const server = createServer({
      maxHeaderSize: 16 << 10,
      requestTimeout: ARRIVE,
      headersTimeout: ARRIVE,
      connectionsCheckingInterval: ARRIVE / 2,
    });
    server.maxConnections = channel.channel === 'cell' ? 64 : 1024;
    server.on('connection', (socket) => accept(socket));
    server.on('request', (request, response) => void answer(request, response, channel));
    server.on('upgrade', (request, socket, head) => void upgrade(request, socket, head, channel));
    server.on('clientError', (_error, socket) => {
      if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    });
    await rm(file, { force: true });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(file, QUEUE, resolve);
    });
    servers.add(server);
    return () => endServer(server);
  };

  /** Nobody may take all connections, so that others find none. */
  const accept = (socket: Socket): void => {
    try {
      const done = limiter.connect(fdOf(socket));
      accepted.set(socket, uptime() * 1000);
      sockets.add(socket);
      socket.on('close', () => {
        sockets.delete(socket);
        done();
      });
    } catch (error) {
      socket.on('error', () => {});
      refuseUpgrade(socket, toBody(error), false);
      socket.destroySoon();
    }
  };

  const endServer = (server: Server): Promise<void> =>
    new Promise((resolve) => {
      servers.delete(server);
      server.close(() => resolve());
      server.closeAllConnections();
    });

  async function answer(request: IncomingMessage, response: ServerResponse, channel: Channel): Promise<void> {
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    const reply = createReply(response);
    try {
      const fd = fdOf(request.socket);
      const name = route(request, 'POST');
      const done = limiter.enter(fd);
      try {
        const body = await readBody(request);
        await pipeline.request({
          name,
          channel,
          // Again: once a connection has ended, its number may be another's.
          fd: fdOf(request.socket),
          connected: accepted.get(request.socket),
          body,
          gone: gone.signal,
          emit: reply.event,
          reply: reply.result,
        });
      } finally {
        done();
      }
    } catch (error) {
      reply.error(toBody(error));
    }
  }

  async function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, channel: Channel): Promise<void> {
    socket.on('error', () => {});
    let done: (() => void) | undefined;
    try {
      const name = route(request, 'GET');
      if (request.headers.upgrade !== PROTOCOL || declared(name).answer !== 'stream')
        throw new AppError(
          'usage',
          `The operation "${name}" has no stream "${String(request.headers.upgrade).slice(0, 40)}"`,
        );
      const fd = fdOf(socket as Socket);
      done = limiter.enter(fd);
      socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${PROTOCOL}\r\n\r\n`);
      const stream = createServerStream(socket, head);
      await pipeline.stream({ name, channel, fd, connected: accepted.get(socket), stream });
    } catch (error) {
      refuseUpgrade(socket, toBody(error), done !== undefined);
    } finally {
      done?.();
    }
  }

  return {
    listen,
    async close() {
      const ended = [...servers].map(endServer);
      // A server has ended when its last connection has, and nobody else ends those of streams.
      for (const socket of sockets) socket.destroy();
      await Promise.all(ended);
    },
  };
}

const declared = (name: OperationName): Operation => OPERATIONS[name] as unknown as Operation;

/** The descriptor of an accepted connection: Node keeps it on a private handle. */
function fdOf(socket: Socket): number {
  const fd = (socket as unknown as { _handle?: { fd?: number } })._handle?.fd;
  if (fd === undefined || fd < 0) throw new AppError('failed', 'The connection has ended');
  return fd;
}

function route(request: IncomingMessage, method: 'GET' | 'POST'): OperationName {
  const name = /^\/v1\/([a-z-]+\.[a-z-]+)$/.exec(request.url ?? '')?.[1] ?? '';
  if (request.method !== method || !isOperation(name))
    throw new AppError('usage', `There is no operation at ${request.method} ${(request.url ?? '').slice(0, 80)}`, {
      next: ['bulkhead help'],
    });
  return name;
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  if (Number(request.headers['content-length'] ?? 0) > BODY_LIMIT) throw tooLarge();
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > BODY_LIMIT) throw tooLarge();
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8') || '{}');
  } catch {
    throw new AppError('usage', 'The request is not JSON');
  }
}

const tooLarge = (): AppError => new AppError('too-large', `The request is over the limit of ${BODY_LIMIT >> 10} KiB`);

interface Reply {
  event: (event: AnswerEvent) => void;
  result: (value: unknown) => void;
  error: (error: ErrorBody) => void;
}

/** JSON for a plain answer; JSON lines from the first event on. */
function createReply(response: ServerResponse): Reply {
  let lines = false;
  const event = (value: AnswerEvent): void => {
    if (response.destroyed || response.writableEnded) return;
    if (!lines) {
      lines = true;
      response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    }
    response.write(`${JSON.stringify(value)}\n`);
  };
  const finish = (status: number, whole: unknown, last: AnswerEvent): void => {
    if (response.destroyed || response.writableEnded) return;
    if (lines) return void response.end(`${JSON.stringify(last)}\n`);
    const text = JSON.stringify(whole);
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
    response.end(text);
  };
  return {
    event,
    result: (value) => finish(200, value, { type: 'result', result: (value as { result?: unknown }).result }),
    error: (error) => finish(ERRORS[error.code].status, { error }, { type: 'error', error }),
  };
}

function refuseUpgrade(socket: Duplex, error: ErrorBody, upgraded: boolean): void {
  if (upgraded || !socket.writable) return void socket.destroy();
  const text = JSON.stringify({ error });
  socket.end(
    `HTTP/1.1 ${ERRORS[error.code].status} Refused\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  );
}
