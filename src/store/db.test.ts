import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { openDatabase } from './db.ts';

const directory = mkdtempSync(path.join(os.tmpdir(), 'bulkhead-db-'));
after(() => rmSync(directory, { recursive: true }));
let count = 0;
const fresh = (): string => path.join(directory, `${(count += 1)}.db`);
const coded = (code: string) => (error: unknown) => (error as { code?: unknown }).code === code;

test('the files are readable by their owner alone', () => {
  const file = fresh();
  const db = openDatabase(file);
  db.run("insert into meta (key, value) values ('a', 'b')");
  for (const name of [file, `${file}-wal`]) assert.equal(statSync(name).mode & 0o777, 0o600, name);
  db.close();
});

test('a link in the place of the database is not followed', () => {
  const file = fresh();
  writeFileSync(`${file}.target`, '');
  symlinkSync(`${file}.target`, file);
  assert.throws(() => openDatabase(file), coded('ELOOP'));
});

test('only one process has it: a second is told who is in the way', () => {
  const file = fresh();
  const first = openDatabase(file);
  assert.throws(() => openDatabase(file, { wait: 20 }), coded('busy'));
  first.close();
  openDatabase(file).close();
});

test('what was committed is there again, without a close', () => {
  const file = fresh();
  const db = openDatabase(file);
  db.transaction(() => db.run("insert into meta (key, value) values ('kept', '1')"));
  assert.throws(() =>
    db.transaction(() => {
      db.run("insert into meta (key, value) values ('half', '1')");
      throw new Error('in the middle');
    }),
  );
  db.close();
  const again = openDatabase(file);
  assert.deepEqual(
    again.all('select key from meta').map((row) => row['key']),
    ['kept'],
  );
  again.close();
});

test('a transaction in a transaction is part of it', () => {
  const db = openDatabase(fresh());
  assert.throws(() =>
    db.transaction(() => {
      db.transaction(() => db.run("insert into meta (key, value) values ('inner', '1')"));
      throw new Error('outer');
    }),
  );
  assert.equal(db.get('select count(*) as n from meta')?.['n'], 0);
  db.close();
});

test('migrations run once each, in order, whole or not at all', () => {
  const file = fresh();
  const one = 'create table a (x integer) strict; insert into a values (1)';
  openDatabase(file, { migrations: [one] }).close();
  assert.throws(() => openDatabase(file, { migrations: [one, 'insert into a values (2); nonsense'] }));
  const db = openDatabase(file, { migrations: [one, 'insert into a values (3)'] });
  assert.deepEqual(
    db.all('select x from a order by x').map((row) => row['x']),
    [1, 3],
  );
  db.close();
});

test('a database of a newer version is refused, and left as it is', () => {
  const file = fresh();
  openDatabase(file, {
    migrations: ['create table a (x integer) strict', 'create table b (x integer) strict'],
  }).close();
  assert.throws(() => openDatabase(file, { migrations: ['create table a (x integer) strict'] }), /newer/);
  openDatabase(file, {
    migrations: ['create table a (x integer) strict', 'create table b (x integer) strict'],
  }).close();
});

test('a full disk is said, and what was half done is taken back', () => {
  const db = openDatabase(fresh());
  db.get(`pragma max_page_count = ${Number(db.get('pragma page_count')?.['page_count']) + 2}`);
  const fill = (): void =>
    db.transaction(() => {
      db.run("insert into meta (key, value) values ('before', '1')");
      db.run("insert into meta (key, value) values ('large', ?)", 'x'.repeat(1 << 20));
    });
  assert.throws(fill, coded('no-room'));
  assert.equal(db.get('select count(*) as n from meta')?.['n'], 0);
  db.close();
});

test('a file that is no database is named', () => {
  const file = fresh();
  writeFileSync(file, 'not a database, and longer than the header of one would have to be '.repeat(20));
  assert.throws(() => openDatabase(file), coded('failed'));
});
