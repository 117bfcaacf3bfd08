import { AppError } from '../contract/errors.ts';
import type { AppFile } from '../contract/app-file.ts';
import type { OperationName } from '../contract/operations.ts';
import type { Subject } from '../core/plans.ts';
import { limitsOf, whyNotFit } from '../core/room.ts';
import type { VolumeRecord } from '../store/volumes.ts';
import { refOf } from './cell-spec.ts';
import type { Request } from './handler.ts';
import type { Parts } from './parts.ts';
import { fileOf } from './steps.ts';

/** The app or fork that a request is about; the pipeline has looked it up. */
export function needTarget<N extends OperationName>(request: Request<N>): VolumeRecord {
  if (request.target === undefined)
    throw new AppError('not-found', 'There is no such app or fork', { next: ['bulkhead ls'] });
  return request.target;
}

/** The request's app or fork as it is now: since it was looked up another operation may have moved it. Throws `not-found`. */
export function asItIs<N extends OperationName>(request: Request<N>): VolumeRecord {
  const seen = needTarget(request);
  const record = request.parts.store.volumes.byId(seen.id);
  if (record?.state === 'ready' && refOf(record) === refOf(seen)) return record;
  throw new AppError('not-found', `"${refOf(seen)}" is gone`, { next: ['bulkhead ls', 'bulkhead trash ls'] });
}

/** Milliseconds until whoever waits for a name is told so. */
const TOLD_AFTER = 1000;

/**
 * Runs with the request's app or fork held, as it is then; what an agent or a cell has begun on it comes to its end first.
 * Throws `busy`, or `not-found` where it is gone.
 */
export async function holdTarget<N extends OperationName, T>(
  request: Request<N>,
  work: (record: VolumeRecord) => Promise<T>,
): Promise<T> {
  const { parts, caller, emit, gone } = request;
  const ref = refOf(needTarget(request));
  const text = `Another operation is working on "${ref}"; this one comes next`;
  const told = setTimeout(() => emit({ type: 'note', level: 'info', text }), TOLD_AFTER);
  const begin = async (): Promise<T> => {
    clearTimeout(told);
    if (gone.aborted) throw new AppError('failed', 'The client left before it began');
    return work(asItIs(request));
  };
  return parts.locks.hold([ref], begin, { rank: caller.kind }).finally(() => clearTimeout(told));
}

/** Milliseconds that a costly question waits for the same user's one before. */
const IN_TURN = 60_000;

/**
 * Answers a question that costs much (`doctor` starts some twenty programs, the log is read through) one at a time for
 * each user: sixty at once left nobody else an answer for ten seconds. The name is none that an app can have.
 */
export function inTurn<N extends OperationName, T>({ parts, caller }: Request<N>, work: () => Promise<T>): Promise<T> {
  const who = 'uid' in caller ? `uid ${caller.uid}` : caller.name;
  return parts.locks.hold([`questions of ${who}`], work, { wait: IN_TURN });
}

/** What plans need to know of it, as it is now. */
export function subject(parts: Parts, record: VolumeRecord): Subject {
  return {
    id: record.id,
    ref: refOf(record),
    kind: record.kind,
    file: fileOf(parts, record.id),
    running: parts.supervisor.running(record.id),
  };
}

/** Room in the pool with its floor. Throws `no-pool`. */
export async function poolRoom(parts: Parts): Promise<{ size: number; used: number; free: number; floor: number }> {
  const room = await parts.volumes.room();
  const why = parts.poolStart.problem();
  if (room === undefined || why !== undefined)
    throw new AppError('no-pool', 'There is no pool: none was made, or it is not mounted', {
      why,
      next: why === undefined ? ['sudo bulkhead init', 'bulkhead doctor'] : ['bulkhead doctor', 'bulkhead status'],
    });
  return { size: room.size, used: room.used, free: room.free, floor: parts.floor() };
}

/** Throws `no-room`, with figures, when one more fork would not fit beside those that run. */
export function needFit(parts: Parts, file: AppFile, ref: string): void {
  const running = parts.store.volumes
    .list()
    .filter((record) => record.kind === 'fork' && refOf(record) !== ref)
    // One that starts at the same moment counts as well.
    .filter(({ id }) => parts.supervisor.running(id) || parts.supervisor.state(id).state === 'starting')
    .map((record) => limitsOf('fork', fileOf(parts, record.id), parts.machine).memory);
  const reason = whyNotFit(limitsOf('fork', file, parts.machine).memory, running, parts.machine);
  if (reason !== undefined)
    throw new AppError('no-room', `Cannot start ${ref}: ${reason.message}`, {
      why: reason.why,
      next: ['bulkhead ls', 'bulkhead down FORK'],
    });
}
