import { AppError } from '../contract/errors.ts';

/**
 * How much of the audit log one user may fill. Every request is recorded, refused ones too, and
 * the log is never cut: without a bound whoever may ask, a cell included, fills the machine's disk
 * (measured: 4 MB a second), and then nothing can be recorded, so nothing be done.
 */
export interface RecordBudget {
  /** Throws `too-many` while the uid has used its part up. */
  demand(uid: number): void;
  /** Bytes that were recorded of a uid's requests. */
  spend(uid: number, bytes: number): void;
}

/** Bytes at once: some thousand requests. */
const BURST = 8 << 20;
/** Bytes a second after that: eight requests or so. */
const RATE = 8 << 10;
/** Uids that are remembered; whoever has all of it left is forgotten first. */
const MOST = 1024;

/** `clock` in milliseconds; `onEmpty` is called when a uid has used its part up, and then no more until it has all of it again. */
export function createRecordBudget(clock: () => number, onEmpty: (uid: number) => void): RecordBudget {
  const known = new Map<number, { left: number; at: number; told: boolean }>();

  const look = (uid: number): { left: number; at: number; told: boolean } => {
    const now = clock();
    const entry = known.get(uid) ?? { left: BURST, at: now, told: false };
    entry.left = Math.min(BURST, entry.left + (Math.max(0, now - entry.at) / 1000) * RATE);
    entry.at = now;
    if (entry.left === BURST) entry.told = false;
    return entry;
  };

  return {
    demand(uid) {
      // Root writes to the disk as it likes.
      if (uid === 0) return;
      const entry = look(uid);
      if (entry.left > 0) return;
      if (!entry.told) {
        entry.told = true;
        onEmpty(uid);
      }
      throw new AppError('too-many', `Uid ${uid} has asked more than can be recorded of one user`, {
        why: 'It goes on at some requests a second. What is refused for this reason is not recorded.',
        next: ['the same command in a minute'],
      });
    },
    spend(uid, bytes) {
      const entry = look(uid);
      entry.left -= bytes;
      known.set(uid, entry);
      if (known.size <= MOST) return;
      for (const [one, { left }] of known) if (left >= BURST - RATE) known.delete(one);
    },
  };
}
