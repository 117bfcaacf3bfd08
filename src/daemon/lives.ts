import type { Id } from '../core/ids.ts';
import { next, type CellEvent, type CellState } from '../core/lifecycle.ts';

/** What is known of a cell's life; gone with the daemon, found again from the kernel. */
export interface Life {
  state: CellState;
  /** More of it, for people. */
  note: string | null;
  /** Failed starts in a row, ends soon after a start included. */
  failures: number;
  /** When it was last ready, in milliseconds since 1970. */
  upSince: number;
  /** The next start that is planned. */
  retry: NodeJS.Timeout | undefined;
  /** Ends the watch of its processes. */
  forget: (() => void) | undefined;
}

/** The lives of cells by id; one that nothing is known of is down. */
export interface Lives {
  state(id: Id): { state: CellState; note: string | null };
  get(id: Id): Life;
  /** Something happens to it; the note says more. */
  happen(id: Id, event: CellEvent, note?: string | null): Life;
  /** Takes back the start that is planned and the watch. */
  calm(id: Id): void;
  /** It is down, and nothing else is worth knowing. */
  drop(id: Id): void;
  ids(): Id[];
}

export function createLives(): Lives {
  const lives = new Map<Id, Life>();
  const get = (id: Id): Life => {
    let known = lives.get(id);
    if (known === undefined) {
      known = { state: 'down', note: null, failures: 0, upSince: 0, retry: undefined, forget: undefined };
      lives.set(id, known);
    }
    return known;
  };
  const calm = (id: Id): void => {
    const known = lives.get(id);
    if (known === undefined) return;
    clearTimeout(known.retry);
    known.retry = undefined;
    known.forget?.();
    known.forget = undefined;
  };
  return {
    get,
    calm,
    state(id) {
      const { state, note } = lives.get(id) ?? { state: 'down', note: null };
      return { state, note };
    },
    happen(id, event, note = null) {
      const known = get(id);
      known.state = next(known.state, event);
      known.note = note;
      return known;
    },
    drop(id) {
      calm(id);
      lives.delete(id);
    },
    ids: () => [...lives.keys()],
  };
}
