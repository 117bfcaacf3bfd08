import type { Id } from '../core/ids.ts';
import type { Steps } from '../core/steps.ts';
import type { Db } from './db.ts';

/** A point of an app that one can go back to. */
export interface PointRecord {
  id: Id;
  app: Id;
  /** `shop@20261129T142903Z`. */
  name: string;
  at: number;
  /** The operation that it was taken before, and the request's UUID. */
  before: string;
}

export interface PointRecords {
  add(args: Steps['record.point']): void;
  forget(id: Id): void;
  /** Newest first. */
  list(app: Id): PointRecord[];
  /** By name or id. */
  find(app: Id, text: string): PointRecord | undefined;
  all(): PointRecord[];
}

export function createPointRecords(db: Db): PointRecords {
  const rows = (sql: string, ...values: string[]): PointRecord[] => db.all(sql, ...values) as unknown as PointRecord[];
  return {
    add({ id, app, at, before }) {
      const ref = String(db.get('select app from volumes where id = ?', app)?.['app'] ?? '?');
      const stamp = new Date(at).toISOString().slice(0, 19).replaceAll(/[-:]/g, '');
      db.run(
        'insert into points (id, app, name, at, before) values (?, ?, ?, ?, ?) on conflict (id) do nothing',
        id,
        app,
        `${ref}@${stamp}Z`,
        at,
        before,
      );
    },
    forget: (id) => void db.run('delete from points where id = ?', id),
    list: (app) => rows('select * from points where app = ? order by at desc, rowid desc', app),
    find: (app, text) =>
      rows('select * from points where app = ? and (name = ? or id = ?) order by at desc', app, text, text)[0],
    all: () => rows('select * from points'),
  };
}
