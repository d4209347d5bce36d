-- What the operator sets for the queues of all tenants together; the scheduler knows what the values mean.
CREATE TABLE shared_settings (
    sort INTEGER NOT NULL,
    name TEXT NOT NULL,
    value BLOB NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (sort, name)
) STRICT, WITHOUT ROWID;
