import type { Fields, Value } from './fields.ts';

/** What an operation does to its target. */
export type Effect = 'read' | 'create' | 'change' | 'destroy';

/**
 * What an operation acts on.
 * `machine`: the machine, its pool and everything on it.
 * `authority`: what decides who may do what: factors, accepted files, the trash's end.
 * `self`: the caller's own standing (`whoami`, `sign-in`).
 * `app`: production, always. `fork`: a fork, always. `ref`: either, as the input's `ref` says.
 */
export type Target = 'machine' | 'authority' | 'self' | 'app' | 'fork' | 'ref';

/** Declares one thing that can be asked of the system. */
export interface Operation<I extends Fields = Fields, O extends Fields = Fields> {
  /** What the operation does, in one line. */
  doc: string;
  effect: Effect;
  target: Target;
  input: I;
  output: O;
  /** The words of the command line, `trash ls`. Absent: only other programs ask it. */
  command: string;
  /** Command lines that work, first the plainest. */
  examples: readonly string[];
  /** The rest of the help: what a person would ask next. */
  detail?: string;
  /** `stream`: HTTP Upgrade to bulkhead/1. `events`: progress as JSON lines. */
  answer?: 'stream' | 'events';
  /** Reading an app's data counts as changing it (no point is taken). */
  data?: boolean;
  /** Asks the person's factor each time, also where they have signed in. */
  factor?: 'always' | 'production';
  /** Answered before a factor is enrolled, to uid 0 alone. */
  beforeInit?: boolean;
  /** False where an operation changes production but a point before it would say nothing (`up` of what is up). */
  point?: boolean;
  /** False for an operation that changes something without a plan to show: sessions, sign-in. */
  plan?: boolean;
}

/** Declares an operation, keeping its exact field types. */
export function operation<I extends Fields, O extends Fields>(declared: Operation<I, O>): Operation<I, O> {
  return declared;
}

export type InputOf<Op> = Op extends Operation<infer I, Fields> ? Value<I> : never;
export type OutputOf<Op> = Op extends Operation<Fields, infer O> ? Value<O> : never;
