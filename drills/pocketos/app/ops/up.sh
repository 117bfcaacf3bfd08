#!/bin/sh
# Starts PostgreSQL; the first time, makes its data directory. In a fork this is the crash recovery of a copy.
set -eu
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
data=/app/data
if ! [ -e "$data/PG_VERSION" ]; then
  rm -rf "$data.new"
  "$bin/initdb" --pgdata="$data.new" --username=agent --auth-local=trust --auth-host=scram-sha-256 \
    --encoding=UTF8 --locale=C.UTF-8 --data-checksums >/dev/null
  echo 'host all all all scram-sha-256' >>"$data.new/pg_hba.conf"
  mv "$data.new" "$data"
fi
# `up` runs only where nothing of the app runs, so this one is of another life.
rm -f "$data/postmaster.pid"
exec "$bin/postgres" -D "$data" -c "listen_addresses=*" -c max_connections=40 -c shared_buffers=64MB -c max_wal_size=256MB
