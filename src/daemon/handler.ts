import type { ProgressEvent } from '../contract/events.ts';
import type { Input, OperationName, Output } from '../contract/operations.ts';
import type { Caller } from '../core/caller.ts';
import type { Plan } from '../core/steps.ts';
import type { ServerStream } from './stream.ts';
import type { Parts } from './parts.ts';
import type { VolumeRecord } from '../store/volumes.ts';

/** A request that was identified, parsed, allowed and recorded. */
export interface Request<N extends OperationName> {
  /** UUID; the audit log has it. */
  id: string;
  operation: N;
  input: Input<N>;
  caller: Caller;
  /** The app or fork that the input names, for operations on one. */
  target: VolumeRecord | undefined;
  /** Shows a step or a note to whoever waits. */
  emit: (event: ProgressEvent) => void;
  /** Aborted when the client is gone. */
  gone: AbortSignal;
  /** For operations whose answer is a stream. */
  stream: ServerStream | undefined;
  parts: Parts;
}

/** What an operation does. `plan` computes without acting; where it is absent, `run` is one step. */
export interface Handler<N extends OperationName> {
  /** The plans that `run` would execute, in order. */
  plan?: (request: Request<N>) => Promise<{ plans: Plan[]; unknown?: string[] }>;
  run: (request: Request<N>) => Promise<Output<N>>;
}

/** The table of handlers: an operation without one does not compile. */
export type Handlers = { [N in OperationName]: Handler<N> };
