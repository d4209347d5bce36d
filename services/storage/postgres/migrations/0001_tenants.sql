-- The store itself, tenants and their keys, and how much there is of everything. Times are microseconds since 1970.

-- One row: the id of this store, made once.
CREATE TABLE store (
    id text NOT NULL
);
INSERT INTO store (id) VALUES (replace(gen_random_uuid()::text, '-', ''));

-- Other tables name a tenant by its number, and their keys lead with it. Tenants are never removed, so that no row
-- written often pays for a foreign key. Names sort by their bytes, whatever the database's language is.
CREATE TABLE tenants (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    tier integer NOT NULL,
    created_at bigint NOT NULL,
    query_version bigint NOT NULL DEFAULT 0
);

CREATE TABLE keys (
    hash bytea PRIMARY KEY,
    tenant_id bigint NOT NULL REFERENCES tenants (id),
    operator boolean NOT NULL,
    created_at bigint NOT NULL
);

-- Places in a log. They are given before the commit, so a later one can be seen before an earlier one. Whoever takes
-- places first takes a shared lock, until its transaction ends, whose key tells the log and the last place given
-- before: tag << 48 | place. All places up to the least of those keys are settled: committed, or never to be.
CREATE FUNCTION enter_log(tag bigint, last_place bigint) RETURNS void LANGUAGE sql VOLATILE AS
    'SELECT pg_advisory_xact_lock_shared((tag << 48) | last_place)';

-- The place up to which all is settled. What a later statement reads up to there is all that there ever is. The order
-- of the reads matters: the last place is read before (it is the argument), so that a place taken after that lies
-- above it, and whoever took one before holds the lock or has ended.
CREATE FUNCTION settled_place(tag bigint, last_place bigint) RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT least(last_place, min(((classid::bigint & 65535) << 32) | objid::bigint)) FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND classid::bigint >> 16 = tag
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
$$;

-- The log of tasks: tag 0x5469.
CREATE SEQUENCE task_log MINVALUE 1;

CREATE FUNCTION task_log_last() RETURNS bigint LANGUAGE sql VOLATILE AS
    'SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM task_log';

-- Takes places, in rising order.
CREATE FUNCTION task_log_take(places integer) RETURNS bigint[] LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM enter_log(21609, task_log_last());
    RETURN ARRAY(SELECT nextval('task_log') FROM generate_series(1, places));
END
$$;

CREATE FUNCTION task_log_settled() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    last_place bigint;
BEGIN
    last_place := task_log_last();
    RETURN settled_place(21609, last_place);
END
$$;

-- How much there is: what was counted up to a place in the log of changes, and the changes since. Steps only ever add changes, so
-- that none waits for another, and now and then they are folded into the counts.
-- `what`: 1 to 5 the states of tasks, by priority and kind; 11 documents, 12 queries, 13 sources, 14 matches, 15 analyses.
CREATE TABLE counts (
    tenant_id bigint NOT NULL,
    what integer NOT NULL,
    priority integer NOT NULL,
    kind text COLLATE "C" NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (tenant_id, what, priority, kind)
) WITH (fillfactor = 50);

-- The log of changes: tag 0x546a. A step has one place for all its changes.
CREATE SEQUENCE change_log MINVALUE 1;

CREATE FUNCTION change_log_last() RETURNS bigint LANGUAGE sql VOLATILE AS
    'SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM change_log';

CREATE FUNCTION change_log_take() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM enter_log(21610, change_log_last());
    RETURN nextval('change_log');
END
$$;

CREATE TABLE count_changes (
    id bigint NOT NULL,
    tenant_id bigint NOT NULL,
    what integer NOT NULL,
    priority integer NOT NULL,
    kind text COLLATE "C" NOT NULL,
    change bigint NOT NULL
);
CREATE INDEX count_changes_by_place ON count_changes (id);

CREATE TABLE counted (
    through bigint NOT NULL
) WITH (fillfactor = 10);
INSERT INTO counted (through) VALUES (0);

CREATE VIEW present_counts AS
    SELECT tenant_id, what, priority, kind, sum(count)::bigint AS count
    FROM (
        SELECT tenant_id, what, priority, kind, count FROM counts
        UNION ALL
        SELECT tenant_id, what, priority, kind, change FROM count_changes
        WHERE id > (SELECT through FROM counted)
    ) every
    GROUP BY tenant_id, what, priority, kind;

-- Folds the changes into the counts, unless somebody does.
CREATE FUNCTION fold_counts() RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    first bigint;
    last bigint;
    last_place bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(21612::bigint << 48) THEN
        RETURN;
    END IF;
    last_place := change_log_last();
    last := settled_place(21610, last_place);
    SELECT through INTO first FROM counted;
    IF last <= first THEN
        RETURN;
    END IF;
    INSERT INTO counts (tenant_id, what, priority, kind, count)
    SELECT tenant_id, what, priority, kind, sum(change) FROM count_changes
    WHERE id > first AND id <= last GROUP BY tenant_id, what, priority, kind HAVING sum(change) <> 0
    ON CONFLICT (tenant_id, what, priority, kind) DO UPDATE SET count = counts.count + excluded.count;
    DELETE FROM count_changes WHERE id > first AND id <= last;
    UPDATE counted SET through = last;
END
$$;
