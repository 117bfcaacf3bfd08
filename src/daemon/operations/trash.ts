import { AppError } from '../../contract/errors.ts';
import { parseRef } from '../../contract/names.ts';
import { placeName } from '../../core/places.ts';
import { planRestore } from '../../core/plans.ts';
import { FORK_TTL, PURGE_WAIT } from '../../core/retention.ts';
import type { Plan } from '../../core/steps.ts';
import type { TrashRecord } from '../../store/trash.ts';
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
      {
        next: [`bulkhead fork ${parseRef(item.ref).app} --from ${item.ref}`],
      },
    );
  const text = input.as ?? item.ref;
  const ref = parseRef(text);
  const whole = parseRef(item.ref);
  if ((ref.tag === undefined) !== (whole.tag === undefined) || (ref.tag !== undefined && ref.app !== whole.app))
    throw new AppError(
      'usage',
      `Cannot restore "${item.ref}" as "${text}": ${whole.tag === undefined ? 'an app needs a name without a tag' : `a fork of ${whole.app} stays one`}`,
    );
  if (parts.store.volumes.byRef(ref.app, ref.tag ?? null) !== undefined)
    throw new AppError('exists', `Cannot restore "${item.ref}" as "${text}": the name is taken`, {
      next: [`bulkhead trash restore ${item.name} --as ${text}${text.includes(':') ? '-old' : '-old'}`],
    });
  const expires = item.kind === 'fork' ? parts.clock() + FORK_TTL : null;
  return planRestore({ trash: item.key, id: item.volume, app: ref.app, tag: ref.tag ?? null, expires }, text);
}

export const purge: Handler<'trash.purge'> = {
  async run({ parts, input }) {
    const item = needItem(parts, input.name);
    const at = parts.clock() + PURGE_WAIT;
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
