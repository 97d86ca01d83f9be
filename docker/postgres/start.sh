#!/bin/sh
# Creates the data folder at the first start, then executes the server. The folder is renamed into place when it is
# complete, so a container that was killed before that starts again from nothing.
set -eu
data=/data/postgres/data
password=/run/secrets/database-password

if [ ! -f "$data/PG_VERSION" ]; then
  rm -rf "$data.part"
  initdb --pgdata="$data.part" --username=counter --pwfile="$password" --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8
  echo 'CREATE DATABASE counts' | postgres --single -D "$data.part" postgres >/dev/null
  echo 'host all all all scram-sha-256' >>"$data.part/pg_hba.conf"
  mv "$data.part" "$data"
fi
exec postgres -D "$data" -c listen_addresses='*' -c unix_socket_directories=/tmp
