import type { ErrorBody } from './errors.ts';

/** One step of what an operation does, as it is shown to whoever waits. */
export interface StepEvent {
  type: 'step';
  /** Stable within a request: the same step starts, lives and ends under one key. */
  key: string;
  /** For people: `base of shop, 128 GiB`. */
  label: string;
  state: 'started' | 'done' | 'failed';
  /** Milliseconds since the step started; at `done` and `failed`. */
  ms?: number;
  /** What came of it: `flushed 3.1 MiB`. */
  detail?: string;
}

/** Something the reader needs to know now that is no step. */
export interface NoteEvent {
  type: 'note';
  level: 'info' | 'warn';
  text: string;
}

/** What an operation sends while it runs, a JSON object a line. */
export type ProgressEvent = StepEvent | NoteEvent;

/** All that may come in an answer of kind `events`; `result` or `error` is the last line. */
export type AnswerEvent = ProgressEvent | { type: 'result'; result: unknown } | { type: 'error'; error: ErrorBody };

/** One step of a plan, as `--plan` prints it. */
export interface PlannedStep {
  key: string;
  label: string;
}

/** The answer to `--plan`: nothing has been done. */
export interface PlanView {
  operation: string;
  target: string;
  steps: PlannedStep[];
  /** What cannot be known before it is done. */
  unknown: string[];
}
