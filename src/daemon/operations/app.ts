import { AppError } from '../../contract/errors.ts';
import type { VolumeView } from '../../contract/app.ts';
import { formatBytes } from '../../contract/units.ts';
import { callerName, ownerOf } from '../../core/caller.ts';
import { placeName } from '../../core/places.ts';
import { planCreate, planRemove } from '../../core/plans.ts';
import type { Steps } from '../../core/steps.ts';
import type { VolumeRecord } from '../../store/volumes.ts';
import { refOf } from '../cell-spec.ts';
import type { Handler, Request } from '../handler.ts';
import type { Parts } from '../parts.ts';
import { readProposal } from '../proposal.ts';
import { holdTarget, needTarget, poolRoom, subject } from '../shared.ts';
import { fileOf } from '../steps.ts';
import { measure } from '../unpack.ts';

export const create: Handler<'app.create'> = {
  async plan(request) {
    return { plans: [planCreate(newApp(request), request.input.from === undefined ? null : request.parts.newId())] };
  },
  async run(request) {
    const { parts, input, stream, emit } = request;
    const room = await poolRoom(parts);
    if (room.free < room.floor) throw full(input.name, room.free, room.floor);
    return parts.locks.hold([input.name], async () => {
      const record = newApp(request);
      const upload = input.from === undefined ? null : parts.newId();
      if (upload !== null && stream !== undefined) parts.uploads.set(upload, stream.stdin);
      try {
        await parts.run(planCreate(record, upload), request.id, emit);
      } finally {
        if (upload !== null) parts.uploads.delete(upload);
      }
      return describe(parts, record.id, upload !== null);
    });
  },
};

async function describe(parts: Parts, id: VolumeRecord['id'], filled: boolean) {
  const made = parts.store.volumes.byId(id) as VolumeRecord;
  const ref = refOf(made);
  if (!filled) return { ref, id, files: 0, bytes: 0, proposal: false };
  await parts.supervisor.ensureCell(made);
  try {
    const { files, bytes } = await measure(parts, made);
    const proposal = await readProposal(parts, made).then(
      (found) => found !== undefined,
      () => true,
    );
    return { ref, id, files, bytes, proposal };
  } finally {
    await parts.supervisor.stopCell(made, false);
  }
}

function newApp({ parts, input, caller }: Request<'app.create'>): Steps['record.make'] {
  if (parts.store.volumes.byRef(input.name, null) !== undefined)
    throw new AppError('exists', `Cannot create "${input.name}": an app of that name exists`, {
      next: [`bulkhead ls ${input.name}`],
    });
  return {
    id: parts.newId(),
    app: input.name,
    tag: null,
    kind: 'app',
    parent: null,
    parentName: null,
    owner: ownerOf(caller),
    ownerName: callerName(caller),
    created: parts.clock(),
    expires: null,
    cap: null,
    shared: 0,
  };
}

const full = (name: string, free: number, floor: number): AppError =>
  new AppError(
    'pool-full',
    `Cannot create "${name}": the pool has ${formatBytes(free)} free, and ${formatBytes(floor)} are kept for production`,
    {
      next: ['bulkhead ls', 'bulkhead trash ls'],
    },
  );

export const list: Handler<'app.list'> = {
  async run({ parts, input, caller }) {
    const all = parts.store.volumes
      .list()
      .filter((record) => record.state === 'ready' || record.state === 'making')
      .filter((record) => caller.kind !== 'cell' || record.id === caller.cell)
      .filter((record) => input.ref === undefined || record.app === input.ref || refOf(record) === input.ref);
    if (input.ref !== undefined && all.length === 0)
      throw new AppError('not-found', `There is no app or fork "${input.ref.slice(0, 80)}"`, { next: ['bulkhead ls'] });
    const usage = await parts.volumes
      .usage(all.map(({ id }) => ({ area: 'live', id })))
      .catch(() => new Map<string, number>());
    // A cell sees itself alone: how full the machine is, is not its business.
    const pool = caller.kind === 'cell' ? null : await poolRoom(parts).catch(() => null);
    return { volumes: all.toSorted(byTree).map((record) => view(parts, record, usage)), pool };
  },
};

/** An app, then its forks in the order they were made. */
function byTree(a: VolumeRecord, b: VolumeRecord): number {
  if (a.app !== b.app) return a.app < b.app ? -1 : 1;
  if (a.kind !== b.kind) return a.kind === 'app' ? -1 : 1;
  return a.created - b.created;
}

function view(parts: Parts, record: VolumeRecord, usage: ReadonlyMap<string, number>): VolumeView {
  const { state, note } = parts.supervisor.state(record.id);
  const file = fileOf(parts, record.id);
  const frozen = parts.reaper.frozen(record.id);
  const shown = record.state === 'making' ? 'making' : frozen ? 'frozen' : state;
  return {
    ref: refOf(record),
    id: record.id,
    kind: record.kind,
    parent: record.parentName,
    state: shown,
    note: frozen ? 'the pool is below its floor: it is frozen, and goes next if room is not made' : note,
    owner: record.ownerName,
    created: new Date(record.created).toISOString(),
    expires: record.expires === null ? null : new Date(record.expires).toISOString(),
    own: usage.get(placeName({ area: 'live', id: record.id })) ?? null,
    shared: record.kind === 'fork' ? record.shared : null,
    cap: record.cap,
    egress: record.kind === 'app' ? 'production' : file.fork.egress === 'any' ? 'any' : 'none',
    ports: record.kind === 'app' ? file.ports : [],
  };
}

export const remove: Handler<'volume.remove'> = {
  async plan(request) {
    const record = needTarget(request);
    return { plans: [planRemove(subject(request.parts, record), entryFor(request, record))] };
  },
  async run(request) {
    const { parts, input, emit, id } = request;
    return holdTarget(request, async (record) => {
      const ref = refOf(record);
      if (record.kind === 'app') checkApp(parts, record, input.confirm);
      await parts.reaper.release(record.id);
      await parts.sessions.endAll(record.id);
      const entry = entryFor(request, record);
      await parts.run(planRemove(subject(parts, record), entry), id, emit);
      return { ref, trash: parts.store.trash.name(entry.trash), until: new Date(entry.until).toISOString() };
    });
  },
};

function checkApp(parts: Parts, record: VolumeRecord, confirm: string | undefined): void {
  if (confirm !== record.app)
    throw new AppError('usage', `Removing the app "${record.app}" needs its name again: --confirm ${record.app}`, {
      next: [`bulkhead rm ${record.app} --confirm ${record.app}`],
    });
  const forks = parts.store.volumes.list().filter((one) => one.kind === 'fork' && one.app === record.app);
  if (forks.length > 0)
    throw new AppError('wrong-state', `Cannot remove "${record.app}": ${forks.length} of its forks exist`, {
      next: forks.slice(0, 3).map((fork) => `bulkhead rm ${refOf(fork)}`),
    });
}

function entryFor({ parts, caller }: Request<'volume.remove'>, record: VolumeRecord): Steps['record.trash'] {
  const at = parts.clock();
  return {
    id: record.id,
    trash: parts.newId(),
    by: callerName(caller),
    why: 'removed',
    at,
    until: at + parts.trashKept,
  };
}
