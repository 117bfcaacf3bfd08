#!/bin/sh
# Ends PostgreSQL in order: open transactions are rolled back, everything is on the disk.
set -eu
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
[ -e /app/data/postmaster.pid ] || exit 0
exec "$bin/pg_ctl" stop -D /app/data -m fast -t 20
