import type { Db } from './db.ts';

/** Single values of the machine: the floor, the head of the audit log. */
export interface Meta {
  get(key: string): string | undefined;
  set(key: string, value: string): void;
}

export function createMeta(db: Db): Meta {
  return {
    get(key) {
      const row = db.get('select value from meta where key = ?', key);
      return row === undefined ? undefined : String(row['value']);
    },
    set: (key, value) =>
      void db.run(
        'insert into meta (key, value) values (?, ?) on conflict (key) do update set value = excluded.value',
        key,
        value,
      ),
  };
}
