#!/bin/sh
# Makes the car rental's database. The website's password comes on standard input and is kept as a hash only.
set -eu
IFS= read -r password
cd /app
createdb rental
psql -d rental -v ON_ERROR_STOP=1 -q -f schema.sql
psql -d rental -v ON_ERROR_STOP=1 -q <<SQL
create role website login password '$password';
grant select, insert, update on all tables in schema public to website;
grant usage on all sequences in schema public to website;
vacuum analyze;
checkpoint;
SQL
