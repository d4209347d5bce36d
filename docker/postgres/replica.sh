#!/bin/bash
# Starts the streaming replica; the first time, it copies the primary before. A copy that was cut off is begun anew: only
# a whole one gets the name under which the server looks for it.
set -euo pipefail

if [[ ! -d "$PGDATA" ]]; then
  copy="$PGDATA.copy"
  rm -rf "$copy"
  # Waits for the primary's checkpoint, streams the log meanwhile, and writes down how to go on following (-R).
  PGPASSWORD="$POSTGRES_REPLICATION_PASSWORD" pg_basebackup \
    --dbname "host=$PRIMARY_HOST port=${PRIMARY_PORT:-5432} user=replicator application_name=replica" \
    --pgdata "$copy" --wal-method stream --slot replica --checkpoint fast --write-recovery-conf
  mv "$copy" "$PGDATA"
fi
exec "$@"
