import type { AppFile } from '../contract/app-file.ts';
import { formatBytes } from '../contract/units.ts';
import type { Id } from './ids.ts';
import type { VolumePlace } from './places.ts';
import type { Plan, Step, Steps } from './steps.ts';

/**
 * What each operation does, step by step, computed from what is and what is
 * wanted. Nothing here acts: the same plan is printed by `--plan`, journalled,
 * executed, and finished or undone after a crash.
 */

/** What a plan needs to know of an app or fork. */
export interface Subject {
  id: Id;
  ref: string;
  kind: 'app' | 'fork';
  file: AppFile;
  /** Its cell exists. */
  running: boolean;
}

const step = <N extends keyof Steps>(what: N, args: Steps[N], label: string): Step =>
  ({ do: what, with: args, label }) as Step;

/** The plan of `create`: all of it is undone unless the last step was reached. */
export function planCreate(record: Steps['record.make'], upload: Id | null): Plan {
  const { id } = record;
  const unpack: Step[] =
    upload === null
      ? []
      : [
          step('cell.start', { id }, 'cell for unpacking'),
          step('content.unpack', { id, upload }, 'files unpacked'),
          step('cell.stop', { id, hooks: false }, 'cell ended'),
        ];
  const steps = [
    step('record.make', record, `record of ${record.app}`),
    step('volume.create', { id }, `volume of ${record.app}`),
    ...unpack,
    step('manifest.write', { id }, 'manifest'),
    step('record.ready', { id }, `${record.app} exists`),
  ];
  return { operation: 'app.create', target: record.app, steps, commit: steps.length - 1 };
}

/** The plan of `fork`: base, copy, cap, manifest; `prepare` runs before anyone may enter. */
export function planFork(record: Steps['record.make'], source: VolumePlace, prepare: boolean): Plan {
  const { id } = record;
  const base = { area: 'base', id } as const;
  const ref = `${record.app}:${record.tag ?? ''}`;
  const size = record.shared > 0 ? `, ${formatBytes(record.shared)}` : '';
  const steps = [
    step('record.make', record, `record of ${ref}`),
    step('volume.freeze', { of: source, as: base }, `base of ${record.parentName ?? record.app}${size}`),
    step('volume.copy', { of: base, as: id, cap: record.cap }, `fork, capped at ${formatBytes(record.cap ?? 0)}`),
    step('manifest.write', { id }, 'manifest'),
    ...(prepare ? prepareSteps(id) : []),
    step('record.ready', { id }, `${ref} exists`),
  ];
  return { operation: 'fork.create', target: ref, steps, commit: steps.length - 1 };
}

function prepareSteps(id: Id): Step[] {
  return [
    step('cell.start', { id }, 'cell and network'),
    step('hook.run', { id, hook: 'prepare', fatal: true }, 'prepare'),
  ];
}

/** The plan of `reset`: old content to the trash, base copied again. Undone unless the swap was recorded. */
export function planReset(subject: Subject, trash: Id, cap: number): Plan {
  const { id, ref, file } = subject;
  const steps = [
    ...cleanup(subject),
    step('cell.stop', { id, hooks: false }, 'cell ended'),
    step('volume.trash', { id, trash }, `content of ${ref} moved to the trash`),
    step('volume.copy', { of: { area: 'base', id }, as: id, cap }, 'base copied'),
    ...(file.fork.prepare === undefined ? [] : prepareSteps(id)),
    step('record.swap', { id, trash }, `${ref} is what it was`),
  ];
  return { operation: 'fork.reset', target: ref, steps, commit: steps.length - 1 };
}

/** The plan of `rm`, expiry included. */
export function planRemove(subject: Subject, entry: Steps['record.trash']): Plan {
  const { id, ref } = subject;
  const steps = [
    ...cleanup(subject),
    step('cell.stop', { id, hooks: subject.kind === 'app' }, `cell of ${ref} ended`),
    step('volume.trash', { id, trash: entry.trash }, `${ref} moved to the trash`),
    step('record.trash', entry, `${ref} is in the trash`),
  ];
  return { operation: 'volume.remove', target: ref, steps, commit: steps.length - 1 };
}

function cleanup(subject: Subject): Step[] {
  if (subject.kind !== 'fork' || subject.file.fork.cleanup === undefined) return [];
  return [
    step('cell.start', { id: subject.id }, 'cell and network'),
    step('hook.run', { id: subject.id, hook: 'cleanup', fatal: false }, 'cleanup'),
  ];
}

