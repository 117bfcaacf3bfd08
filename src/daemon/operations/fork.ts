import { AppError } from '../../contract/errors.ts';
import { quote, parseRef } from '../../contract/names.ts';
import { formatBytes } from '../../contract/units.ts';
import { callerName, ownerOf } from '../../core/caller.ts';
import type { VolumePlace } from '../../core/places.ts';
import { placeName } from '../../core/places.ts';
import { planFork, planReset, planUp } from '../../core/plans.ts';
import { FORK_TTL, FORK_TTL_MOST } from '../../core/retention.ts';
import { FORK_DISK } from '../../core/room.ts';
import type { Steps } from '../../core/steps.ts';
import { inventTag } from '../../core/tags.ts';
import type { VolumeRecord } from '../../store/volumes.ts';
import { bringUp } from '../bring-up.ts';
import { refOf } from '../cell-spec.ts';
import type { Handler, Request } from '../handler.ts';
import type { Parts } from '../parts.ts';
import { holdTarget, needFit, needTarget, poolRoom, subject } from '../shared.ts';
import { counted, demandTrash } from '../quota.ts';
import { fileOf } from '../steps.ts';
import { findRef } from '../target.ts';

interface Source {
  record: VolumeRecord;
  /** Whose accepted file counts, as it is now. */
  app: VolumeRecord;
  place: VolumePlace;
  name: string;
}

export const create: Handler<'fork.create'> = {
  async plan(request) {
    const { record, source, prepare } = await decide(request);
    const made = planFork(record, source.place, prepare);
    const up = request.input.up === true ? [planUp(forkSubject(request.parts, record, source.app))] : [];
    return { plans: [made, ...up], unknown: ['how much production has to flush when the base is taken'] };
  },
  async run(request) {
    const { parts, input, emit, id } = request;
    const { record, source, prepare } = await decide(request);
    const ref = `${record.app}:${record.tag ?? ''}`;
    if (input.disk !== undefined && input.disk > (record.cap ?? 0))
      emit({
        type: 'note',
        level: 'warn',
        text: `${formatBytes(input.disk)} were asked for; without a signed-in person a fork of ${record.app} may write ${formatBytes(record.cap ?? 0)}`,
      });
    if (input.up === true || prepare) needFit(parts, fileOf(parts, source.app.id), ref);
    // The parent is held too: it must not be removed or reset while its base is taken.
    const names = [ref, ...(source.record.kind === 'fork' ? [refOf(source.record)] : [])];
    return counted(request, record.id, () =>
      parts.locks.hold(names, async () => {
        if (parts.store.volumes.byRef(record.app, record.tag) !== undefined) throw taken(ref);
        // It may have been removed between the look-up and the lock.
        if (parts.store.volumes.byId(source.record.id)?.state !== 'ready')
          throw new AppError('not-found', `"${source.name}" is gone`, { next: ['bulkhead ls'] });
        const timings = await parts.run(planFork(record, source.place, prepare), id, emit);
        const made = parts.store.volumes.byId(record.id) as VolumeRecord;
        if (input.up === true) timings.push(...(await bringUp(parts, made, request)));
        else if (prepare) await parts.supervisor.stopCell(made, false);
        return {
          ref,
          id: record.id,
          expires: new Date(record.expires ?? 0).toISOString(),
          cap: record.cap ?? 0,
          up: input.up === true,
          timings,
        };
      }),
    );
  },
};

function forkSubject(parts: Parts, record: Steps['record.make'], app: VolumeRecord) {
  return {
    id: record.id,
    ref: `${record.app}:${record.tag ?? ''}`,
    kind: 'fork' as const,
    file: fileOf(parts, app.id),
    running: false,
  };
}

