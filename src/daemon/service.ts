import { AppError } from '../contract/errors.ts';
import type { Caller } from '../core/caller.ts';
import type { Parts } from './parts.ts';

/** Something that the daemon does by itself, without a request. */
export interface Deed {
  /** One of our own parts: `reaper`, `supervisor`. */
  by: string;
  /** As the audit log names it: `fork.expire`. */
  operation: string;
  /** Null: the machine. */
  target: string | null;
  /** What is told with it. */
  more?: Record<string, unknown>;
}

/**
 * Does what nobody asked for as if it had been asked: recorded before and after. What
 * cannot be recorded is not done. `work` gets the UUID that both records have.
 */
export async function byService(parts: Parts, deed: Deed, work: (request: string) => Promise<unknown>): Promise<void> {
  const request = parts.newId();
  const { by, operation, target, more = null } = deed;
  const caller: Caller = { kind: 'service', name: by, evidence: [] };
  const entry = { request, operation, target, caller };
  await parts.audit.append({ ...entry, phase: 'intent', outcome: 'allowed', code: null, arguments: more });
  const after = (outcome: string, code: string | null): Promise<void> =>
    parts.audit
      .append({ ...entry, phase: 'outcome', outcome, code, arguments: null })
      .catch((error: unknown) => parts.log.error('not recorded', { operation, target, outcome, error: String(error) }));
  try {
    await work(request);
  } catch (error) {
    await after('failed', error instanceof AppError ? error.code : 'failed');
    throw error;
  }
  await after('done', null);
}

/** Records what happened by itself. Never throws: what has happened cannot be held back. */
export async function noteEvent(parts: Parts, deed: Deed & { outcome: string }): Promise<void> {
  const { by, operation, target, outcome, more = null } = deed;
  await parts.audit
    .append({
      request: parts.newId(),
      phase: 'event',
      operation,
      target,
      caller: { kind: 'service', name: by, evidence: [] },
      outcome: outcome.slice(0, 500),
      code: null,
      arguments: more,
    })
    .catch((error: unknown) => parts.log.error('not recorded', { operation, target, outcome, error: String(error) }));
}