export function planRestore(entry: Steps['record.restore'], ref: string): Plan {
  const steps = [
    step('volume.untrash', { trash: entry.trash, id: entry.id }, `${ref} moved back`),
    step('record.restore', entry, `${ref} is back`),
  ];
  return { operation: 'trash.restore', target: ref, steps, commit: 1 };
}

/** Deletes for good what waited in the trash. Once begun it is always finished. */
export function planPurge(item: {
  trash: Id;
  id: Id;
  ref: string;
  kind: 'app' | 'fork' | 'content';
  points: readonly Id[];
}): Plan {
  const whole = item.kind !== 'content';
  const steps = [
    step('volume.purge', { place: { area: 'trash', id: item.trash } }, `content of ${item.ref} deleted`),
    ...item.points.flatMap((id) => forgetPoint(id)),
    ...(whole
      ? [
          step('volume.purge', { place: { area: 'base', id: item.id } }, 'base deleted'),
          step('manifest.remove', { id: item.id }, 'manifest deleted'),
        ]
      : []),
    step('record.forget', { id: item.id, trash: item.trash }, `${item.ref} is gone`),
  ];
  return { operation: 'trash.purge', target: item.ref, steps, commit: 0 };
}

/** Below the floor: a fork goes at once, since a rename into the trash frees nothing. */
export function planEvict(subject: Subject, entry: Steps['record.trash']): Plan {
  const removed = planRemove(subject, entry);
  const purged = planPurge({ trash: entry.trash, id: subject.id, ref: subject.ref, kind: 'fork', points: [] });
  return { operation: 'fork.evict', target: subject.ref, steps: [...removed.steps, ...purged.steps], commit: 0 };
}

/** A point of an app, before a change to it. */
export function planPoint(app: Id, ref: string, point: Id, at: number, before: string): Plan {
  const place = { area: 'point', id: point } as const;
  const steps = [
    step('volume.freeze', { of: { area: 'live', id: app }, as: place }, `point of ${ref}`),
    step('record.point', { id: point, app, at, before }, 'point kept'),
  ];
  return { operation: 'point.take', target: ref, steps, commit: 1 };
}

export function planForgetPoint(point: Id, ref: string): Plan {
  return { operation: 'point.forget', target: ref, steps: forgetPoint(point), commit: 0 };
}

function forgetPoint(id: Id): Step[] {
  return [
    step('volume.purge', { place: { area: 'point', id } }, 'point deleted'),
    step('record.forget-point', { id }, 'point forgotten'),
  ];
}

/** The plan of `up`: it counts as wanted once it is healthy, and is undone before that. */
export function planUp(subject: Subject): Plan {
  const { id, ref, file } = subject;
  const steps = [
    step('cell.start', { id }, 'cell and network'),
    ...(file.hooks.up === undefined ? [] : [step('hook.run', { id, hook: 'up', fatal: true }, 'hook up')]),
    ...(file.hooks.health === undefined ? [] : [step('hook.run', { id, hook: 'health', fatal: true }, 'healthy')]),
    step('record.wanted', { id, wanted: 'up' }, `${ref} is up`),
  ];
  return { operation: 'cell.up', target: ref, steps, commit: steps.length - 1 };
}

/** The plan of `down`: from its first step on it is finished, not undone. */
export function planDown(subject: Subject): Plan {
  const { id, ref } = subject;
  const steps = [step('record.wanted', { id, wanted: 'down' }, `${ref} is not wanted up`), ...stopSteps(subject)];
  return { operation: 'cell.down', target: ref, steps, commit: 0 };
}

/** The first half of `restart`; the second is `planUp`. What is wanted stays as it was, so a kill in between ends up. */
export function planStop(subject: Subject): Plan {
  return { operation: 'cell.restart', target: subject.ref, steps: stopSteps(subject), commit: 0 };
}

function stopSteps(subject: Subject): Step[] {
  return [step('cell.stop', { id: subject.id, hooks: true }, `${subject.ref} down`)];
}

export function planPool(size: number, device: string | null): Plan {
  const what = device ?? `a file of ${formatBytes(size)}`;
  return {
    operation: 'machine.init',
    target: 'pool',
    steps: [step('pool.make', { size, device }, `pool on ${what}`)],
    // One that failed is not tried again by itself: what is half-made is cleared when a person asks again.
    commit: 1,
  };
}
