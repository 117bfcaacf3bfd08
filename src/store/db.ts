import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { AppError } from '../contract/errors.ts';
import { MIGRATION_0001 } from './migrations/0001.ts';

/** In order; the number of a migration is its place, from 1. */
const MIGRATIONS: readonly string[] = [MIGRATION_0001];

/** The daemon's state in SQLite. Calls are synchronous, 0.3 to 0.5 ms a commit, and on the disk when they return. */
export interface Db {
  /** All rows. */
  all(sql: string, ...values: SQLInputValue[]): Row[];
  /** The first row. */
  get(sql: string, ...values: SQLInputValue[]): Row | undefined;
  /** Number of rows that were changed. */
  run(sql: string, ...values: SQLInputValue[]): number;
  /** All of it, or nothing. */
  transaction<T>(work: () => T): T;
  close(): void;
}

export type Row = Record<string, null | number | bigint | string | Uint8Array>;

/** Opens the database, and brings it to this version. Throws `failed` for one of a newer version. */
export function openDatabase(file: string): Db {
  const database = new DatabaseSync(file);
  database.exec('pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on; pragma busy_timeout = 2000');
  const prepared = new Map<string, StatementSync>();
  const prepare = (sql: string): StatementSync => {
    let statement = prepared.get(sql);
    if (statement === undefined) {
      statement = database.prepare(sql);
      prepared.set(sql, statement);
    }
    return statement;
  };
  let inside = false;
  const db: Db = {
    all: (sql, ...values) => prepare(sql).all(...values) as Row[],
    get: (sql, ...values) => prepare(sql).get(...values) as Row | undefined,
    run: (sql, ...values) => Number(prepare(sql).run(...values).changes),
    transaction(work) {
      if (inside) return work();
      inside = true;
      database.exec('begin immediate');
      try {
        const result = work();
        database.exec('commit');
        return result;
      } catch (error) {
        database.exec('rollback');
        throw error;
      } finally {
        inside = false;
      }
    },
    close: () => database.close(),
  };
  migrate(database, db, file);
  return db;
}

function migrate(database: DatabaseSync, db: Db, file: string): void {
  const version = Number(db.get('pragma user_version')?.['user_version'] ?? 0);
  if (version > MIGRATIONS.length)
    throw new AppError('failed', `"${file}" was written by a newer version of Bulkhead (${version}); this one knows ${MIGRATIONS.length}`);
  for (let next = version; next < MIGRATIONS.length; next += 1)
    db.transaction(() => database.exec(`${MIGRATIONS[next]}; pragma user_version = ${next + 1}`));
}
