-- The queue's log. `id` is the place in the log, never reused. What was asked is written once; where it stands changes
-- with every attempt and lies in a table of its own, so that a lease or a result never writes a payload again.
CREATE TABLE tasks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id BLOB NOT NULL UNIQUE,
    tenant_id INTEGER NOT NULL REFERENCES tenants (id),
    max_attempts INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    key TEXT NOT NULL,
    trace_parent TEXT NOT NULL,
    payload TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX tasks_by_key ON tasks (tenant_id, key) WHERE key <> '';

-- State: 1 waiting, 2 running, 3 succeeded, 4 dead, 5 cancelled. The token and the end of the lease are there while it
-- runs. Each index is what one read needs; the first two stay as small as what waits and runs.
CREATE TABLE task_states (
    id INTEGER PRIMARY KEY REFERENCES tasks (id),
    tenant_id INTEGER NOT NULL,
    kind TEXT NOT NULL,
    priority INTEGER NOT NULL,
    state INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    run_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    expires_at INTEGER,
    token BLOB,
    worker TEXT NOT NULL,
    error TEXT NOT NULL,
    result TEXT NOT NULL
) STRICT;
CREATE INDEX task_states_waiting ON task_states (tenant_id, priority, kind, id) WHERE state = 1;
CREATE INDEX task_states_running ON task_states (id) WHERE state = 2;
CREATE INDEX task_states_by_state ON task_states (tenant_id, state, id);

-- How many tasks there are, kept by the steps that change them: no count ever reads the log.
CREATE TABLE task_counts (
    tenant_id INTEGER NOT NULL REFERENCES tenants (id),
    priority INTEGER NOT NULL,
    kind TEXT NOT NULL,
    state INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, priority, kind, state)
) STRICT, WITHOUT ROWID;
