import type { Id } from '../core/ids.ts';
import type { Steps } from '../core/steps.ts';
import type { Db, Row } from './db.ts';

/** What is kept of an app or a fork. */
export interface VolumeRecord {
  id: Id;
  app: string;
  /** Null: the app itself. */
  tag: string | null;
  kind: 'app' | 'fork';
  /** What a fork was made from, and how that was called then. */
  parent: Id | null;
  parentName: string | null;
  state: 'making' | 'ready' | 'trashed';
  /** What it should be after a boot. */
  wanted: 'up' | 'down';
  owner: string;
  ownerName: string;
  created: number;
  expires: number | null;
  cap: number | null;
  shared: number;
}

export interface VolumeRecords {
  make(args: Steps['record.make']): void;
  /** Takes back what `make` did, unless it became ready. */
  unmake(id: Id): void;
  ready(id: Id): void;
  byId(id: Id): VolumeRecord | undefined;
  /** By name; what lies in the trash has none. */
  byRef(app: string, tag: string | null): VolumeRecord | undefined;
  /** All but those in the trash. */
  list(): VolumeRecord[];
  want(id: Id, wanted: 'up' | 'down'): void;
  expireAt(id: Id, expires: number): void;
}

export function createVolumeRecords(db: Db): VolumeRecords {
  return {
    make(args) {
      db.run(
        `insert into volumes (id, app, tag, kind, parent, parent_name, state, wanted, owner, owner_name, created, expires, cap, shared)
         values (?, ?, ?, ?, ?, ?, 'making', 'down', ?, ?, ?, ?, ?, ?) on conflict (id) do nothing`,
        args.id,
        args.app,
        args.tag,
        args.kind,
        args.parent,
        args.parentName,
        args.owner,
        args.ownerName,
        args.created,
        args.expires,
        args.cap,
        args.shared,
      );
    },
    unmake(id) {
      db.transaction(() => {
        if (db.run(`delete from volumes where id = ? and state = 'making'`, id) > 0)
          db.run('delete from accepted where id = ?', id);
      });
    },
    ready: (id) => void db.run(`update volumes set state = 'ready' where id = ? and state = 'making'`, id),
    byId: (id) => parse(db.get('select * from volumes where id = ?', id)),
    byRef: (app, tag) =>
      parse(
        db.get(`select * from volumes where app = ? and ifnull(tag, '') = ? and state <> 'trashed'`, app, tag ?? ''),
      ),
    list: () =>
      db
        .all(`select * from volumes where state <> 'trashed' order by created, rowid`)
        .flatMap((row) => parse(row) ?? []),
    want: (id, wanted) => void db.run('update volumes set wanted = ? where id = ?', wanted, id),
    expireAt: (id, expires) => void db.run('update volumes set expires = ? where id = ?', expires, id),
  };
}

function parse(row: Row | undefined): VolumeRecord | undefined {
  if (row === undefined) return undefined;
  const { parent_name: parentName, owner_name: ownerName, ...rest } = row;
  // The table's checks hold the enumerations.
  return { ...rest, parentName, ownerName } as unknown as VolumeRecord;
}
