import { AppError } from '../contract/errors.ts';
import { OPERATIONS } from '../contract/operations.ts';
import type { Operation } from '../contract/operation.ts';
import type { Id } from '../core/ids.ts';
import type { Request } from './handler.ts';
import { targetOf } from './target.ts';

/**
 * Asks the policy again, and counts a fork for its owner's quota from here on, until `make` has ended: whoever asks
 * for many at the same moment passed the first look with all of them. Nothing waits between the look and the count.
 * Throws what the policy says.
 */
export async function counted<T>(
  request: Request<'fork.create'> | Request<'trash.restore'>,
  id: Id,
  make: () => Promise<T>,
): Promise<T> {
  const { parts, caller, input, operation: name } = request;
  const operation = OPERATIONS[name] as unknown as Operation;
  const verdict = parts.policy(operation, name, caller, targetOf(parts, name, input, caller), { ...input });
  if (!verdict.allowed) throw new AppError(verdict.code, verdict.message, { why: verdict.why, next: verdict.next });
  if ('uid' in caller) parts.forking.set(id, caller.uid);
  try {
    return await make();
  } finally {
    parts.forking.delete(id);
  }
}
