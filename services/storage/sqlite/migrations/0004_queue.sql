-- The queue's second edition. An id tells its task's place in the log, `shard << 48 | count`, so that the place is the
-- only key that the hot table needs. The number of an old task becomes its count, and its id changes with that.
-- `shard_of` is the program's own function.

-- What a task belongs to, with the counts of its tasks, kept by the steps that change them: no count ever reads the log.
-- What was finished counts for ever.
CREATE TABLE task_queues (
    id INTEGER PRIMARY KEY,
    shard INTEGER NOT NULL,
    tenant_id INTEGER NOT NULL REFERENCES tenants (id),
    priority INTEGER NOT NULL,
    kind TEXT NOT NULL,
    waiting INTEGER NOT NULL DEFAULT 0,
    running INTEGER NOT NULL DEFAULT 0,
    succeeded INTEGER NOT NULL DEFAULT 0,
    dead INTEGER NOT NULL DEFAULT 0,
    cancelled INTEGER NOT NULL DEFAULT 0,
    UNIQUE (tenant_id, priority, kind)
) STRICT;

-- Unfinished tasks, whole; nothing else is ever in it. Times and durations are in microseconds. What is written with an
-- ended attempt comes first, what may be large last.
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
    key TEXT NOT NULL,
    trace_parent TEXT NOT NULL,
    worker TEXT NOT NULL,
    error TEXT NOT NULL,
    progress TEXT NOT NULL,
    checkpoint BLOB NOT NULL,
    options BLOB NOT NULL,
    payload TEXT NOT NULL
) STRICT;
CREATE INDEX queue_in_order ON queue (queue, place);

-- Leases that have lasted for a moment.
CREATE TABLE leases (
    place INTEGER PRIMARY KEY,
    number INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    token BLOB NOT NULL,
    worker TEXT NOT NULL
) STRICT;

-- Finished tasks. State: 3 succeeded, 4 dead, 5 cancelled. `until` is there for those with a time of their own.
CREATE TABLE history (
    place INTEGER PRIMARY KEY,
    queue INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    run_at INTEGER NOT NULL,
    key_until INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    keep INTEGER,
    started_at INTEGER,
    key TEXT NOT NULL,
    trace_parent TEXT NOT NULL,
    worker TEXT NOT NULL,
    error TEXT NOT NULL,
    progress TEXT NOT NULL,
    checkpoint BLOB NOT NULL,
    options BLOB NOT NULL,
    payload TEXT NOT NULL,
    state INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    until INTEGER,
    result TEXT NOT NULL
) STRICT;
CREATE INDEX history_in_order ON history (queue, state, place);
CREATE INDEX history_by_end ON history (finished_at) WHERE until IS NULL;
CREATE INDEX history_by_until ON history (until) WHERE until IS NOT NULL;

-- Keys that are taken, whatever has become of their tasks.
CREATE TABLE task_keys (
    tenant_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    place INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX task_keys_by_until ON task_keys (until);

-- Who runs which shard, and the last place of its log that was given.
CREATE TABLE shards (
    shard INTEGER PRIMARY KEY,
    owner TEXT NOT NULL DEFAULT '',
    address TEXT NOT NULL DEFAULT '',
    epoch INTEGER NOT NULL DEFAULT 0,
    until INTEGER NOT NULL DEFAULT 0,
    is_left INTEGER NOT NULL DEFAULT 0,
    last_place INTEGER NOT NULL
) STRICT;

CREATE TABLE schedulers (
    owner TEXT PRIMARY KEY,
    address TEXT NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO task_queues (shard, tenant_id, priority, kind, waiting, running, succeeded, dead, cancelled)
SELECT shard_of(n.name), c.tenant_id, c.priority, c.kind,
       sum(c.count) FILTER (WHERE c.state = 1), sum(c.count) FILTER (WHERE c.state = 2),
       sum(c.count) FILTER (WHERE c.state = 3), sum(c.count) FILTER (WHERE c.state = 4),
       sum(c.count) FILTER (WHERE c.state = 5)
FROM (SELECT tenant_id, priority, kind, state, count FROM task_counts
      UNION ALL SELECT DISTINCT t.tenant_id, t.priority, t.kind, s.value, 0
      FROM task_counts t CROSS JOIN json_each('[1, 2, 3, 4, 5]') s) c
JOIN tenants n ON n.id = c.tenant_id
GROUP BY c.tenant_id, c.priority, c.kind;

INSERT INTO queue (place, queue, created_at, run_at, key_until, max_attempts, attempt, keep, started_at, key,
                   trace_parent, worker, error, progress, checkpoint, options, payload)
SELECT q.shard << 48 | t.id, q.id, t.created_at, s.run_at, 0, t.max_attempts,
       CASE s.state WHEN 2 THEN max(s.attempt - 1, 0) ELSE s.attempt END, NULL, s.started_at, t.key, t.trace_parent,
       s.worker, s.error, '', x'', x'', t.payload
FROM task_states s
CROSS JOIN tasks t ON t.id = s.id
CROSS JOIN task_queues q ON q.tenant_id = s.tenant_id AND q.priority = s.priority AND q.kind = s.kind
WHERE s.state IN (1, 2);

INSERT INTO leases (place, number, started_at, token, worker)
SELECT q.shard << 48 | s.id, s.attempt, coalesce(s.started_at, 0), s.token, s.worker
FROM task_states s
CROSS JOIN task_queues q ON q.tenant_id = s.tenant_id AND q.priority = s.priority AND q.kind = s.kind
WHERE s.state = 2;

INSERT INTO history (place, queue, created_at, run_at, key_until, max_attempts, attempt, keep, started_at, key,
                     trace_parent, worker, error, progress, checkpoint, options, payload, state, finished_at, until,
                     result)
SELECT q.shard << 48 | t.id, q.id, t.created_at, s.run_at, 0, t.max_attempts, s.attempt, NULL, s.started_at, t.key,
       t.trace_parent, s.worker, s.error, '', x'', x'', t.payload, s.state, coalesce(s.finished_at, t.created_at), NULL,
       s.result
FROM task_states s
CROSS JOIN tasks t ON t.id = s.id
CROSS JOIN task_queues q ON q.tenant_id = s.tenant_id AND q.priority = s.priority AND q.kind = s.kind
WHERE s.state IN (3, 4, 5);

-- Keys were kept for ever; they are for a month from now.
INSERT INTO task_keys (tenant_id, key, place, created_at, until)
SELECT t.tenant_id, t.key, shard_of(n.name) << 48 | t.id, t.created_at, (unixepoch() + 2592000) * 1000000
FROM tasks t JOIN tenants n ON n.id = t.tenant_id WHERE t.key <> '';

INSERT INTO shards (shard, last_place)
SELECT s.value, s.value << 48 | coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'tasks'), 0)
FROM json_each('[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]') s;

UPDATE matches SET task = (SELECT shard_of(name) << 48 FROM tenants WHERE id = tenant_id) | task WHERE task IS NOT NULL;

DROP TABLE task_counts;
DROP TABLE task_states;
DROP TABLE tasks;
