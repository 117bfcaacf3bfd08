import { request, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { AppError, type ErrorBody } from '../contract/errors.ts';
import type { AnswerEvent, PlanView, ProgressEvent } from '../contract/events.ts';
import type { Input, OperationName, Output } from '../contract/operations.ts';
import { PROTOCOL } from '../contract/protocol.ts';
import { createClientStream, type ClientStream } from './stream.ts';

/** What may come with a request beside its input. */
export interface CallOptions {
  /** Code of the second factor. */
  code?: string | undefined;
  onEvent?: (event: ProgressEvent) => void;
}

/** Typed calls over the daemon's socket. It holds no keys and decides nothing. */
export interface Client {
  /** Throws the daemon's error, or `no-daemon`. */
  call<N extends OperationName>(name: N, input: Input<N>, options?: CallOptions): Promise<Output<N>>;
  /** What the operation would do. */
  plan<N extends OperationName>(name: N, input: Input<N>): Promise<PlanView>;
  /** Opens a stream; its first control frame has been sent. */
  stream<N extends OperationName>(name: N, input: Input<N>, options?: { code?: string | undefined }): Promise<ClientStream>;
}

export function connect(socketPath: string): Client {
  async function post(name: OperationName, body: unknown, onEvent: (event: ProgressEvent) => void): Promise<unknown> {
    const text = JSON.stringify(body);
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const sent = request(
        {
          socketPath,
          method: 'POST',
          path: `/v1/${name}`,
          headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
          agent: false,
        },
        resolve,
      );
      sent.on('error', (error: NodeJS.ErrnoException) => reject(noDaemon(socketPath, error)));
      sent.end(text);
    });
    if (response.headers['content-type'] === 'application/x-ndjson') return lines(response, onEvent);
    const answer = parse(await textOf(response)) as { error?: ErrorBody };
    if (answer.error !== undefined) throw AppError.from(answer.error);
    return answer;
  }

  return {
    async call(name, input, options = {}) {
      const answer = await post(name, { input, code: options.code }, options.onEvent ?? (() => {}));
      return (answer as { result: Output<typeof name> }).result;
    },
    async plan(name, input) {
      const answer = await post(name, { input, plan: true }, () => {});
      return (answer as { plan: PlanView }).plan;
    },
    async stream(name, input, options = {}) {
      const { socket, head } = await upgrade(socketPath, name);
      return createClientStream(socket, head, { type: 'open', input, ...(options.code === undefined ? {} : { code: options.code }) });
    },
  };
}

async function lines(response: IncomingMessage, onEvent: (event: ProgressEvent) => void): Promise<unknown> {
  let rest = '';
  response.setEncoding('utf8');
  for await (const chunk of response as AsyncIterable<string>) {
    const parts = (rest + chunk).split('\n');
    rest = parts.pop() ?? '';
    for (const line of parts) {
      const event = parse(line) as AnswerEvent;
      if (event.type === 'result') return { result: event.result };
      if (event.type === 'error') throw AppError.from(event.error);
      onEvent(event);
    }
  }
  throw new AppError('no-daemon', 'The daemon went away before it had answered', { next: ['bulkhead status'] });
}

function upgrade(socketPath: string, name: OperationName): Promise<{ socket: Duplex; head: Buffer }> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, method: 'GET', path: `/v1/${name}`, headers: { connection: 'Upgrade', upgrade: PROTOCOL }, agent: false });
    sent.on('upgrade', (_response, socket, head) => resolve({ socket, head }));
    sent.on('response', (response) => {
      void textOf(response).then((text) => {
        const { error } = parse(text) as { error?: ErrorBody };
        reject(error === undefined ? new AppError('failed', `The daemon answered ${response.statusCode}`) : AppError.from(error));
      }, reject);
    });
    sent.on('error', (error: NodeJS.ErrnoException) => reject(noDaemon(socketPath, error)));
    sent.end();
  });
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new AppError('failed', 'The daemon answered with something that is not JSON');
  }
}

function noDaemon(socketPath: string, error: NodeJS.ErrnoException): AppError {
  if (error.code === 'EACCES' || error.code === 'EPERM')
    return new AppError('no-daemon', `You may not connect to ${socketPath}`, {
      why: 'Members of the group bulkhead and enrolled persons may.',
      next: ['sudo usermod -aG bulkhead $USER', 'sudo bulkhead status'],
      cause: error,
    });
  return new AppError('no-daemon', `No daemon answers on ${socketPath}`, {
    why: error.code === 'ENOENT' || error.code === 'ECONNREFUSED' ? undefined : error.message,
    next: ['sudo bulkhead daemon', 'sudo bulkhead init'],
    cause: error,
  });
}
