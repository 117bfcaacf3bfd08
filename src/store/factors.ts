import type { Db } from './db.ts';

/** What the daemon keeps of a person's second factor; the database is readable by root only. */
export interface StoredFactor {
  person: string;
  uid: number;
}

export interface FactorRecords<F extends StoredFactor> {
  list(): F[];
  put(record: F): void;
  /** Uids of everyone enrolled, confirmed or not. */
  uids(): number[];
}

export function createFactorRecords<F extends StoredFactor>(db: Db): FactorRecords<F> {
  return {
    list: () =>
      db.all('select record from factors order by person').map((row) => JSON.parse(String(row['record'])) as F),
    put: (record) =>
      void db.run(
        'insert into factors (person, uid, record) values (?, ?, ?) on conflict (person) do update set uid = excluded.uid, record = excluded.record',
        record.person,
        record.uid,
        JSON.stringify(record),
      ),
    uids: () => db.all('select uid from factors').map((row) => Number(row['uid'])),
  };
}
