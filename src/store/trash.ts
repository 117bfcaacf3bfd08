import type { Id } from '../core/ids.ts';
import { TRASH_KEPT } from '../core/retention.ts';
import type { Steps } from '../core/steps.ts';
import type { Db, Row } from './db.ts';

/** Something that was removed, and waits. */
export interface TrashRecord {
  key: Id;
  /** The app or fork that it was, or whose old content it is. */
  volume: Id;
  /** What people call it in the trash: its ref, `shop:fix@reset` for old content, with a number where that is taken. */
  name: string;
  ref: string;
  kind: 'app' | 'fork' | 'content';
  removed: number;
  by: string;
  why: string;
  until: number;
  /** A person asked for its end: the reaper may delete it from then on. */
  purgeAt: number | null;
}

export interface TrashRecords {
  put(args: Steps['record.trash']): void;
  /** The content that a fork had before it was reset. */
  content(volume: Id, key: Id, at: number): void;
  restore(args: Steps['record.restore']): void;
  purgeAt(key: Id, at: number): void;
  /** Forgets an entry; and the app or fork itself, unless the entry is old content. */
  forget(volume: Id, key: Id): void;
  list(): TrashRecord[];
  /** How many removed forks, and old contents of forks, of a uid there are; or old contents of one fork. */
  count(of: { uid: number } | { volume: Id }): number;
  byName(name: string): TrashRecord | undefined;
  /** The name of an entry. */
  name(key: Id): string;
}

export function createTrashRecords(db: Db): TrashRecords {
  const refOf = (id: Id): string => {
    const row = db.get('select app, tag from volumes where id = ?', id);
    const app = String(row?.['app'] ?? '?');
    const tag = row?.['tag'] ?? null;
    return tag === null ? app : `${app}:${String(tag)}`;
  };
  const freeName = (ref: string): string => {
    for (let number = 1; ; number += 1) {
      const name = number === 1 ? ref : `${ref}~${number}`;
      if (db.get('select 1 from trash where name = ?', name) === undefined) return name;
    }
  };
  const add = (
    key: Id,
    volume: Id,
    kind: string,
    entry: { at: number; by: string; why: string; until: number },
  ): void => {
    if (db.get('select 1 from trash where key = ?', key) !== undefined) return;
    const ref = refOf(volume);
    db.run(
      'insert into trash (key, volume, name, ref, kind, removed, by, why, until) values (?, ?, ?, ?, ?, ?, ?, ?, ?)',
      key,
      volume,
      freeName(kind === 'content' ? `${ref}@reset` : ref),
      ref,
      kind,
      entry.at,
      entry.by,
      entry.why,
      entry.until,
    );
  };
  return {
    put({ id, trash, ...entry }) {
      db.transaction(() => {
        const kind = String(db.get('select kind from volumes where id = ?', id)?.['kind'] ?? 'fork');
        add(trash, id, kind, entry);
        db.run(`update volumes set state = 'trashed', wanted = 'down' where id = ?`, id);
      });
    },
    content: (volume, key, at) =>
      add(key, volume, 'content', {
        at,
        by: 'reset',
        why: 'old content of a fork that was reset',
        until: at + TRASH_KEPT,
      }),
    restore({ trash, id, app, tag, expires }) {
      db.transaction(() => {
        db.run('delete from trash where key = ?', trash);
        db.run(`update volumes set state = 'ready', app = ?, tag = ?, expires = ? where id = ?`, app, tag, expires, id);
      });
    },
    purgeAt: (key, at) => void db.run('update trash set purge_at = ? where key = ?', at, key),
    forget(volume, key) {
      db.transaction(() => {
        const kind = db.get('select kind from trash where key = ?', key)?.['kind'];
        db.run('delete from trash where key = ?', key);
        if (kind === 'content' || kind === undefined) return;
        if (db.run(`delete from volumes where id = ? and state = 'trashed'`, volume) > 0)
          db.run('delete from accepted where id = ?', volume);
      });
    },
    list: () => db.all('select * from trash order by removed desc').map(parse),
    count: (of) =>
      'volume' in of
        ? Number(db.get('select count(*) as n from trash where volume = ?', of.volume)?.['n'])
        : Number(
            db.get(
              `select count(*) as n from trash join volumes on volumes.id = trash.volume
               where trash.kind <> 'app' and (owner = ? or owner like ?)`,
              String(of.uid),
              `${of.uid}/%`,
            )?.['n'],
          ),
    byName(name) {
      const row = db.get('select * from trash where name = ?', name);
      return row === undefined ? undefined : parse(row);
    },
    name: (key) => String(db.get('select name from trash where key = ?', key)?.['name'] ?? ''),
  };
}

function parse(row: Row): TrashRecord {
  const { purge_at: purgeAt, ...rest } = row;
  return { ...rest, purgeAt } as unknown as TrashRecord;
}
