import type { Id } from '../../src/core/ids.ts';
import type { Steps } from '../../src/core/steps.ts';
import { createAcceptedFiles } from '../../src/store/accepted.ts';
import { openDatabase, type Db } from '../../src/store/db.ts';
import { createFactorRecords } from '../../src/store/factors.ts';
import { createMeta } from '../../src/store/meta.ts';
import { createPointRecords } from '../../src/store/points.ts';
import { createSessionRecords } from '../../src/store/sessions.ts';
import { createTrashRecords } from '../../src/store/trash.ts';
import { createVolumeRecords } from '../../src/store/volumes.ts';

/** The records of a daemon, in a database of their own. */
export function aStore(file: string) {
  const db = openDatabase(file);
  return {
    db,
    volumes: createVolumeRecords(db),
    trash: createTrashRecords(db),
    points: createPointRecords(db),
    accepted: createAcceptedFiles(db),
    sessions: createSessionRecords(db),
    factors: createFactorRecords(db),
    meta: createMeta(db),
  };
}

/** An id that says which it is: `00000000-…-000000000007`. */
export const anId = (number: number): Id => `00000000-0000-4000-8000-${String(number).padStart(12, '0')}` as Id;

/** The record of a new app, or of a fork where there is a tag. */
export function aVolume(number: number, more: Partial<Steps['record.make']> = {}): Steps['record.make'] {
  const fork = more.tag !== undefined && more.tag !== null;
  return {
    id: anId(number),
    app: 'shop',
    tag: null,
    kind: fork ? 'fork' : 'app',
    parent: null,
    parentName: null,
    owner: '1000',
    ownerName: 'deploy',
    created: number,
    expires: fork ? 1000 : null,
    cap: fork ? 1 << 30 : null,
    shared: 0,
    ...more,
  };
}

/** Everything that is in the tables, for comparison. */
export function dump(db: Db): string {
  const tables = db
    .all("select name from sqlite_schema where type = 'table' order by name")
    .map((row) => String(row['name']));
  return JSON.stringify(tables.map((table) => [table, db.all(`select * from ${table} order by 1`)]));
}
