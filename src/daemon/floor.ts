import { AppError } from '../contract/errors.ts';
import { formatBytes } from '../contract/units.ts';
import type { Id } from '../core/ids.ts';
import { placeName } from '../core/places.ts';
import { planEvict } from '../core/plans.ts';
import { calm, forksToEvict } from '../core/retention.ts';
import type { Room } from '../host/volumes.ts';
import type { VolumeRecord } from '../store/volumes.ts';
import { refOf } from './cell-spec.ts';
import type { Parts } from './parts.ts';
import { byService, noteEvent } from './service.ts';
import { subject } from './shared.ts';

/**
 * Keeps the pool's last bytes for production: below the floor no fork is made or started,
 * those that run are frozen, and after a notice they go one by one, longest idle first,
 * until there is room again.
 */
export interface Floor {
  /** Looks, and does the next thing that is to be done. `now`: milliseconds since 1970. */
  guard(now: number): Promise<void>;
  /** Frozen because the pool is below its floor. */
  frozen(id: Id): boolean;
  /** Lets a fork run for an operation that holds it: to stop in order, to clean up. */
  release(id: Id): Promise<void>;
  /** Throws `pool-full`, with figures, while forks have to stand still. */
  demandRoom(record: VolumeRecord): void;
}

export interface FloorDeps {
  parts: () => Parts;
  /** Milliseconds between freezing all forks and the first that goes. */
  notice: number;
  /** Deletes what lies longest in the trash of forks; the bytes that it held itself, undefined where nothing lies there. */
  emptyTrash: () => Promise<number | undefined>;
}

/**
 * Milliseconds without any space coming back after which it is not waited for any more: btrfs cleans up in the
 * background, and counts what came of it when it commits, which it does every 30 s.
 */
const PATIENCE = 40_000;

export function createFloor({ parts, notice, emptyTrash }: FloorDeps): Floor {
  const frozen = new Set<Id>();
  /** Since when the pool is below its floor, and how it was at the last look. */
  let low: { since: number; room: Room; floor: number } | undefined;
  /** Bytes that were deleted and are not free yet: the kernel cleans up in the background, for seconds. */
  let owed = { bytes: 0, free: 0, since: 0 };

  const forks = (): VolumeRecord[] =>
    parts()
      .store.volumes.list()
      .filter((one) => one.kind === 'fork' && one.state === 'ready');
  /** An operation holds it: it is let alone, and comes next time. */
  const free = (fork: VolumeRecord): boolean => !parts().locks.held(refOf(fork));

  async function freezeAll(room: Room, floor: number): Promise<void> {
    const { supervisor, cells, log } = parts();
    for (const id of frozen) if (!supervisor.running(id)) frozen.delete(id);
    for (const fork of forks().filter((one) => free(one) && supervisor.running(one.id) && !frozen.has(one.id))) {
      const ref = refOf(fork);
      try {
        await cells.freeze(fork.id);
      } catch (error) {
        log.warn('could not freeze', { ref, error: String(error) });
        continue;
      }
      frozen.add(fork.id);
      const figures = { free: formatBytes(room.free), floor: formatBytes(floor) };
      await noteEvent(parts(), { by: 'reaper', operation: 'fork.freeze', target: ref, outcome: 'done', more: figures });
    }
  }

  async function release(id: Id): Promise<void> {
    if (!frozen.delete(id)) return;
    await parts()
      .cells.thaw(id)
      .catch((error: unknown) => parts().log.warn('could not thaw', { id, error: String(error) }));
  }

  async function thawAll(): Promise<void> {
    low = undefined;
    for (const fork of forks().filter(({ id }) => frozen.has(id))) {
      await release(fork.id);
      await noteEvent(parts(), { by: 'reaper', operation: 'fork.thaw', target: refOf(fork), outcome: 'done' });
    }
    frozen.clear();
  }

  /** What is still to come back of what was deleted; nothing more, once nothing has come for long. */
  function stillOwed({ free: bytes }: Room, now: number): number {
    const came = bytes - owed.free;
    if (came > 0) owed = { bytes: Math.max(0, owed.bytes - came), free: bytes, since: now };
    return now - owed.since < PATIENCE ? owed.bytes : 0;
  }

  /** Lets one go. The bytes that it wrote itself; undefined: there is none. */
  async function evictNext(now: number, room: Room, floor: number): Promise<number | undefined> {
    const candidates = forks().filter(free);
    const usage = await parts().volumes.usage(candidates.map(({ id }) => ({ area: 'live' as const, id })));
    const ranked = candidates.map((fork) => ({
      ...fork,
      idleSince: parts().sessions.lastUsed(fork.id) ?? fork.created,
      own: usage.get(placeName({ area: 'live', id: fork.id })) ?? 0,
    }));
    const next = forksToEvict(ranked, { free: room.free, floor: calm(floor) })[0];
    if (next === undefined) return undefined;
    const why = `the pool was below its floor: ${formatBytes(room.free)} free, ${formatBytes(floor)} kept`;
    await evict(parts(), next, { now, why, release });
    return next.own;
  }

  return {
    frozen: (id) => frozen.has(id) && parts().supervisor.running(id),
    release,
    demandRoom(record) {
      if (low === undefined || record.kind === 'app') return;
      const { room, floor } = low;
      const ref = refOf(record);
      throw new AppError('pool-full', `Cannot run "${ref}" now: the pool has ${formatBytes(room.free)} free`, {
        why: `Below ${formatBytes(floor)} forks stand still, so that production can write on, and then they go.`,
        next: ['bulkhead ls', `bulkhead rm ${ref}`, 'bulkhead trash ls'],
      });
    },
    async guard(now) {
      const room = await parts().volumes.room();
      if (room === undefined) return;
      const floor = parts().floor();
      await parts().volumes.capForks(Math.max(0, room.free + room.forks - floor));
      if (room.free >= (low === undefined ? floor : calm(floor))) return thawAll();
      low = { since: low?.since ?? now, room, floor };
      await freezeAll(room, floor);
      const back = stillOwed(room, now);
      if (now - low.since < notice || room.free + back >= calm(floor)) return;
      // What was removed already goes before any fork that lives.
      const gone = (await emptyTrash()) ?? (await evictNext(now, room, floor));
      if (gone !== undefined) owed = { bytes: back + gone, free: room.free, since: now };
    },
  };
}

/** A fork goes for good, since a rename into the trash frees nothing. */
async function evict(
  parts: Parts,
  { id }: VolumeRecord,
  how: { now: number; why: string; release: Floor['release'] },
): Promise<void> {
  const seen = parts.store.volumes.byId(id);
  if (seen?.state !== 'ready') return;
  const ref = refOf(seen);
  await parts.locks.hold([ref], () =>
    byService(
      parts,
      { by: 'reaper', operation: 'fork.evict', target: ref, more: { why: how.why } },
      async (request) => {
        await how.release(id);
        await parts.sessions.endAll(id);
        const entry = { id, trash: parts.newId(), by: 'reaper', why: how.why, at: how.now, until: how.now };
        await parts.run(planEvict(subject(parts, seen), entry), request, () => {});
      },
    ),
  );
}
