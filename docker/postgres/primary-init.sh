#!/bin/bash
# Runs once, when the primary's database is made: the role that the replica logs in with, and the slot that keeps the log
# for it while it is away (for as long as max_slot_wal_keep_size allows).
set -euo pipefail

psql --quiet --output /dev/null --set ON_ERROR_STOP=1 --set password="$POSTGRES_REPLICATION_PASSWORD" \
  --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE replicator WITH REPLICATION LOGIN PASSWORD :'password';
SELECT pg_create_physical_replication_slot('replica');
SQL

# `all` means no replication connections: they have a line of their own.
echo 'host replication replicator samenet scram-sha-256' >>"$PGDATA/pg_hba.conf"
