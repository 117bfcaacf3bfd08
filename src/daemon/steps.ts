import { AppError } from '../contract/errors.ts';
import { NO_FILE } from '../contract/app-file.ts';
import type { Id } from '../core/ids.ts';
import type { StepName, Steps } from '../core/steps.ts';
import type { VolumeRecord } from '../store/volumes.ts';
import { manifestText } from './manifest.ts';
import type { Parts } from './parts.ts';
import { unpack } from './unpack.ts';

/** How each step is done, and taken back. All of it may be repeated: after a kill nobody knows how far it came. */
export type Executors = {
  [N in StepName]: {
    /** `detail`: what came of it, for whoever waits: `flushed 3.1 MiB`. */
    do: (args: Steps[N]) => Promise<void | { detail?: string }>;
    undo: (args: Steps[N]) => Promise<void>;
  };
};

const nothing = async (): Promise<void> => {};

export function createExecutors(parts: () => Parts): Executors {
  const record = (id: Id): VolumeRecord => {
    const found = parts().store.volumes.byId(id);
    if (found === undefined) throw new AppError('not-found', 'The record is gone');
    return found;
  };
  return { ...recordSteps(parts), ...volumeSteps(parts), ...cellSteps(parts, record) };
}

type RecordSteps = Extract<StepName, `record.${string}`>;
type VolumeSteps = Extract<StepName, `volume.${string}` | `manifest.${string}` | 'pool.make'>;

function recordSteps(parts: () => Parts): Pick<Executors, RecordSteps> {
  const store = () => parts().store;
  return {
    'record.make': {
      do: async (args) => {
        store().volumes.make(args);
        // A fork inherits the copy that counts for its app now, also one that is made from a fork: what a person
        // has taken back (a way out, for one) must not be handed on from fork to fork.
        const app = args.kind === 'fork' ? store().volumes.byRef(args.app, null) : undefined;
        if (app !== undefined) store().accepted.inherit(app.id, args.id);
      },
      undo: async ({ id }) => store().volumes.unmake(id),
    },
    'record.ready': { do: async ({ id }) => store().volumes.ready(id), undo: nothing },
    'record.swap': {
      do: async ({ id, trash }) => store().trash.content(id, trash, parts().clock()),
      undo: nothing,
    },
    'record.trash': { do: async (args) => store().trash.put(args), undo: nothing },
    'record.restore': { do: async (args) => store().trash.restore(args), undo: nothing },
    'record.purge': { do: async ({ trash, at }) => store().trash.purgeAt(trash, at), undo: nothing },
    'record.forget': {
      do: async ({ id, trash }) => {
        store().trash.forget(id, trash);
        // It was old content of something that lives, or it was the whole.
        if (store().volumes.byId(id) !== undefined) return;
        parts().sessions.forget(id);
        await parts().cells.forget(id);
      },
      undo: nothing,
    },
    'record.point': { do: async (args) => store().points.add(args), undo: async ({ id }) => store().points.forget(id) },
    'record.forget-point': { do: async ({ id }) => store().points.forget(id), undo: nothing },
    'record.wanted': { do: async ({ id, wanted }) => store().volumes.want(id, wanted), undo: nothing },
    'record.accept': { do: async (args) => store().accepted.put(args), undo: nothing },
  };
}

function volumeSteps(parts: () => Parts): Pick<Executors, VolumeSteps> {
  const volumes = () => parts().volumes;
  return {
    'pool.make': {
      do: ({ size, device }) => volumes().make({ size, ...(device === null ? {} : { device }) }, () => {}),
      undo: nothing,
    },
    'volume.create': {
      do: ({ id }) => volumes().create(id),
      undo: ({ id }) => volumes().purge({ area: 'live', id }),
    },
    'volume.freeze': {
      do: ({ of, as }) => volumes().freeze(of, as as typeof as & { area: 'base' | 'point' }),
      undo: ({ as }) => volumes().purge(as),
    },
    'volume.copy': {
      do: ({ of, as, cap }) => volumes().copy(of, as, cap),
      undo: ({ as }) => volumes().purge({ area: 'live', id: as }),
    },
    'volume.trash': {
      do: async ({ id, trash }) => {
        const there = await Promise.all([
          volumes().has({ area: 'live', id }),
          volumes().has({ area: 'trash', id: trash }),
        ]);
        // What has lost its content can still be removed, and reset to its base.
        if (there.includes(true)) await volumes().toTrash(id, trash);
        else parts().log.warn('there was no content to move to the trash', { id });
      },
      // The step may not have begun, or had nothing to move: then there is nothing to bring back.
      undo: async ({ id, trash }) => {
        if (await volumes().has({ area: 'trash', id: trash })) await volumes().fromTrash(trash, id);
      },
    },
    'volume.untrash': {
      do: ({ id, trash }) => volumes().fromTrash(trash, id),
      undo: async ({ id, trash }) => {
        if (await volumes().has({ area: 'live', id })) await volumes().toTrash(id, trash);
      },
    },
    'volume.purge': { do: ({ place }) => volumes().purge(place), undo: nothing },
    'manifest.write': {
      do: async ({ id }) => {
        const record = parts().store.volumes.byId(id);
        if (record !== undefined)
          await volumes().writeManifest(id, manifestText(record, parts().store.secrets.manifestKey));
      },
      undo: ({ id }) => volumes().removeManifest(id),
    },
    'manifest.remove': { do: ({ id }) => volumes().removeManifest(id), undo: nothing },
  };
}

function cellSteps(
  parts: () => Parts,
  record: (id: Id) => VolumeRecord,
): Pick<Executors, 'cell.start' | 'cell.stop' | 'hook.run' | 'content.unpack'> {
  const stop = async (id: Id, hooks: boolean): Promise<void> => {
    const found = parts().store.volumes.byId(id);
    if (found === undefined) await parts().cells.stop(id);
    else await parts().supervisor.stopCell(found, hooks);
  };
  return {
    'cell.start': {
      do: async ({ id }) => void (await parts().supervisor.ensureCell(record(id))),
      undo: ({ id }) => stop(id, false),
    },
    'cell.stop': { do: ({ id, hooks }) => stop(id, hooks), undo: nothing },
    'hook.run': { do: ({ id, hook, fatal }) => runHook(parts(), record(id), hook, fatal), undo: nothing },
    'content.unpack': { do: ({ id, upload }) => unpack(parts(), record(id), upload), undo: nothing },
  };
}

async function runHook(
  parts: Parts,
  record: VolumeRecord,
  hook: Steps['hook.run']['hook'],
  fatal: boolean,
): Promise<void> {
  const { supervisor } = parts;
  try {
    if (hook === 'up') await supervisor.runUp(record);
    else if (hook === 'health') await supervisor.runHealth(record);
    else await supervisor.runOnce(record, hook);
  } catch (error) {
    if (fatal) throw error;
    parts.log.warn('hook failed, going on', { hook, id: record.id, error: String(error) });
  }
}

/** What a record's app gets where nothing was accepted. */
export const fileOf = (parts: Parts, id: Id): typeof NO_FILE => parts.store.accepted.get(id)?.file ?? NO_FILE;
