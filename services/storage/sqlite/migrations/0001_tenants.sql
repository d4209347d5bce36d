-- The store itself, tenants and their keys.

-- One row: the id of this store, made once.
CREATE TABLE store (
    id TEXT NOT NULL
) STRICT;
INSERT INTO store (id) VALUES (lower(hex(randomblob(16))));

-- Other tables name a tenant by its number. The counts are kept by the steps that change them.
CREATE TABLE tenants (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    tier INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    query_version INTEGER NOT NULL DEFAULT 0,
    documents INTEGER NOT NULL DEFAULT 0,
    queries INTEGER NOT NULL DEFAULT 0,
    sources INTEGER NOT NULL DEFAULT 0,
    matches INTEGER NOT NULL DEFAULT 0,
    analyses INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE keys (
    hash BLOB PRIMARY KEY,
    tenant_id INTEGER NOT NULL REFERENCES tenants (id),
    operator INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
