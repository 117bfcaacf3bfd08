/**
 * The life of an app's or fork's cell, as a total table: a new state or event does
 * not compile until each of its cells is filled. `null`: the event changes nothing there.
 * Freezing is apart: it stops time for a cell, and changes nothing of its life.
 * docs/design/invariants.md names the rules; lifecycle.test.ts walks the table.
 */
export const CELL_STATES = ['down', 'starting', 'up', 'failed', 'stopping'] as const;
export type CellState = (typeof CELL_STATES)[number];

export const CELL_EVENTS = [
  /** `up`, a boot, or a restart after a failure begins. */
  'start',
  /** Its hooks said ready. */
  'ready',
  /** A hook failed, or the cell could not be made. */
  'fail',
  /** Its last process ended by itself. */
  'die',
  /** `down`, `rm`, `reset` begin. */
  'stop',
  /** Nothing of it runs any more. */
  'stopped',
] as const;
export type CellEvent = (typeof CELL_EVENTS)[number];

export const LIFE: Record<CellState, Record<CellEvent, CellState | null>> = {
  down: { start: 'starting', ready: null, fail: null, die: null, stop: 'stopping', stopped: null },
  starting: { start: null, ready: 'up', fail: 'failed', die: 'failed', stop: 'stopping', stopped: 'down' },
  up: { start: null, ready: null, fail: 'failed', die: 'failed', stop: 'stopping', stopped: 'down' },
  failed: { start: 'starting', ready: null, fail: null, die: null, stop: 'stopping', stopped: 'down' },
  stopping: { start: null, ready: null, fail: 'failed', die: null, stop: null, stopped: 'down' },
};

/** The state after an event. */
export const next = (state: CellState, event: CellEvent): CellState => LIFE[state][event] ?? state;

/** How long to wait before the next start, after so many failed ones in a row: 1 s, doubling, to a minute. Milliseconds. */
export const backOff = (failures: number): number => Math.min(60_000, 1000 * 2 ** Math.min(failures, 16));

/** After this long up, a failure counts as the first one again. Milliseconds. */
export const STABLE = 60_000;
