/** A point, as far as its place among changes matters. Times in milliseconds since 1970. */
export interface PlacedPoint {
  at: number;
  /** `OPERATION REQUEST` of the change that it was taken before. */
  before: string;
}

export interface Change {
  request: string;
  at: number;
}

/**
 * The changes that came after a point and before the next. A change is recorded a moment
 * before the point that is taken for it: it came after that one, not before.
 */
export function changesAfter<C extends Change>(
  point: PlacedPoint,
  next: PlacedPoint | undefined,
  changes: readonly C[],
): C[] {
  const isFor = (one: PlacedPoint, change: C): boolean => one.before.endsWith(` ${change.request}`);
  return changes.filter(
    (change) =>
      (change.at >= point.at || isFor(point, change)) &&
      (next === undefined || (change.at < next.at && !isFor(next, change))),
  );
}
