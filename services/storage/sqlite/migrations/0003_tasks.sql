-- The queue's log. `id` is the place in the log, never reused. State: 1 waiting, 2 running, 3 succeeded, 4 dead,
-- 5 cancelled. Each index is what one read needs; the first three stay as small as what waits and runs.
CREATE TABLE tasks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id BLOB NOT NULL UNIQUE,
    tenant_id INTEGER NOT NULL REFERENCES tenants (id),
    kind TEXT NOT NULL,
    priority INTEGER NOT NULL,
    state INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    run_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    expires_at INTEGER,
    token BLOB,
    key TEXT NOT NULL,
    worker TEXT NOT NULL,
    trace_parent TEXT NOT NULL,
    payload TEXT NOT NULL,
    error TEXT NOT NULL,
    result TEXT NOT NULL
) STRICT;
CREATE INDEX tasks_waiting ON tasks (tenant_id, priority, kind, id) WHERE state = 1;
CREATE INDEX tasks_running ON tasks (id) WHERE state = 2;
CREATE UNIQUE INDEX tasks_by_key ON tasks (tenant_id, key) WHERE key <> '';
CREATE INDEX tasks_by_state ON tasks (tenant_id, state, id);

-- How many tasks there are, kept by the steps that change them: no count ever reads the log.
CREATE TABLE task_counts (
    tenant_id INTEGER NOT NULL REFERENCES tenants (id),
    priority INTEGER NOT NULL,
    kind TEXT NOT NULL,
    state INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, priority, kind, state)
) STRICT, WITHOUT ROWID;
