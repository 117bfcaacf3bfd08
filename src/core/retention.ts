import type { Id } from './ids.ts';

/** Times in milliseconds since 1970, lengths in milliseconds. */
export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** Points that stay, however old: this many of the newest. */
export const POINTS_KEPT = 20;
/** Points nearer than this to the one before them are not taken: one a minute at most. */
export const POINT_APART = MINUTE;
/** How long the trash keeps what was removed. */
export const TRASH_KEPT = 7 * DAY;
/** Removed forks of one user in the trash, at which no new one is made. */
export const TRASH_MOST = 1000;
/** The same for what one fork held before its resets. */
export const OLD_CONTENTS_MOST = 100;
/** How long a purge waits before the reaper acts. */
export const PURGE_WAIT = 10 * MINUTE;
/** A fork's life, where neither the request nor the accepted file says. */
export const FORK_TTL = 24 * HOUR;
export const FORK_TTL_MOST = 30 * DAY;

/** The points that may go: not among the newest twenty, and older than a day. */
export function pointsToForget<P extends { id: Id; at: number }>(points: readonly P[], now: number): P[] {
  return points
    .toSorted((a, b) => b.at - a.at)
    .slice(POINTS_KEPT)
    .filter((point) => now - point.at > DAY);
}

/** Whether a change now deserves a point of its own. */
export const pointIsDue = (last: number | undefined, now: number): boolean =>
  last === undefined || now - last >= POINT_APART || now < last;

/** Bytes of free space at which the reaper stops: a tenth above the floor, so that it does not flutter. */
export const calm = (floor: number): number => Math.round(floor * 1.1);

/**
 * The forks that must go for the pool to be above its floor again, longest idle
 * first, until enough is freed. Nothing while the pool has room.
 */
export function forksToEvict<F extends { id: Id; idleSince: number; own: number }>(
  forks: readonly F[],
  room: { free: number; floor: number },
): F[] {
  if (room.free >= room.floor) return [];
  let missing = calm(room.floor) - room.free;
  const going: F[] = [];
  for (const fork of forks.toSorted((a, b) => a.idleSince - b.idleSince)) {
    if (missing <= 0) break;
    going.push(fork);
    missing -= fork.own;
  }
  return going;
}
