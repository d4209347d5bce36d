-- Groups of tasks. Their counts are what was counted up to a place in the log of changes, and the changes since, as all counts
-- are: steps only ever add changes, which share the log's places, so that no two steps wait for the same row.

-- The group's name; null for none.
ALTER TABLE queue ADD COLUMN group_name text COLLATE "C";
ALTER TABLE history ADD COLUMN group_name text COLLATE "C";

CREATE TABLE group_counts (
    tenant_id bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    total bigint NOT NULL,
    succeeded bigint NOT NULL,
    dead bigint NOT NULL,
    cancelled bigint NOT NULL,
    first_at bigint NOT NULL,
    changed_at bigint NOT NULL,
    PRIMARY KEY (tenant_id, name)
) WITH (fillfactor = 50);
CREATE INDEX group_counts_ended ON group_counts (changed_at) WHERE total <= succeeded + dead + cancelled;

CREATE TABLE group_changes (
    id bigint NOT NULL,
    tenant_id bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    total bigint NOT NULL,
    succeeded bigint NOT NULL,
    dead bigint NOT NULL,
    cancelled bigint NOT NULL,
    first_at bigint NOT NULL,
    changed_at bigint NOT NULL
);
CREATE INDEX group_changes_by_place ON group_changes (id);
CREATE INDEX group_changes_by_name ON group_changes (tenant_id, name);

-- A group as it stands, if it is there; as of the moment of the statement that asks.
CREATE FUNCTION present_group(of_tenant bigint, called text) RETURNS TABLE (
    name text, total bigint, succeeded bigint, dead bigint, cancelled bigint, first_at bigint, changed_at bigint
) LANGUAGE sql STABLE AS $$
    SELECT called, sum(every.total)::bigint, sum(every.succeeded)::bigint, sum(every.dead)::bigint,
           sum(every.cancelled)::bigint, min(every.first_at), max(every.changed_at)
    FROM (
        SELECT g.total, g.succeeded, g.dead, g.cancelled, g.first_at, g.changed_at
        FROM group_counts g WHERE g.tenant_id = of_tenant AND g.name = called COLLATE "C"
        UNION ALL
        SELECT c.total, c.succeeded, c.dead, c.cancelled, c.first_at, c.changed_at
        FROM group_changes c
        WHERE c.tenant_id = of_tenant AND c.name = called COLLATE "C" AND c.id > (SELECT through FROM counted)
    ) every
    HAVING count(*) > 0
$$;

-- Folds the changes into the counts, unless somebody does.
CREATE OR REPLACE FUNCTION fold_counts() RETURNS void LANGUAGE plpgsql VOLATILE AS $$
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
    INSERT INTO group_counts AS g (tenant_id, name, total, succeeded, dead, cancelled, first_at, changed_at)
    SELECT tenant_id, name, sum(total), sum(succeeded), sum(dead), sum(cancelled), min(first_at), max(changed_at)
    FROM group_changes WHERE id > first AND id <= last GROUP BY tenant_id, name
    ON CONFLICT (tenant_id, name) DO UPDATE SET total = g.total + excluded.total,
        succeeded = g.succeeded + excluded.succeeded, dead = g.dead + excluded.dead,
        cancelled = g.cancelled + excluded.cancelled, first_at = least(g.first_at, excluded.first_at),
        changed_at = greatest(g.changed_at, excluded.changed_at);
    DELETE FROM group_changes WHERE id > first AND id <= last;
    UPDATE counted SET through = last;
END
$$;
