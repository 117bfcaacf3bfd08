import type { AppFile } from '../contract/app-file.ts';
import type { Id } from './ids.ts';
import type { VolumePlace } from './places.ts';

/**
 * Every step that changes the machine or its records, with its arguments. Plain
 * JSON: it is journalled as it stands, and must mean the same to the next daemon.
 * The daemon has one executor for each (`daemon/steps.ts`), safe to repeat.
 */
export interface Steps {
  'pool.make': { size: number; device: string | null };
  /** The record of an app or fork in state `making`. */
  'record.make': {
    id: Id;
    app: string;
    tag: string | null;
    kind: 'app' | 'fork';
    parent: Id | null;
    parentName: string | null;
    owner: string;
    ownerName: string;
    created: number;
    expires: number | null;
    cap: number | null;
    shared: number;
  };
  /** It exists from here on, for everyone. */
  'record.ready': { id: Id };
  /** Names the new content of a fork that is reset. */
  'record.swap': { id: Id; trash: Id };
  'record.trash': { id: Id; trash: Id; by: string; why: string; at: number; until: number };
  'record.restore': { trash: Id; id: Id; app: string; tag: string | null; expires: number | null };
  'record.forget': { id: Id; trash: Id };
  'record.point': { id: Id; app: Id; at: number; before: string };
  'record.forget-point': { id: Id };
  /** Its time in the trash is over: the reaper may delete it from `at` on. */
  'record.purge': { trash: Id; at: number };
  'record.wanted': { id: Id; wanted: 'up' | 'down' };
  'record.accept': { id: Id; file: AppFile; hooks: Record<string, string>; hash: string; by: string; at: number };
  'volume.create': { id: Id };
  /** A read-only copy: of an app (a fork's base, a point), of a fork, or of a point. */
  'volume.freeze': { of: VolumePlace; as: VolumePlace };
  'volume.copy': { of: VolumePlace; as: Id; cap: number | null };
  'volume.trash': { id: Id; trash: Id };
  'volume.untrash': { trash: Id; id: Id };
  'volume.purge': { place: VolumePlace };
  'manifest.write': { id: Id };
  'manifest.remove': { id: Id };
  'cell.start': { id: Id };
  'cell.stop': { id: Id; hooks: boolean };
  'hook.run': { id: Id; hook: 'up' | 'down' | 'health' | 'prepare' | 'cleanup'; fatal: boolean };
  'content.unpack': { id: Id; upload: Id };
}

export type StepName = keyof Steps;

/** One step of a plan: a name, its arguments, and how a person reads it. */
export type Step = { [N in StepName]: { do: N; with: Steps[N]; label: string } }[StepName];

/**
 * A multi-step operation, computed before anything is done. A kill before the step
 * numbered `commit` is undone at the next start, from there on it is finished:
 * the steps before it take back, the steps after it go forward.
 */
export interface Plan {
  operation: string;
  /** For messages and locks: the ref. */
  target: string;
  steps: readonly Step[];
  commit: number;
}
