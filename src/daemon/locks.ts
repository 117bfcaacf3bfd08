import { AppError } from '../contract/errors.ts';

/** One operation at a time on an app or fork. In memory: what a crash left is the journal's. */
export interface Locks {
  /**
   * Runs `work` with all the names held: all of them or none, so that nobody waits for another
   * in a circle. Throws `busy` when one is still taken after `wait` milliseconds (0: at once).
   * What was looked up before may have changed while it waited: look again inside.
   */
  hold<T>(names: readonly string[], work: () => Promise<T>, options?: { wait?: number }): Promise<T>;
  /** Throws `busy` while something holds the name. */
  demandFree(name: string): void;
  held(name: string): boolean;
}

export function createLocks(): Locks {
  const held = new Set<string>();
  /** In the order in which they came; each looks again when something was let go. */
  const waiting = new Set<() => void>();

  const demandFree = (name: string): void => {
    if (held.has(name))
      throw new AppError('busy', `Another operation is working on "${name}"`, {
        next: ['bulkhead ls', 'the same command again, when it is done'],
      });
  };

  /** Takes all of them as soon as all are free. */
  const take = (names: readonly string[], wait: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const end = (settle: () => void): void => {
        clearTimeout(timer);
        waiting.delete(look);
        settle();
      };
      const look = (): void => {
        if (names.some((name) => held.has(name))) return;
        for (const name of names) held.add(name);
        end(resolve);
      };
      const timer = setTimeout(() => {
        try {
          names.forEach(demandFree);
        } catch (error) {
          end(() => reject(error as AppError));
        }
      }, wait);
      waiting.add(look);
      look();
    });

  return {
    demandFree,
    held: (name) => held.has(name),
    async hold(names, work, { wait = 0 } = {}) {
      const unique = [...new Set(names)];
      if (wait === 0) unique.forEach(demandFree);
      await take(unique, wait);
      try {
        return await work();
      } finally {
        for (const name of unique) held.delete(name);
        for (const look of waiting) look();
      }
    },
  };
}