/** Everything about the new fork, before anything is done. */
async function decide(
  request: Request<'fork.create'>,
): Promise<{ record: Steps['record.make']; source: Source; prepare: boolean }> {
  const { parts, input, caller } = request;
  const wanted = parseRef(input.ref);
  const source = findSource(request, wanted.app);
  const room = await poolRoom(parts);
  if (room.free < room.floor)
    throw new AppError(
      'pool-full',
      `Cannot fork "${source.name}": the pool has ${formatBytes(room.free)} free, and ${formatBytes(room.floor)} are kept for production`,
      {
        next: ['bulkhead ls', 'bulkhead rm FORK', 'bulkhead trash ls'],
      },
    );
  const tags = new Set(
    parts.store.volumes
      .list()
      .filter((one) => one.app === wanted.app)
      .map((one) => one.tag ?? ''),
  );
  const tag = wanted.tag ?? inventTag(tags, parts.random);
  if (tags.has(tag)) throw taken(`${wanted.app}:${tag}`);
  const file = fileOf(parts, source.app.id);
  const now = parts.clock();
  const usage = await parts.volumes.usage([source.place]);
  const record: Steps['record.make'] = {
    id: parts.newId(),
    app: wanted.app,
    tag,
    kind: 'fork',
    parent: source.record.id,
    parentName: source.name,
    owner: ownerOf(caller),
    ownerName: callerName(caller),
    created: now,
    expires: now + lifeOf(input.ttl, file.fork.ttl),
    cap: capOf(input.disk, file.fork.limits.disk, caller.kind === 'person'),
    shared: (usage.get(placeName(source.place)) ?? 0) + source.record.shared,
  };
  return { record, source, prepare: file.fork.prepare !== undefined };
}

function findSource({ parts, input, caller }: Request<'fork.create'>, app: string): Source {
  const owner = findRef(parts, app, caller);
  const live = (record: VolumeRecord): Source => ({
    record,
    app: owner,
    place: { area: 'live', id: record.id },
    name: refOf(record),
  });
  if (input.from === undefined) return live(owner);
  const point = parts.store.points.find(owner.id, input.from);
  if (point !== undefined)
    return { record: owner, app: owner, place: { area: 'point', id: point.id }, name: point.name };
  if (input.from.includes('@'))
    throw new AppError('not-found', `There is no point ${quote(input.from)} of "${app}"`, {
      next: [`bulkhead points ${app}`],
    });
  const from = findRef(parts, input.from, caller);
  if (from.app === app) return live(from);
  throw new AppError('usage', `Cannot make a fork of "${app}" from "${input.from}": it belongs to another app`, {
    next: [`bulkhead fork ${from.app}:TAG --from ${input.from}`],
  });
}

/** Milliseconds: what was asked, else the file's, else a day; thirty days at the most. */
function lifeOf(asked: number | undefined, file: number | undefined): number {
  const life = asked !== undefined ? asked * 1000 : file !== undefined ? file * 1000 : FORK_TTL;
  if (life < 1000 || life > FORK_TTL_MOST)
    throw new AppError('usage', 'A fork lives from one second to 30 days', { next: ['bulkhead fork REF --ttl 24h'] });
  return life;
}

/** Bytes. The accepted file's cap is the most that anyone but a person gets. */
function capOf(asked: number | undefined, file: number | undefined, person: boolean): number {
  const usual = file ?? FORK_DISK;
  if (asked === undefined) return usual;
  if (asked < 1 << 20) throw new AppError('usage', 'A fork must be allowed to write 1 MiB at the least');
  return person ? asked : Math.min(asked, usual);
}

const taken = (ref: string): AppError =>
  new AppError('exists', `Cannot fork as "${ref}": a fork of that name exists`, {
    next: [`bulkhead fork ${ref.split(':')[0]}`, 'bulkhead ls'],
  });

export const reset: Handler<'fork.reset'> = {
  async plan(request) {
    const record = needTarget(request);
    const plain = subject(request.parts, record);
    const again = record.wanted === 'up' ? [planUp(plain)] : [];
    return { plans: [planReset(plain, request.parts.newId(), record.cap ?? FORK_DISK), ...again] };
  },
  async run(request) {
    const { parts, emit, id } = request;
    return holdTarget(request, async (record) => {
      parts.reaper.demandRoom(record);
      if (request.caller.kind !== 'person') demandTrash(parts, refOf(record), { volume: record.id });
      const trash = parts.newId();
      await parts.sessions.endAll(record.id);
      const timings = await parts.run(planReset(subject(parts, record), trash, record.cap ?? FORK_DISK), id, emit);
      const again = record.wanted === 'up';
      if (again) timings.push(...(await bringUp(parts, record, request)));
      return { ref: refOf(record), trash: parts.store.trash.name(trash), up: again, timings };
    });
  },
};

export const extend: Handler<'fork.extend'> = {
  async run(request) {
    const { parts, input } = request;
    return holdTarget(request, async (record) => {
      const expires = parts.clock() + lifeOf(input.ttl, fileOf(parts, record.id).fork.ttl);
      parts.store.volumes.expireAt(record.id, expires);
      return { ref: refOf(record), expires: new Date(expires).toISOString() };
    });
  },
};
