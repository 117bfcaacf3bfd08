import type { Row } from './snapshot.ts';

/** One row from measurements in milliseconds. */
export function rowOf(name: string, times: readonly number[], more: { goal?: number; beside?: string } = {}): Row {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  const p50 = at(0.5);
  return {
    name,
    unit: 'ms',
    n: times.length,
    p50,
    p99: at(0.99),
    beside: more.beside ?? null,
    goal: more.goal === undefined ? null : `p50 ≤ ${more.goal} ms`,
    met: more.goal === undefined ? null : p50 <= more.goal,
  };
}

export const median = (times: readonly number[]): number =>
  times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? Number.NaN;
