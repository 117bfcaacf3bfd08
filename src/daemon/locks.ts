import { AppError } from '../contract/errors.ts';

/** Who holds a name, the one who must give way first. */
export type Rank = 'cell' | 'unproven' | 'person' | 'service';

export interface HoldOptions {
  /** Milliseconds; absent: none, but for a holder of lower rank. */
  wait?: number;
  rank?: Rank;
}

/** One operation at a time on an app or fork. In memory: what a crash left is the journal's. */
export interface Locks {
  /**
   * Runs `work` with all the names held: all of them or none, so that nobody waits for another
   * in a circle. Throws `busy` when one is still taken after `wait`.
   * What was looked up before may have changed while it waited: look again inside.
   *
   * Who meets a holder of lower rank waits for its end, and comes before whatever that one asks
   * next: what runs in a fork, restarting it again and again, kept everybody from removing it.
   */
  hold<T>(names: readonly string[], work: () => Promise<T>, options?: HoldOptions): Promise<T>;
  /** Throws `busy` while something holds the name. */
  demandFree(name: string): void;
  /** True where one of our own parts would not be waiting for a cell or an agent. */
  held(name: string): boolean;
}

const RANKS: readonly Rank[] = ['cell', 'unproven', 'person', 'service'];
/** Milliseconds for which a holder of lower rank is waited for. Some hold a name for two minutes, with every hook at its deadline; the reaper has more to do. */
const PATIENCE: Record<Rank, number> = { cell: 0, unproven: 120_000, person: 120_000, service: 15_000 };

export function createLocks(): Locks {
  const held = new Map<string, Rank>();
  /** In the order in which they came; each looks again when something was let go. */
  const waiting = new Set<() => void>();

  const demandFree = (name: string): void => {
    if (held.has(name))
      throw new AppError('busy', `Another operation is working on "${name}"`, {
        next: ['bulkhead ls', 'the same command again, when it is done'],
      });
  };

  /** Takes all of them as soon as all are free. */
  const take = (names: readonly string[], rank: Rank, wait: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const end = (settle: () => void): void => {
        clearTimeout(timer);
        waiting.delete(look);
        settle();
      };
      const look = (): void => {
        if (names.some((name) => held.has(name))) return;
        for (const name of names) held.set(name, rank);
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
    held: (name) => held.has(name) && !isBelow(held.get(name), 'person'),
    async hold(names, work, { wait, rank = 'service' } = {}) {
      const unique = [...new Set(names)];
      const blocking = unique.flatMap((name) => held.get(name) ?? []);
      const patience = wait ?? (blocking.every((one) => isBelow(one, rank)) ? PATIENCE[rank] : 0);
      if (patience === 0) unique.forEach(demandFree);
      await take(unique, rank, patience);
      try {
        return await work();
      } finally {
        for (const name of unique) held.delete(name);
        for (const look of waiting) look();
      }
    },
  };
}

const isBelow = (one: Rank | undefined, other: Rank): boolean =>
  one !== undefined && RANKS.indexOf(one) < RANKS.indexOf(other);
