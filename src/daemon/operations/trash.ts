import { AppError } from '../../contract/errors.ts';
import { parseRef } from '../../contract/names.ts';
import { placeName } from '../../core/places.ts';
import { planRestore } from '../../core/plans.ts';
import { FORK_TTL } from '../../core/retention.ts';
import type { Id } from '../../core/ids.ts';
import type { Plan } from '../../core/steps.ts';
import type { TrashRecord } from '../../store/trash.ts';
import type { VolumeRecord } from '../../store/volumes.ts';
import type { Handler, Request } from '../handler.ts';
import type { Parts } from '../parts.ts';
import { counted } from '../quota.ts';

export const list: Handler<'trash.list'> = {
  async run({ parts, caller }) {
    const items = parts.store.trash.list().filter((item) => caller.kind !== 'cell' || item.volume === caller.cell);
    const usage = await parts.volumes
      .usage(items.map(({ key }) => ({ area: 'trash', id: key })))
      .catch(() => new Map<string, number>());
    return {
      items: items.map((item) => ({
        name: item.name,
        ref: item.ref,
        id: item.volume,
        kind: item.kind,
        removed: new Date(item.removed).toISOString(),
        by: item.by,
        why: item.why,
        until: new Date(item.purgeAt ?? item.until).toISOString(),
        own: usage.get(placeName({ area: 'trash', id: item.key })) ?? null,
      })),
    };
  },
};

export const restore: Handler<'trash.restore'> = {
  plan: async (request) => ({ plans: [restorePlan(request)] }),
  async run(request) {
    const plan = restorePlan(request);
    const { ref, volume } = needItem(request.parts, request.input.name);
    // The reaper holds it under its old name.
    const restored = () =>
      request.parts.locks.hold([plan.target, ref], async () => {
        await request.parts.run(restorePlan(request), request.id, request.emit);
        return { ref: plan.target };
      });
    return counted(request, volume, restored);
  },
};

function restorePlan({ parts, input }: Request<'trash.restore'>): Plan {
  const item = needItem(parts, input.name);
  if (item.kind === 'content')
    throw new AppError(
      'wrong-state',
      `"${item.name}" is the old content of a fork that was reset; it cannot take its place again`,
      { next: ['bulkhead trash ls'] },
    );
  const text = input.as ?? item.ref;
  const ref = parseRef(text);
  const whole = parseRef(item.ref);
  if ((ref.tag === undefined) !== (whole.tag === undefined))
    throw new AppError(
      'usage',
      `Cannot restore "${item.ref}" as "${text}": ${whole.tag === undefined ? 'an app needs a name without a tag' : 'a fork needs the name of its app, and a tag'}`,
    );
  if (item.kind === 'fork') demandItsApp(parts, item, ref.app);
  if (parts.store.volumes.byRef(ref.app, ref.tag ?? null) !== undefined)
    throw new AppError('exists', `Cannot restore "${item.ref}" as "${text}": the name is taken`, {
      next: [`bulkhead trash restore ${item.name} --as ${text}-old`],
    });
  const expires = item.kind === 'fork' ? parts.clock() + FORK_TTL : null;
  return planRestore({ trash: item.key, id: item.volume, app: ref.app, tag: ref.tag ?? null, expires }, text);
}

/** A fork comes back to the app that it was made from, whatever that is called now, and to no other of its name. */
function demandItsApp(parts: Parts, item: TrashRecord, name: string): void {
  const app = parts.store.volumes.byRef(name, null);
  if (app === undefined || app.state !== 'ready')
    throw new AppError('wrong-state', `Cannot restore "${item.ref}": there is no app "${name}"`, {
      next: ['bulkhead trash ls', `bulkhead trash restore ${name}`],
    });
  const fork = parts.store.volumes.byId(item.volume);
  const home = fork === undefined ? undefined : appOf(parts, fork);
  // Where what is between was deleted for good: an app that is younger is not the one.
  const own = home === undefined ? app.created <= (fork?.created ?? 0) : home === app.id;
  if (own) return;
  throw new AppError(
    'wrong-state',
    `Cannot restore "${item.ref}" as a fork of "${name}": it was made from another app`,
    {
      why: 'An app may be called what another was called before; its forks are its own.',
      next: ['bulkhead ls', `bulkhead trash restore ${item.name} --as APP:TAG`],
    },
  );
}

function appOf(parts: Parts, record: VolumeRecord): Id | undefined {
  let at: VolumeRecord | undefined = record;
  while (at !== undefined && at.kind === 'fork')
    at = at.parent === null ? undefined : parts.store.volumes.byId(at.parent);
  return at?.id;
}

export const purge: Handler<'trash.purge'> = {
  async run({ parts, input }) {
    const item = needItem(parts, input.name);
    // Asking again does not put it off.
    const at = item.purgeAt ?? parts.clock() + parts.purgeWait;
    parts.store.trash.purgeAt(item.key, at);
    return { name: item.name, at: new Date(at).toISOString() };
  },
};

function needItem(parts: Parts, name: string): TrashRecord {
  const item = parts.store.trash.byName(name);
  if (item !== undefined) return item;
  throw new AppError('not-found', `There is nothing called "${name.slice(0, 80)}" in the trash`, {
    next: ['bulkhead trash ls'],
  });
}
