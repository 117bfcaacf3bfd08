import type { Id } from '../core/ids.ts';
import { placeName } from '../core/places.ts';
import { planPurge, planRemove } from '../core/plans.ts';
import type { TrashRecord } from '../store/trash.ts';
import type { VolumeRecord } from '../store/volumes.ts';
import { refOf } from './cell-spec.ts';
import { createFloor, type Floor } from './floor.ts';
import type { Parts } from './parts.ts';
import { byService } from './service.ts';
import { subject } from './shared.ts';

/**
 * The one that deletes without a person: forks past their time go to the trash, the
 * trash past its retention goes for good, and below the floor forks are frozen and
 * then go. It works one thing at a time, slowly; what cannot be done now does not
 * keep it from the rest.
 */
export interface Reaper extends Pick<Floor, 'frozen' | 'release' | 'demandRoom'> {
  start(): void;
  stop(): void;
  /** One round; for tests and after an operation that frees room. */
  round(): Promise<void>;
}

export interface ReaperTimes {
  /** Milliseconds between rounds. */
  every: number;
  /** Between freezing all forks and the first that goes. */
  notice: number;
}

export function createReaper(parts: () => Parts, times: ReaperTimes): Reaper {
  let timer: NodeJS.Timeout | undefined;
  let busy: Promise<void> | undefined;
  const floor = createFloor({ parts, notice: times.notice, emptyTrash: () => emptyTrash(parts()) });

  async function all(): Promise<void> {
    if ((await parts().volumes.room()) === undefined) return;
    const now = parts().clock();
    const duties: Record<string, () => Promise<void>> = {
      floor: () => floor.guard(now),
      expire: () => expire(parts(), now, (id) => floor.release(id)),
      purge: () => purge(parts(), now),
      points: () => parts().points.forgetOld(),
    };
    for (const [what, duty] of Object.entries(duties)) await attempt(parts(), what, duty);
  }

  const round = (): Promise<void> => (busy ??= attempt(parts(), 'round', all).finally(() => (busy = undefined)));
  return {
    round,
    frozen: (id) => floor.frozen(id),
    release: (id) => floor.release(id),
    demandRoom: (record) => floor.demandRoom(record),
    start: () => {
      clearInterval(timer);
      timer = setInterval(() => void round(), times.every).unref();
    },
    stop: () => clearInterval(timer),
  };
}

/** What fails is tried again in the next round. */
async function attempt(parts: Parts, what: string, work: () => Promise<unknown>): Promise<void> {
  await work().catch((error: unknown) => parts.log.error('reaper', { what, error: String(error) }));
}

async function expire(parts: Parts, now: number, release: Floor['release']): Promise<void> {
  const isOver = (one: VolumeRecord | undefined): one is VolumeRecord =>
    one?.state === 'ready' && one.expires !== null && one.expires <= now;
  for (const { id } of parts.store.volumes.list().filter(isOver)) {
    // As it is now: it may have been given more time while the ones before it were removed.
    const seen = parts.store.volumes.byId(id);
    if (!isOver(seen) || parts.locks.held(refOf(seen))) continue;
    await attempt(parts, `expire ${refOf(seen)}`, () =>
      parts.locks.hold([refOf(seen)], () => expireOne(parts, seen, now, release)),
    );
  }
}

function expireOne(parts: Parts, fork: VolumeRecord, now: number, release: Floor['release']): Promise<void> {
  const { id } = fork;
  return byService(parts, { by: 'reaper', operation: 'fork.expire', target: refOf(fork) }, async (request) => {
    await release(id);
    await parts.sessions.endAll(id);
    const why = 'its time was over';
    const entry = { id, trash: parts.newId(), by: 'reaper', why, at: now, until: now + parts.trashKept };
    await parts.run(planRemove(subject(parts, fork), entry), request, () => {});
  });
}

async function purge(parts: Parts, now: number): Promise<void> {
  const isDue = (item: TrashRecord): boolean => (item.purgeAt ?? item.until) <= now;
  for (const { key } of parts.store.trash.list().filter(isDue))
    await attempt(parts, 'purge', () => deleteItem(parts, key, isDue));
}

/** Deletes what was removed longest ago of what belonged to forks; what an operation works on is let alone. */
async function emptyTrash(parts: Parts): Promise<number | undefined> {
  const items = parts.store.trash.list().filter((item) => item.kind !== 'app' && !parts.locks.held(item.ref));
  const oldest = items.at(-1);
  if (oldest === undefined) return undefined;
  const place = { area: 'trash', id: oldest.key } as const;
  const usage = await parts.volumes.usage([place]);
  await deleteItem(parts, oldest.key, () => true);
  return usage.get(placeName(place)) ?? 0;
}

/** Deletes for good what lies under a key, if it still lies there once it is held: somebody may have brought it back. */
async function deleteItem(parts: Parts, key: Id, wanted: (item: TrashRecord) => boolean): Promise<void> {
  const find = (): TrashRecord | undefined =>
    parts.store.trash.list().find((item) => item.key === key && wanted(item) && !parts.locks.held(item.ref));
  const item = find();
  if (item === undefined) return;
  await parts.locks.hold([item.ref], async () => {
    const points = item.kind === 'app' ? parts.store.points.list(item.volume).map(({ id }) => id) : [];
    const { ref, kind, volume: id } = item;
    await byService(parts, { by: 'reaper', operation: 'trash.expire', target: ref }, (request) =>
      parts.run(planPurge({ trash: key, id, ref, kind, points }), request, () => {}),
    );
  });
}
