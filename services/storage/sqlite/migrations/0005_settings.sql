-- What tenants set for their queues; the scheduler knows what the values mean.
CREATE TABLE settings (
    tenant_id INTEGER NOT NULL REFERENCES tenants (id),
    sort INTEGER NOT NULL,
    name TEXT NOT NULL,
    value BLOB NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, sort, name)
) STRICT, WITHOUT ROWID;
