import type { PlanView, ProgressEvent } from '../contract/events.ts';
import type { Input, OperationName, Output } from '../contract/operations.ts';
import type { OpenMessage } from '../contract/protocol.ts';
import { post, upgrade } from './http.ts';
import { createClientStream, type ClientStream, type StreamEnd, type StreamHooks } from './stream.ts';
import { unreachable } from './unreachable.ts';

/** What may come with a call beside its input. */
export interface CallOptions {
  /** A code of the second factor, for what asks it each time. */
  code?: string | undefined;
  /** Steps and notes, as they come. */
  onEvent?: (event: ProgressEvent) => void;
  /** Gives up when it is aborted. */
  signal?: AbortSignal;
}

/** Typed calls to the daemon over one Unix socket. Each opens a connection of its own; all throw AppError. */
export interface Client {
  readonly socket: string;
  call<N extends OperationName>(operation: N, input: Input<N>, options?: CallOptions): Promise<Output<N>>;
  /** What a call would do, without doing it. */
  plan<N extends OperationName>(operation: N, input: Input<N>): Promise<PlanView>;
  /** Opens a stream, for operations whose answer is one. */
  stream<N extends OperationName>(
    operation: N,
    input: Input<N>,
    options: Pick<CallOptions, 'code'> & StreamHooks,
  ): Promise<ClientStream>;
}

/** A client of the daemon on `socket`. Nothing is opened before the first call. */
export function connect({ socket }: { socket: string }): Client {
  return {
    socket,
    async call<N extends OperationName>(operation: N, input: Input<N>, options: CallOptions = {}) {
      const { code, onEvent = () => {}, signal } = options;
      const body = { input, ...(code === undefined ? {} : { code }) };
      const answer = await post(socket, operation, body, (line) => onEvent(line as ProgressEvent), signal);
      // The daemon of the same version answers by the same table; what it says is not parsed again.
      return (answer as { result: Output<N> }).result;
    },
    async plan(operation, input) {
      const answer = await post(socket, operation, { input, plan: true }, () => {});
      const whole = answer as { plan?: PlanView; result?: PlanView };
      return (whole.plan ?? whole.result) as PlanView;
    },
    async stream(operation, input, { code, ...hooks }) {
      const connection = await upgrade(socket, operation);
      const open: OpenMessage = { type: 'open', input, ...(code === undefined ? {} : { code }) };
      return createClientStream(connection, open, hooks);
    },
  };
}

/** The result of a stream that has ended. Throws what the daemon said, or that it has gone. */
export function resultOf<T>(end: StreamEnd, socket: string): T {
  if (end.kind === 'error') throw end.error;
  if (end.kind === 'lost') throw unreachable(end.cause, socket);
  return end.result as T;
}
