/**
 * Every error that crosses the socket: its stable code, the exit code of the
 * CLI and the HTTP status of the socket, in one table. Codes are never renamed.
 */
export const ERRORS = {
  // 1: it was tried and did not work
  failed: { exit: 1, status: 500, doc: 'the machine would not do it; the message says what and why' },
  'no-pool': { exit: 1, status: 503, doc: 'there is no pool, or it is not mounted' },
  'pool-full': { exit: 1, status: 507, doc: 'the pool is below the floor that is kept for production' },
  'no-room': { exit: 1, status: 507, doc: 'the machine has not enough memory or disk for what was asked' },
  'missing-tool': { exit: 1, status: 501, doc: 'a program that is needed is not installed' },
  unsupported: { exit: 1, status: 501, doc: 'this kernel or system cannot do it' },
  timeout: { exit: 1, status: 504, doc: 'a deadline passed' },
  'hook-failed': { exit: 1, status: 500, doc: 'a hook of the app ended with an error or not at all' },
  'audit-broken': { exit: 1, status: 500, doc: 'the audit log has been changed, shortened or removed' },
  // 2: it was asked wrongly
  usage: { exit: 2, status: 400, doc: 'the request is malformed' },
  'bad-name': { exit: 2, status: 400, doc: 'a name or ref is not allowed' },
  'bad-file': { exit: 2, status: 422, doc: 'bulkhead.yaml has an error' },
  'bad-archive': { exit: 2, status: 422, doc: 'what was uploaded is not what an app may be made of' },
  'not-built': { exit: 2, status: 501, doc: 'this key or option belongs to a part that does not exist yet' },
  'too-large': { exit: 2, status: 413, doc: 'the request is over its size limit' },
  // 3: refused
  refused: { exit: 3, status: 403, doc: 'the policy does not allow it to this caller' },
  'override-refused': { exit: 3, status: 403, doc: 'an environment variable tried to open production' },
  'factor-required': { exit: 3, status: 401, doc: "a code from the person's second factor is needed for exactly this" },
  'factor-wrong': { exit: 3, status: 401, doc: 'the code was wrong, old, or used before' },
  'too-many': { exit: 3, status: 429, doc: 'too many requests, attempts or forks at once' },
  quota: { exit: 3, status: 403, doc: "the caller's quota of forks is used up" },
  // 5, 6: the state of things
  'not-found': { exit: 5, status: 404, doc: 'there is nothing of that name, or nothing that the caller may see' },
  exists: { exit: 6, status: 409, doc: 'the name is taken' },
  busy: { exit: 6, status: 409, doc: 'another operation is working on the same thing' },
  'wrong-state': { exit: 6, status: 409, doc: 'not possible in the state that the thing is in' },
  // 7: nobody answers
  'no-daemon': { exit: 7, status: 503, doc: 'no daemon answers on the socket' },
} as const satisfies Record<string, { exit: number; status: number; doc: string }>;

/** The stable name of an error. */
export type ErrorCode = keyof typeof ERRORS;

/** An error as it crosses the socket. */
export interface ErrorBody {
  code: ErrorCode;
  /** One sentence of what, for a person: the action, the quoted values, the state. */
  message: string;
  /** One sentence of why, where it helps. */
  why?: string;
  /** Commands that would work, most useful first. */
  next: string[];
  /** The request's UUID: the audit log has it too. */
  request?: string;
}

/** The one error class. Refusals inside `core/` are values; this is what leaves a handler. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly why: string | undefined;
  readonly next: string[];

  constructor(
    code: ErrorCode,
    message: string,
    more: { why?: string | undefined; next?: readonly string[]; cause?: unknown } = {},
  ) {
    super(message, { cause: more.cause });
    this.name = 'AppError';
    this.code = code;
    this.why = more.why;
    this.next = [...(more.next ?? [])];
  }

  /** What is sent to the caller; `cause` stays here. */
  body(request?: string): ErrorBody {
    return {
      code: this.code,
      message: this.message,
      ...(this.why === undefined ? {} : { why: this.why }),
      next: this.next,
      ...(request === undefined ? {} : { request }),
    };
  }

  static from(body: ErrorBody): AppError {
    return new AppError(body.code, body.message, { why: body.why, next: body.next });
  }
}
