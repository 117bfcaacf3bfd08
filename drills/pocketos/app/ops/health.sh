#!/bin/sh
# Ready means: it answers a query.
set -eu
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
exec "$bin/psql" -h /run/postgresql -d postgres -Atqc 'select 1'
