import { AppError } from '../../contract/errors.ts';
import type { Id } from '../../core/ids.ts';
import { placeName, type VolumePlace } from '../../core/places.ts';
import type { Volumes } from '../volumes.ts';

/** The twin, and what a cell would do to its volume. */
export interface MemoryVolumes extends Volumes {
  /** Writes a file of a volume. Throws `pool-full` over the volume's cap, over the ceiling of all forks, or over the pool. */
  put(at: VolumePlace, file: string, content: Uint8Array): Promise<void>;
  /** A file's content; undefined where there is none. */
  get(at: VolumePlace, file: string): Promise<Uint8Array | undefined>;
}

interface Volume {
  files: Map<string, { content: Uint8Array; own: boolean }>;
  readOnly: boolean;
  cap: number | null;
}

interface State {
  size: number | undefined;
  mounted: boolean;
  ceiling: number | null;
  volumes: Map<string, { at: VolumePlace; volume: Volume }>;
  manifests: Map<Id, string>;
}

/**
 * A pool in memory, for tests of decisions: what can be observed of it is what can be
 * observed of the real one, and it passes the same suite. Its content outlives `close`.
 */
export function createMemoryVolumes(): MemoryVolumes {
  const state: State = { size: undefined, mounted: false, ceiling: null, volumes: new Map(), manifests: new Map() };
  return {
    can: { atomic: 'tree', ownQuota: true },
    ...whole(state),
    ...copies(state),
    ...places(state),
    ...manifests(state),
    ...files(state),
    mountSource: (id) => `/nowhere/live/${id}`,
  };
}

function whole(state: State): Pick<Volumes, 'make' | 'open' | 'close' | 'room' | 'capForks'> {
  return {
    make: async ({ size }, progress) => {
      state.size ??= size;
      state.mounted = true;
      progress('mount', 0);
    },
    open: async () => (state.mounted = state.size !== undefined),
    close: async () => {
      state.mounted = false;
    },
    room: async () => {
      if (!state.mounted || state.size === undefined) return undefined;
      const used = sum([...state.volumes.values()].map(({ volume }) => own(volume)));
      return { size: state.size, used, free: Math.max(0, state.size - used), forks: forks(state) };
    },
    capForks: async (bytes) => {
      mounted(state).ceiling = bytes;
    },
  };
}

function copies(state: State): Pick<Volumes, 'create' | 'freeze' | 'copy' | 'cap'> {
  const add = (at: VolumePlace, volume: Volume) => void state.volumes.set(placeName(at), { at, volume });
  return {
    create: async (id) => {
      const at: VolumePlace = { area: 'live', id };
      if (!has(state, at)) add(at, { files: new Map(), readOnly: false, cap: null });
    },
    freeze: async (of, as) => {
      if (!has(state, as)) add(as, { files: shared(find(state, of)), readOnly: true, cap: null });
    },
    copy: async (of, as, cap) => {
      const at: VolumePlace = { area: 'live', id: as };
      if (!has(state, at)) add(at, { files: shared(find(state, of)), readOnly: false, cap });
      else if (cap !== null) find(state, at).cap = cap;
    },
    cap: async (id, bytes) => {
      find(state, { area: 'live', id }).cap = bytes;
    },
  };
}

function places(state: State): Pick<Volumes, 'toTrash' | 'fromTrash' | 'purge' | 'has' | 'list' | 'usage'> {
  const move = (from: VolumePlace, to: VolumePlace) => {
    if (has(state, to)) return;
    const volume = find(state, from);
    state.volumes.delete(placeName(from));
    state.volumes.set(placeName(to), { at: to, volume });
  };
  return {
    toTrash: async (id, key) => move({ area: 'live', id }, { area: 'trash', id: key }),
    fromTrash: async (key, id) => {
      const [from, to] = [
        { area: 'trash', id: key },
        { area: 'live', id },
      ] as const;
      if (has(state, from) && has(state, to))
        throw new AppError('exists', `Cannot move "${placeName(from)}" back: "${placeName(to)}" is there`);
      move(from, to);
    },
    purge: async (at) => void mounted(state).volumes.delete(placeName(at)),
    has: async (at) => has(state, at),
    list: async () => [...mounted(state).volumes.values()].map(({ at }) => at),
    usage: async (wanted) => {
      mounted(state);
      const there = wanted.filter((at) => has(state, at));
      return new Map(there.map((at) => [placeName(at), own(find(state, at))]));
    },
  };
}

function manifests(state: State): Pick<Volumes, 'writeManifest' | 'readManifest' | 'removeManifest'> {
  return {
    writeManifest: async (id, text) => void mounted(state).manifests.set(id, text),
    readManifest: async (id) => mounted(state).manifests.get(id),
    removeManifest: async (id) => void mounted(state).manifests.delete(id),
  };
}

function files(state: State): Pick<MemoryVolumes, 'put' | 'get'> {
  return {
    put: async (at, file, content) => {
      const volume = find(state, at);
      if (volume.readOnly) throw new AppError('refused', `Cannot write to "${placeName(at)}": it is read-only`);
      const before = volume.files.get(file);
      volume.files.set(file, { content, own: true });
      const total = sum([...state.volumes.values()].map((entry) => own(entry.volume)));
      const fork = volume.cap !== null;
      const over =
        (volume.cap !== null && own(volume) > volume.cap) ||
        (fork && state.ceiling !== null && forks(state) > state.ceiling) ||
        total > (state.size ?? 0);
      if (!over) return;
      if (before === undefined) volume.files.delete(file);
      else volume.files.set(file, before);
      throw new AppError('pool-full', `Cannot write to "${placeName(at)}": its limit is reached`);
    },
    get: async (at, file) => find(state, at).files.get(file)?.content,
  };
}

function mounted(state: State): State {
  if (state.mounted) return state;
  throw new AppError('no-pool', 'There is no pool, or it is not mounted', {
    next: ['bulkhead init', 'bulkhead doctor'],
  });
}

function has(state: State, at: VolumePlace): boolean {
  return mounted(state).volumes.has(placeName(at));
}

function find(state: State, at: VolumePlace): Volume {
  const found = mounted(state).volumes.get(placeName(at));
  if (found !== undefined) return found.volume;
  throw new AppError('not-found', `There is no volume "${placeName(at)}" in the pool`, { next: ['bulkhead doctor'] });
}

function shared(volume: Volume): Volume['files'] {
  return new Map([...volume.files].map(([name, { content }]) => [name, { content, own: false }]));
}

const own = (volume: Volume): number =>
  sum([...volume.files.values()].map((file) => (file.own ? file.content.length : 0)));

const forks = (state: State): number =>
  sum([...state.volumes.values()].map(({ volume }) => (volume.cap === null ? 0 : own(volume))));

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
