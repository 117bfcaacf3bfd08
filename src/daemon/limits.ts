import { AppError } from '../contract/errors.ts';
import { peerCredentials } from '../host/syscalls.ts';

/** Requests and streams that one uid may have open at once. */
const AT_ONCE = 64;

/** Bounds how much one caller can ask at the same time, by the uid that the kernel names. */
export interface Limiter {
  /** Counts one in; the result counts it out. Throws `too-many`. */
  enter(fd: number): () => void;
}

export function createLimiter(most = AT_ONCE, uidOf = (fd: number) => peerCredentials(fd).uid): Limiter {
  const open = new Map<number, number>();
  return {
    enter(fd) {
      const uid = uidOf(fd);
      const count = (open.get(uid) ?? 0) + 1;
      if (count > most)
        throw new AppError('too-many', `Uid ${uid} has ${most} requests open already; wait for one to end`);
      open.set(uid, count);
      let inside = true;
      return () => {
        if (!inside) return;
        inside = false;
        const left = (open.get(uid) ?? 1) - 1;
        if (left === 0) open.delete(uid);
        else open.set(uid, left);
      };
    },
  };
}
