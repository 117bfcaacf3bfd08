import { AppError } from '../contract/errors.ts';

/** One operation at a time on an app or fork. In memory: what a crash left is the journal's. */
export interface Locks {
  /** Runs `work` with all the names held. Throws `busy` at once when one is taken. */
  hold<T>(names: readonly string[], work: () => Promise<T>): Promise<T>;
  /** Throws `busy` while something holds the name. */
  demandFree(name: string): void;
}

export function createLocks(): Locks {
  const held = new Set<string>();
  const demandFree = (name: string): void => {
    if (held.has(name))
      throw new AppError('busy', `Another operation is working on "${name}"`, {
        next: ['bulkhead ls', 'the same command again, when it is done'],
      });
  };
  return {
    demandFree,
    async hold(names, work) {
      const unique = [...new Set(names)];
      unique.forEach(demandFree);
      for (const name of unique) held.add(name);
      try {
        return await work();
      } finally {
        for (const name of unique) held.delete(name);
      }
    },
  };
}
