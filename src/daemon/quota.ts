import { AppError } from '../contract/errors.ts';
import { OPERATIONS } from '../contract/operations.ts';
import type { Operation } from '../contract/operation.ts';
import type { Id } from '../core/ids.ts';
import { quote } from '../contract/names.ts';
import { OLD_CONTENTS_MOST, TRASH_MOST } from '../core/retention.ts';
import type { Request } from './handler.ts';
import type { Parts } from './parts.ts';
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
  if (name === 'fork.create' && caller.kind === 'unproven') demandTrash(parts, String(input.ref), { uid: caller.uid });
  if ('uid' in caller) parts.forking.set(id, caller.uid);
  try {
    return await make();
  } finally {
    parts.forking.delete(id);
  }
}

/**
 * What is removed stays for a week, some 90 KiB of the pool's metadata each even where it was empty: whoever makes and
 * removes forks in a loop would have the pool at its floor in a day, and every fork of the machine stand still.
 * Throws `quota`.
 */
export function demandTrash(parts: Parts, ref: string, of: { uid: number } | { volume: Id }): void {
  const there = parts.store.trash.count(of);
  const most = 'uid' in of ? TRASH_MOST : OLD_CONTENTS_MOST;
  if (there < most) return;
  const what =
    'uid' in of
      ? `fork ${quote(ref)}: ${there} removed forks of yours`
      : `reset ${quote(ref)}: what it held before, ${there} times,`;
  throw new AppError('quota', `Cannot ${what} ${'uid' in of ? 'are' : 'is'} in the trash`, {
    why: 'They go by themselves a week after they came there; a person may purge them earlier.',
    next: ['bulkhead trash ls'],
  });
}
