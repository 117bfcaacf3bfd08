import type { Id } from '../core/ids.ts';
import type { VolumePlace } from '../core/places.ts';

/**
 * The port to the pool. A *volume* is the storage of one app, fork, base or point.
 * Every call is asynchronous and may be repeated: what is already so is a success.
 * No call names a path; `mountSource` alone gives one, for `Cells`.
 *
 * The real one is `btrfs/`, the twin `memory/volumes.ts`; both pass `volumes.suite.ts`.
 */
export interface Volumes {
  /** What this implementation can do. */
  readonly can: { atomic: 'tree'; ownQuota: boolean };

  /** Makes and mounts a pool. Throws `no-room`, `unsupported`, `missing-tool`. */
  make(options: MakePool, progress: (label: string, ms: number) => void): Promise<void>;
  /** Mounts the pool again after a start. False: none was ever made. */
  open(): Promise<boolean>;
  /** Unmounts, and detaches the loop device. Live cells keep the mount busy: then it stays, and that is said. */
  close(): Promise<void>;
  /** Room in the pool; undefined while none is mounted. */
  room(): Promise<Room | undefined>;

  /** An empty volume for a new app, owned by uid 1000 of its cell. */
  create(id: Id): Promise<void>;
  /** A read-only copy of `of`, at one instant, its dirty pages flushed with it. */
  freeze(of: VolumePlace, as: VolumePlace & { area: 'base' | 'point' }): Promise<void>;
  /** A writable copy of a read-only volume. `cap` limits what it may write itself; null: no limit. */
  copy(of: VolumePlace, as: Id, cap: number | null): Promise<void>;
  /** Sets the most that a fork may write itself; nested directories and further snapshots count. */
  cap(id: Id, bytes: number): Promise<void>;
  /**
   * Sets the most that all forks together may have written themselves, removed ones included
   * (as `Room.forks` counts it): what is left above the floor. The wall behind it. Null: no limit.
   */
  capForks(bytes: number | null): Promise<void>;
  /** Moves a live volume out of every cell's sight, by rename. `key` names it in the trash. */
  toTrash(id: Id, key: Id): Promise<void>;
  /** Moves it back. */
  fromTrash(key: Id, id: Id): Promise<void>;
  /** Deletes a volume for good; returns when it is gone from every list (space follows in the background). */
  purge(at: VolumePlace): Promise<void>;
  has(at: VolumePlace): Promise<boolean>;
  /** All volumes there are, for `recover`. */
  list(): Promise<VolumePlace[]>;
  /** Bytes written by each volume itself (its own extents), by `placeName`. */
  usage(ids: readonly VolumePlace[]): Promise<Map<string, number>>;

  /** The manifest beside a volume, where no cell sees it. The caller adds the MAC. */
  writeManifest(id: Id, text: string): Promise<void>;
  readManifest(id: Id): Promise<string | undefined>;
  removeManifest(id: Id): Promise<void>;

  /** Where a cell's mount comes from. Root opens nothing below it. */
  mountSource(id: Id): string;
}

export interface MakePool {
  /** Bytes of the preallocated file; ignored for a device. */
  size: number;
  /** A whole block device instead of a file. */
  device?: string;
}

export interface Room {
  /** Bytes, all of them. */
  size: number;
  used: number;
  /** What production could still write: the pool's free space, or the disk's under a sparse file, whichever is less. */
  free: number;
  /** Bytes that all forks have written themselves, removed ones included. */
  forks: number;
}
