-- The queue's log. A task is in `tasks` for ever, and either in `queue` (with a row in `leases` while it runs) or in
-- `finished`. What changes often is small and goes away again: rows are added and deleted, hardly ever updated, so
-- vacuum has little to do and no index fills with versions of the same row.
--
-- Rows are locked in one order: leases by task id, then the queue by place, then what hangs on them.

CREATE TABLE tasks (
    tenant_id bigint NOT NULL,
    id bigint NOT NULL,
    task_id uuid NOT NULL UNIQUE,
    kind text COLLATE "C" NOT NULL,
    priority integer NOT NULL,
    max_attempts bigint NOT NULL,
    created_at bigint NOT NULL,
    key text COLLATE "C" NOT NULL,
    trace_parent text NOT NULL,
    payload text NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX tasks_by_key ON tasks (tenant_id, key) WHERE key <> '';

CREATE TABLE queue (
    tenant_id bigint NOT NULL,
    priority integer NOT NULL,
    kind text COLLATE "C" NOT NULL,
    id bigint NOT NULL,
    task_id uuid NOT NULL,
    run_at bigint NOT NULL,
    attempt bigint NOT NULL,
    started_at bigint,
    worker text NOT NULL,
    error text NOT NULL,
    PRIMARY KEY (tenant_id, priority, kind, id)
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE UNIQUE INDEX queue_by_place ON queue (id);

CREATE TABLE leases (
    task_id uuid PRIMARY KEY,
    tenant_id bigint NOT NULL,
    priority integer NOT NULL,
    kind text COLLATE "C" NOT NULL,
    id bigint NOT NULL,
    token uuid NOT NULL,
    expires_at bigint NOT NULL,
    started_at bigint NOT NULL,
    attempt bigint NOT NULL,
    worker text NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

-- State: 3 succeeded, 4 dead, 5 cancelled.
CREATE TABLE finished (
    tenant_id bigint NOT NULL,
    id bigint NOT NULL,
    state integer NOT NULL,
    kind text COLLATE "C" NOT NULL,
    attempt bigint NOT NULL,
    run_at bigint NOT NULL,
    started_at bigint,
    finished_at bigint NOT NULL,
    worker text NOT NULL,
    error text NOT NULL,
    result text NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX finished_by_state ON finished (tenant_id, state, id);
