import { AppError } from '../contract/errors.ts';
import { peerCredentials } from '../host/syscalls.ts';
import type { RecordBudget } from './record-budget.ts';

/** Requests and streams that one uid may have open at once. */
const AT_ONCE = 64;
/** Connections, whether something is asked through them or not. */
const CONNECTIONS = 128;
/** Bytes that any request costs in the audit log. */
const LEAST = 512;

/** Bounds how much one caller can ask at the same time, by the uid that the kernel names. */
export interface Limiter {
  /** Counts a connection; the result counts it out. Throws `too-many`. */
  connect(fd: number): () => void;
  /** Counts a request in; the result counts it out. Throws `too-many`. */
  enter(fd: number): () => void;
}

/** `uidOf`: who made a connection. */
export function createLimiter(
  budget: RecordBudget = { demand: () => {}, spend: () => {} },
  uidOf = (fd: number): number => peerCredentials(fd).uid,
): Limiter {
  const connections = createCounter(CONNECTIONS, 'connections');
  const requests = createCounter(AT_ONCE, 'requests');
  return {
    connect: (fd) => connections(uidOf(fd)),
    enter(fd) {
      const uid = uidOf(fd);
      budget.demand(uid);
      const done = requests(uid);
      budget.spend(uid, LEAST);
      return done;
    },
  };
}

function createCounter(most: number, what: string): (uid: number) => () => void {
  const open = new Map<number, number>();
  return (uid) => {
    const count = (open.get(uid) ?? 0) + 1;
    if (count > most)
      throw new AppError('too-many', `Uid ${uid} has ${most} ${what} open already; wait for one to end`);
    open.set(uid, count);
    let inside = true;
    return () => {
      if (!inside) return;
      inside = false;
      const left = (open.get(uid) ?? 1) - 1;
      if (left === 0) open.delete(uid);
      else open.set(uid, left);
    };
  };
}
