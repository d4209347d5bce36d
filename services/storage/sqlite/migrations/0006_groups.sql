-- Groups of tasks, with their counts, kept by the steps that change them. What was finished counts also when it is not kept.
CREATE TABLE task_groups (
    tenant_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    total INTEGER NOT NULL,
    open INTEGER NOT NULL,
    succeeded INTEGER NOT NULL,
    dead INTEGER NOT NULL,
    cancelled INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX task_groups_ended ON task_groups (changed_at) WHERE open <= 0;

-- The group's name; null for none. In the queue it stands before what may be large: every end of a task reads it. The history
-- may be large itself and is not written anew.
ALTER TABLE history ADD COLUMN group_name TEXT;

DROP INDEX queue_in_order;
ALTER TABLE queue RENAME TO old_queue;
CREATE TABLE queue (
    place INTEGER PRIMARY KEY,
    queue INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    run_at INTEGER NOT NULL,
    key_until INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    keep INTEGER,
    started_at INTEGER,
    group_name TEXT,
    key TEXT NOT NULL,
    trace_parent TEXT NOT NULL,
    worker TEXT NOT NULL,
    error TEXT NOT NULL,
    progress TEXT NOT NULL,
    checkpoint BLOB NOT NULL,
    options BLOB NOT NULL,
    payload TEXT NOT NULL
) STRICT;
INSERT INTO queue (place, queue, created_at, run_at, key_until, max_attempts, attempt, keep, started_at, key, trace_parent,
                   worker, error, progress, checkpoint, options, payload)
SELECT place, queue, created_at, run_at, key_until, max_attempts, attempt, keep, started_at, key, trace_parent, worker, error,
       progress, checkpoint, options, payload
FROM old_queue;
DROP TABLE old_queue;
CREATE INDEX queue_in_order ON queue (queue, place);
