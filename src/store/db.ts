import { closeSync, constants, fsyncSync, openSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { AppError } from '../contract/errors.ts';
import { MIGRATION_0001 } from './migrations/0001.ts';

/** In order; the number of a migration is its place, from 1. One that was released is never changed. */
const MIGRATIONS: readonly string[] = [MIGRATION_0001];

/** The daemon's state in SQLite. Calls are synchronous, 0.2 to 0.5 ms a commit, and on the disk when they return. */
export interface Db {
  /** All rows. */
  all(sql: string, ...values: SQLInputValue[]): Row[];
  /** The first row. */
  get(sql: string, ...values: SQLInputValue[]): Row | undefined;
  /** Number of rows that were changed. Throws `exists` where a name is taken, `no-room` where the disk is full. */
  run(sql: string, ...values: SQLInputValue[]): number;
  /** All of it, or nothing. */
  transaction<T>(work: () => T): T;
  close(): void;
}

export type Row = Record<string, null | number | bigint | string | Uint8Array>;

/** Milliseconds that a start waits for an earlier daemon to end. */
const WAIT = 2000;

/**
 * Opens the database, and brings it to this version. One process has it at a time:
 * a second daemon of an instance would finish the first one's plans under its hands.
 * Throws `busy` where another has it, `failed` for one of a newer version or a broken one.
 */
export function openDatabase(file: string, options: { migrations?: readonly string[]; wait?: number } = {}): Db {
  const { migrations = MIGRATIONS, wait = WAIT } = options;
  makeFile(file);
  const database = new DatabaseSync(file);
  try {
    // Exclusive: the lock is kept between transactions, and no shared memory is needed (sqlite.org/wal.html, section 8).
    database.exec(`pragma busy_timeout = ${wait}; pragma locking_mode = exclusive; pragma journal_mode = wal`);
    database.exec('pragma synchronous = full; pragma foreign_keys = on');
    const db = wrap(database);
    migrate(database, db, { file, migrations });
    return db;
  } catch (error) {
    database.close();
    throw explain(error, file);
  }
}

/** SQLite gives its side files the modes of this one (sqlite3 source, findCreateFileMode). */
function makeFile(file: string): void {
  const { O_RDWR, O_CREAT, O_NOFOLLOW, O_RDONLY, O_DIRECTORY } = constants;
  closeSync(openSync(file, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600));
  const directory = openSync(path.dirname(file), O_RDONLY | O_DIRECTORY);
  fsyncSync(directory);
  closeSync(directory);
}

function wrap(database: DatabaseSync): Db {
  const prepared = new Map<string, StatementSync>();
  const prepare = (sql: string): StatementSync => {
    let statement = prepared.get(sql);
    if (statement === undefined) {
      statement = database.prepare(sql);
      prepared.set(sql, statement);
    }
    return statement;
  };
  return {
    all: (sql, ...values) => prepare(sql).all(...values) as Row[],
    get: (sql, ...values) => prepare(sql).get(...values) as Row | undefined,
    run(sql, ...values) {
      try {
        return Number(prepare(sql).run(...values).changes);
      } catch (error) {
        throw explain(error);
      }
    },
    transaction(work) {
      if (database.isTransaction) return work();
      database.exec('begin immediate');
      try {
        const result = work();
        database.exec('commit');
        return result;
      } catch (error) {
        // A full disk may have rolled back already.
        if (database.isTransaction) database.exec('rollback');
        throw explain(error);
      }
    },
    close: () => database.close(),
  };
}

function migrate(database: DatabaseSync, db: Db, from: { file: string; migrations: readonly string[] }): void {
  const { file, migrations } = from;
  const version = Number(db.get('pragma user_version')?.['user_version'] ?? 0);
  if (version > migrations.length)
    throw new AppError('failed', `Cannot use "${file}": a newer Bulkhead wrote it (version ${version})`, {
      why: `This one knows versions up to ${migrations.length}.`,
      next: ['install the newer Bulkhead again'],
    });
  for (let next = version; next < migrations.length; next += 1)
    db.transaction(() => database.exec(`${migrations[next]}; pragma user_version = ${next + 1}`));
}

// Result codes of SQLite: sqlite.org/rescode.html
const BUSY = 5;
const CORRUPT = 11;
const FULL = 13;
const NOT_A_DATABASE = 26;
const UNIQUE = 2067;

/** What a person can do about an error of SQLite; another stays what it is. */
function explain(error: unknown, file = 'the state'): unknown {
  const code = (error as { errcode?: unknown } | null)?.errcode;
  if (code === UNIQUE) return new AppError('exists', 'The name is taken', { cause: error });
  if (code === FULL)
    return new AppError('no-room', "Cannot write to the daemon's state: the disk that it lies on is full", {
      next: ['df -h /var/lib'],
      cause: error,
    });
  if (code === BUSY)
    return new AppError('busy', `Another daemon of this instance is running: it has "${file}" open`, {
      next: ['bulkhead status'],
      cause: error,
    });
  if (code === CORRUPT || code === NOT_A_DATABASE)
    return new AppError('failed', `"${file}" is damaged: ${(error as Error).message}`, { cause: error });
  return error;
}
