-- The queue's second edition. A task's place tells its shard: shard << 48 | count, and its id tells place and moment, so
-- that no index of ids is needed. `queue` has the unfinished tasks, whole; `history` the finished ones that are kept.
-- What changes often is small and goes away again: rows are added and deleted, hardly ever updated.
--
-- Rows are locked in one order: the queue by place, leases by place, then a shard's log, then what hangs on them.

LOCK TABLE tasks, queue, leases, finished, matches IN ACCESS EXCLUSIVE MODE;
ALTER TABLE queue RENAME TO old_queue;
ALTER INDEX queue_pkey RENAME TO old_queue_pkey;
ALTER TABLE leases RENAME TO old_leases;
ALTER INDEX leases_pkey RENAME TO old_leases_pkey;

-- The hash of `tidemill_kernel::Shard`: FNV-1a of 64 bits, as two halves, folded.
CREATE FUNCTION shard_of(name text) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    high bigint := 3421674724;
    low bigint := 2216829733;
    bytes bytea := convert_to(name, 'UTF8');
BEGIN
    FOR i IN 0 .. length(bytes) - 1 LOOP
        low := low # get_byte(bytes, i);
        high := (high * 435 + (low << 8) + (low * 435 >> 32)) & 4294967295;
        low := low * 435 & 4294967295;
    END LOOP;
    RETURN (high # low) & 15;
END
$$;

ALTER TABLE tenants ADD COLUMN shard integer;
UPDATE tenants SET shard = shard_of(name);
ALTER TABLE tenants ALTER COLUMN shard SET NOT NULL;
CREATE INDEX tenants_by_shard ON tenants (shard);

-- Moments are microseconds since 1970, a task's `created_at` that of its id. What is empty is null.
CREATE TABLE queue (
    place bigint PRIMARY KEY,
    tenant_id bigint NOT NULL,
    created_at bigint NOT NULL,
    run_at bigint NOT NULL,
    max_attempts bigint NOT NULL,
    attempt bigint NOT NULL,
    priority integer NOT NULL,
    kind text COLLATE "C" NOT NULL,
    payload text NOT NULL,
    keep bigint,
    key_until bigint,
    started_at bigint,
    trace_parent text,
    options bytea,
    key text COLLATE "C",
    worker text,
    error text,
    progress text,
    checkpoint bytea
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX queue_in_order ON queue (tenant_id, priority, kind, place);

-- Leases that have lasted for a moment, as their owner told.
CREATE TABLE leases (
    place bigint PRIMARY KEY,
    token uuid NOT NULL,
    number bigint NOT NULL,
    started_at bigint NOT NULL,
    worker text NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE task_keys (
    tenant_id bigint NOT NULL,
    key text COLLATE "C" NOT NULL,
    place bigint NOT NULL,
    created_at bigint NOT NULL,
    until bigint NOT NULL,
    PRIMARY KEY (tenant_id, key)
);
CREATE INDEX task_keys_by_end ON task_keys (until);

-- Who runs which shard. Read by every step that is fenced, so it changes only when a shard changes hands; until
-- when it is held, which changes every second, stands apart.
CREATE TABLE shards (
    shard integer PRIMARY KEY,
    epoch bigint NOT NULL,
    owner text NOT NULL,
    address text NOT NULL,
    has_left boolean NOT NULL
);
CREATE TABLE shard_terms (
    shard integer PRIMARY KEY,
    until bigint NOT NULL
) WITH (fillfactor = 10);
INSERT INTO shards SELECT shard, 0, '', '', false FROM generate_series(0, 15) shard;
INSERT INTO shard_terms SELECT shard, 0 FROM generate_series(0, 15) shard;

-- Whether all these shards are at these epochs, which then stay until the transaction ends: whoever lets a shard change
-- hands has the lock (tag 0x546d) alone. It is asked for in turn, unlike the locks of rows, so nobody waits for ever.
CREATE FUNCTION fence_holds(numbers integer[], epochs bigint[]) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(21613::bigint << 48);
    RETURN NOT EXISTS (
        SELECT FROM unnest(numbers, epochs) AS f (shard, epoch)
        WHERE NOT EXISTS (SELECT FROM shards s WHERE s.shard = f.shard AND s.epoch = f.epoch)
    );
END
$$;

CREATE TABLE schedulers (
    owner text COLLATE "C" PRIMARY KEY,
    address text NOT NULL,
    until bigint NOT NULL
) WITH (fillfactor = 10);

-- A scheduler's claim: renews, takes and gives up shards that are at these epochs, and notes that it is there. Everything is
-- read once the lock is had. Returns all shards, then as shard -1 the schedulers that are there.
CREATE FUNCTION claim_shards(
    me text, my_address text, my_until bigint, present bigint, kept integer[], kept_at bigint[],
    wanted integer[], wanted_at bigint[], given_up integer[], given_up_at bigint[], by_force boolean
) RETURNS TABLE (shard integer, epoch bigint, owner text, address text, until bigint, has_left boolean)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
    IF cardinality(wanted) + cardinality(given_up) > 0 THEN
        PERFORM pg_advisory_xact_lock(21613::bigint << 48);
    ELSIF cardinality(kept) > 0 THEN
        PERFORM pg_advisory_xact_lock_shared(21613::bigint << 48);
    END IF;
    UPDATE shards s SET address = my_address FROM unnest(kept, kept_at) AS e (shard, epoch)
    WHERE s.shard = e.shard AND s.epoch = e.epoch AND s.owner = me AND s.address <> my_address;
    UPDATE shard_terms t SET until = my_until
    FROM unnest(kept, kept_at) AS e (shard, epoch) JOIN shards s ON s.shard = e.shard AND s.epoch = e.epoch AND s.owner = me
    WHERE t.shard = e.shard;
    WITH taken AS (
        UPDATE shards s SET epoch = s.epoch + 1, owner = me, address = my_address, has_left = false
        FROM unnest(wanted, wanted_at) AS e (shard, epoch) JOIN shard_terms t ON t.shard = e.shard
        WHERE s.shard = e.shard AND s.epoch = e.epoch AND (s.owner = '' OR t.until <= present OR by_force)
        RETURNING s.shard
    )
    UPDATE shard_terms t SET until = my_until FROM taken WHERE t.shard = taken.shard;
    WITH freed AS (
        UPDATE shards s SET owner = '', address = '', has_left = true FROM unnest(given_up, given_up_at) AS e (shard, epoch)
        WHERE s.shard = e.shard AND s.epoch = e.epoch AND s.owner = me RETURNING s.shard
    )
    UPDATE shard_terms t SET until = present FROM freed WHERE t.shard = freed.shard;
    INSERT INTO schedulers (owner, address, until) VALUES (me, my_address, my_until)
    ON CONFLICT (owner) DO UPDATE SET address = excluded.address, until = excluded.until;
    DELETE FROM schedulers WHERE owner IN
        (SELECT owner FROM schedulers WHERE until <= present ORDER BY owner FOR UPDATE SKIP LOCKED);
    RETURN QUERY SELECT s.shard, s.epoch, s.owner, s.address, t.until, s.has_left
        FROM shards s JOIN shard_terms t ON t.shard = s.shard ORDER BY s.shard;
    RETURN QUERY SELECT -1, 0::bigint, p.owner, p.address, p.until, false
        FROM schedulers p WHERE p.until > present ORDER BY p.owner;
END
$$;

-- Finished tasks; state: 3 succeeded, 4 dead, 5 cancelled. The day is that of the task's making, which its id tells, so
-- that a day's tasks go together when their time is over. Those that cannot are apart, day -1, and go one by one: those
-- with a time of their own (`until`), those that took longer than a day, those of days without a partition.
CREATE TABLE history (
    tenant_id bigint NOT NULL,
    place bigint NOT NULL,
    created_at bigint NOT NULL,
    run_at bigint NOT NULL,
    max_attempts bigint NOT NULL,
    attempt bigint NOT NULL,
    finished_at bigint NOT NULL,
    state integer NOT NULL,
    day integer NOT NULL,
    priority integer NOT NULL,
    kind text COLLATE "C" NOT NULL,
    payload text NOT NULL,
    keep bigint,
    key_until bigint,
    started_at bigint,
    until bigint,
    trace_parent text,
    options bytea,
    key text COLLATE "C",
    worker text,
    error text,
    result text,
    progress text,
    checkpoint bytea,
    PRIMARY KEY (tenant_id, state, place, day)
) PARTITION BY RANGE (day);
CREATE TABLE history_apart PARTITION OF history FOR VALUES FROM (-1) TO (0);
CREATE INDEX history_apart_until ON history_apart (until) WHERE until IS NOT NULL;
CREATE INDEX history_apart_finished ON history_apart (finished_at) WHERE until IS NULL;

-- The days that have partitions.
CREATE TABLE history_days (
    day integer PRIMARY KEY
);

-- Makes the partitions of days that have none. Readers and writers go on meanwhile.
CREATE FUNCTION make_history_days(first integer, last integer) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    FOR made IN greatest(first, 0) .. last LOOP
        CONTINUE WHEN EXISTS (SELECT FROM history_days WHERE day = made);
        EXECUTE format('CREATE TABLE history_%s (LIKE history INCLUDING ALL)', made);
        EXECUTE format('ALTER TABLE history ATTACH PARTITION history_%s FOR VALUES FROM (%s) TO (%s)', made, made, made + 1);
        INSERT INTO history_days (day) VALUES (made);
    END LOOP;
END
$$;

-- Drops the partitions of days up to this one, no more than so many; how many.
CREATE FUNCTION drop_history_days(last integer, most integer) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    over integer;
    dropped bigint := 0;
BEGIN
    FOR over IN SELECT day FROM history_days WHERE day <= last ORDER BY day LIMIT most LOOP
        DELETE FROM history_days WHERE day = over;
        EXECUTE format('DROP TABLE history_%s', over);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;

-- How many places of a shard were given: a sequence for each, moved only by whoever has the shard's lock, which lasts
-- until the places are committed. So they are committed in their order, and no row is updated for it.
CREATE FUNCTION places_given(shard bigint) RETURNS bigint LANGUAGE sql VOLATILE AS
    $$SELECT coalesce(pg_sequence_last_value(('task_places_' || shard)::regclass), 0)$$;

-- Takes places; the first of them. The lock's tag is 0x5469.
CREATE FUNCTION take_places(shard bigint, places bigint) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    given bigint;
BEGIN
    PERFORM pg_advisory_xact_lock((21609::bigint << 48) | shard);
    given := places_given(shard);
    PERFORM setval(('task_places_' || shard)::regclass, given + places);
    RETURN (shard << 48) | (given + 1);
END
$$;

-- The last place given, when all up to there are committed or never will be. What a later statement reads shows them.
CREATE FUNCTION settled_place_of(shard bigint) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared((21609::bigint << 48) | shard);
    RETURN (shard << 48) | places_given(shard);
END
$$;

-- What there was. A task keeps its number in the log, now below its shard's; its id is made of that. A key stays taken for
-- another month.
DO $$
DECLARE
    last bigint := (SELECT max(id) FROM tasks);
BEGIN
    FOR shard IN 0 .. 15 LOOP
        EXECUTE format('CREATE SEQUENCE task_places_%s MINVALUE 1', shard);
        IF last IS NOT NULL THEN
            PERFORM setval(('task_places_' || shard)::regclass, last);
        END IF;
    END LOOP;
    PERFORM make_history_days(floor(extract(epoch FROM now()) / 86400)::integer - 1, floor(extract(epoch FROM now()) / 86400)::integer + 2);
END
$$;

INSERT INTO queue (place, tenant_id, created_at, run_at, max_attempts, attempt, priority, kind, payload, started_at,
                   trace_parent, key, key_until, worker, error)
SELECT (n.shard::bigint << 48) | q.id, t.tenant_id, t.created_at, q.run_at, t.max_attempts, q.attempt, t.priority, t.kind,
       t.payload, q.started_at, nullif(t.trace_parent, ''), nullif(t.key, ''),
       CASE WHEN t.key <> '' THEN (extract(epoch FROM now()) * 1000000)::bigint + 2592000000000 END,
       nullif(q.worker, ''), nullif(q.error, '')
FROM old_queue q JOIN tasks t ON t.tenant_id = q.tenant_id AND t.id = q.id JOIN tenants n ON n.id = q.tenant_id;

INSERT INTO leases (place, token, number, started_at, worker)
SELECT (n.shard::bigint << 48) | l.id, l.token, l.attempt, l.started_at, l.worker
FROM old_leases l JOIN tenants n ON n.id = l.tenant_id;

INSERT INTO history (tenant_id, place, created_at, run_at, max_attempts, attempt, finished_at, state, day, priority, kind,
                     payload, started_at, trace_parent, key, key_until, worker, error, result)
SELECT t.tenant_id, (n.shard::bigint << 48) | t.id, t.created_at, f.run_at, t.max_attempts, f.attempt, f.finished_at, f.state,
       -1, t.priority, t.kind, t.payload, f.started_at, nullif(t.trace_parent, ''), nullif(t.key, ''),
       CASE WHEN t.key <> '' THEN (extract(epoch FROM now()) * 1000000)::bigint + 2592000000000 END,
       nullif(f.worker, ''), nullif(f.error, ''), nullif(f.result, '')
FROM finished f JOIN tasks t ON t.tenant_id = f.tenant_id AND t.id = f.id JOIN tenants n ON n.id = f.tenant_id;

INSERT INTO task_keys (tenant_id, key, place, created_at, until)
SELECT t.tenant_id, t.key, (n.shard::bigint << 48) | t.id, t.created_at,
       (extract(epoch FROM now()) * 1000000)::bigint + 2592000000000
FROM tasks t JOIN tenants n ON n.id = t.tenant_id WHERE t.key <> '';

UPDATE matches SET task = (n.shard::bigint << 48) | matches.task
FROM tenants n WHERE n.id = matches.tenant_id AND matches.task IS NOT NULL;

DROP TABLE old_leases, old_queue, finished, tasks;
DROP FUNCTION shard_of(text), task_log_take(integer), task_log_settled(), task_log_last();
DROP SEQUENCE task_log;
