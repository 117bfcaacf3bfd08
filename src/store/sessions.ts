import type { Id } from '../core/ids.ts';
import type { Db } from './db.ts';

/** A session that has, or had, a client: whoever attaches after the daemon's restart must be the same owner. */
export interface SessionRecord {
  id: Id;
  cell: Id;
  owner: string;
  started: number;
}

export interface SessionRecords {
  add(record: SessionRecord): void;
  get(id: Id): SessionRecord | undefined;
  remove(id: Id): void;
  list(): SessionRecord[];
}

export function createSessionRecords(db: Db): SessionRecords {
  return {
    add: ({ id, cell, owner, started }) =>
      void db.run('insert into sessions (id, cell, owner, started) values (?, ?, ?, ?)', id, cell, owner, started),
    get: (id) => db.get('select * from sessions where id = ?', id) as unknown as SessionRecord | undefined,
    remove: (id) => void db.run('delete from sessions where id = ?', id),
    list: () => db.all('select * from sessions') as unknown as SessionRecord[],
  };
}
