import { formatBytes } from '../contract/units.ts';
import type { Id } from '../core/ids.ts';
import { placeName } from '../core/places.ts';
import { planEvict, planPurge, planRemove } from '../core/plans.ts';
import { TRASH_KEPT, calm, forksToEvict } from '../core/retention.ts';
import type { VolumeRecord } from '../store/volumes.ts';
import type { TrashRecord } from '../store/trash.ts';
import { refOf } from './cell-spec.ts';
import type { Parts } from './parts.ts';
import { subject } from './shared.ts';

/**
 * The one that deletes without a person: forks past their time go to the trash, the
 * trash past its retention goes for good, and below the floor forks are frozen and
 * then go, longest idle first. It works one thing at a time, slowly.
 */
export interface Reaper {
  start(): void;
  stop(): void;
  /** One round; for tests and after an operation that frees room. */
  round(): Promise<void>;
  /** Frozen because the pool is below its floor. */
  frozen(id: Id): boolean;
}

export interface ReaperTimes {
  /** Milliseconds between rounds. */
  every: number;
  /** Between freezing all forks and the first that goes. */
  notice: number;
}

const SERVICE = { kind: 'service', name: 'reaper', evidence: [] } as const;

export function createReaper(parts: () => Parts, times: ReaperTimes): Reaper {
  const frozen = new Set<Id>();
  let belowSince: number | undefined;
  let timer: NodeJS.Timeout | undefined;
  let busy: Promise<void> | undefined;

  const record = (operation: string, target: string, outcome: string, more: unknown = null) =>
    parts().audit.append({
      request: parts().newId(),
      phase: 'event',
      operation,
      target,
      caller: SERVICE,
      outcome,
      code: null,
      arguments: more,
    });

  async function expire(now: number): Promise<void> {
    for (const fork of forks(parts()).filter((one) => one.expires !== null && one.expires <= now)) {
      const ref = refOf(fork);
      await parts().locks.hold([ref], async () => {
        if (parts().store.volumes.byId(fork.id)?.state !== 'ready') return;
        const entry = {
          id: fork.id,
          trash: parts().newId(),
          by: 'reaper',
          why: 'its time was over',
          at: now,
          until: now + TRASH_KEPT,
        };
        await parts().sessions.endAll(fork.id);
        await parts().run(planRemove(subject(parts(), fork), entry), parts().newId(), () => {});
        await record('fork.expire', ref, 'done');
      });
    }
  }

  async function purge(now: number): Promise<void> {
    for (const item of parts()
      .store.trash.list()
      .filter((one) => (one.purgeAt ?? one.until) <= now))
      await deleteItem(item);
  }

  async function deleteItem(item: TrashRecord): Promise<void> {
    const points =
      item.kind === 'app'
        ? parts()
            .store.points.list(item.volume)
            .map((point) => point.id)
        : [];
    await parts().locks.hold([item.ref], () =>
      parts().run(
        planPurge({ trash: item.key, id: item.volume, ref: item.ref, kind: item.kind, points }),
        parts().newId(),
        () => {},
      ),
    );
    await record('trash.expire', item.ref, 'done');
  }

  async function guardFloor(now: number): Promise<void> {
    const room = await parts().volumes.room();
    if (room === undefined) return;
    const floor = parts().floor();
    await parts().volumes.capForks(Math.max(0, room.free + room.forks - floor));
    if (room.free >= (belowSince === undefined ? floor : calm(floor))) return thawAll();
    if (belowSince === undefined) {
      belowSince = now;
      await freezeAll(room.free, floor);
    }
    if (now - belowSince < times.notice) return;
    // The trash of forks goes before any fork that lives.
    for (const item of parts()
      .store.trash.list()
      .filter((one) => one.kind !== 'app')) {
      await deleteItem(item);
      return;
    }
    const usage = await parts().volumes.usage(forks(parts()).map(({ id }) => ({ area: 'live' as const, id })));
    const candidates = forks(parts()).map((fork) => ({
      ...fork,
      idleSince: parts().sessions.lastUsed(fork.id) ?? fork.created,
      own: usage.get(placeName({ area: 'live', id: fork.id })) ?? 0,
    }));
    const next = forksToEvict(candidates, { free: room.free, floor })[0];
    if (next !== undefined) await evict(next, now);
  }

  async function freezeAll(free: number, floor: number): Promise<void> {
    for (const fork of forks(parts())) {
      if (!parts().supervisor.running(fork.id)) continue;
      await parts()
        .cells.freeze(fork.id)
        .catch(() => {});
      frozen.add(fork.id);
      await record('fork.freeze', refOf(fork), 'done', { free: formatBytes(free), floor: formatBytes(floor) });
    }
  }

  async function thawAll(): Promise<void> {
    belowSince = undefined;
    for (const id of frozen)
      await parts()
        .cells.thaw(id)
        .catch(() => {});
    frozen.clear();
  }

  async function evict(fork: VolumeRecord, now: number): Promise<void> {
    const ref = refOf(fork);
    await parts().locks.hold([ref], async () => {
      if (parts().store.volumes.byId(fork.id)?.state !== 'ready') return;
      const entry = {
        id: fork.id,
        trash: parts().newId(),
        by: 'reaper',
        why: 'the pool was below its floor',
        at: now,
        until: now,
      };
      if (frozen.delete(fork.id))
        await parts()
          .cells.thaw(fork.id)
          .catch(() => {});
      await parts().sessions.endAll(fork.id);
      await parts().run(planEvict(subject(parts(), fork), entry), parts().newId(), () => {});
      await record('fork.evict', ref, 'done');
    });
  }

  async function all(): Promise<void> {
    const now = parts().clock();
    for (const [what, work] of Object.entries({
      floor: guardFloor,
      expire,
      purge,
      points: () => parts().points.forgetOld(),
    }))
      await work(now).catch((error: unknown) => parts().log.error('reaper', { what, error: String(error) }));
  }

  const round = (): Promise<void> => (busy ??= all().finally(() => (busy = undefined)));
  return {
    round,
    frozen: (id) => frozen.has(id),
    start: () => void (timer = setInterval(() => void round(), times.every).unref()),
    stop: () => clearInterval(timer),
  };
}

const forks = (parts: Parts): VolumeRecord[] =>
  parts.store.volumes.list().filter((one) => one.kind === 'fork' && one.state === 'ready');
