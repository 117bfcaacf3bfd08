/** Version 1. Times are milliseconds since 1970, sizes bytes, ids UUIDs. */
export const MIGRATION_0001 = `
create table meta (key text primary key, value text not null) strict;

create table volumes (
  id text primary key,
  app text not null,
  tag text,
  kind text not null check (kind in ('app', 'fork')),
  parent text,
  parent_name text,
  state text not null check (state in ('making', 'ready', 'trashed')),
  wanted text not null check (wanted in ('up', 'down')),
  owner text not null,
  owner_name text not null,
  created integer not null,
  expires integer,
  cap integer,
  shared integer not null
) strict;
-- A name belongs to one thing at a time; what lies in the trash has given it up.
create unique index volumes_name on volumes (app, ifnull(tag, '')) where state <> 'trashed';

create table trash (
  key text primary key,
  volume text not null,
  name text not null unique,
  ref text not null,
  kind text not null check (kind in ('app', 'fork', 'content')),
  removed integer not null,
  by text not null,
  why text not null,
  until integer not null,
  purge_at integer
) strict;

create table points (
  id text primary key,
  app text not null,
  name text not null,
  at integer not null,
  before text not null
) strict;
create index points_app on points (app, at);

create table accepted (
  id text primary key,
  file text not null,
  hooks text not null,
  hash text not null,
  by text not null,
  at integer not null
) strict;

create table sessions (id text primary key, cell text not null, owner text not null, started integer not null) strict;

create table factors (person text primary key, uid integer not null, record text not null) strict;

create table journal (
  id integer primary key,
  operation text not null,
  target text not null,
  request text not null,
  plan text not null,
  cursor integer not null,
  state text not null check (state in ('running', 'undoing', 'stuck')),
  started integer not null
) strict;
`;
