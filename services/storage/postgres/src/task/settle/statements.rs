//! The statements that end attempts: each whole, so that it can be a transaction of its own.

use crate::task::fence::fenced;

/// The rows that end leave the queue. `kept`: what of them goes into history, or nothing at all.
macro_rules! gone {
    () => {
        ", gone AS MATERIALIZED (
             DELETE FROM queue q USING unnest($3::bigint[], $4::bigint[], $5::integer[]) WITH ORDINALITY
                 AS e (place, created_at, state, number)
             WHERE q.place = e.place AND q.created_at = e.created_at AND (SELECT holds FROM fence)
             RETURNING q.place, e.number, q.tenant_id, q.priority, q.kind, e.state, q.keep IS DISTINCT FROM 0 OR e.state <> 3 AS is_kept,
                       CASE WHEN q.keep IS DISTINCT FROM 0 OR e.state <> 3 THEN q END AS kept
         )"
    };
}

/// What is kept. A success with a time of its own, one that took longer than a day, and one of a day without a partition are
/// apart.
macro_rules! kept {
    () => {
        ", kept AS (
             INSERT INTO history (tenant_id, place, created_at, run_at, max_attempts, attempt, finished_at, state, day, priority,
                                  kind, payload, keep, key_until, started_at, until, trace_parent, options, key, worker, error,
                                  result, progress, checkpoint)
             SELECT g.tenant_id, g.place, (g.kept).created_at, (g.kept).run_at, (g.kept).max_attempts, e.attempt, e.finished_at,
                    g.state,
                    CASE WHEN g.state = 3 AND (g.kept).keep IS NOT NULL
                           OR e.finished_at - (g.kept).created_at > 86400000000
                           OR (g.kept).created_at / 86400000000 <> ALL (ARRAY(SELECT day FROM history_days)) THEN -1
                         ELSE (g.kept).created_at / 86400000000 END,
                    g.priority, g.kind, (g.kept).payload, (g.kept).keep, (g.kept).key_until, e.started_at,
                    CASE WHEN g.state = 3 THEN e.finished_at + (g.kept).keep END,
                    (g.kept).trace_parent, (g.kept).options, (g.kept).key, e.worker,
                    nullif(coalesce(e.error, (g.kept).error), ''), e.result, (g.kept).progress, (g.kept).checkpoint
             FROM gone g JOIN unnest($6::bigint[], $7::bigint[], $8::text[], $9::bigint[], $10::text[], $11::text[])
                 WITH ORDINALITY AS e (attempt, started_at, worker, finished_at, error, result, number) ON e.number = g.number
             WHERE g.is_kept
         )"
    };
}

/// The changes of counts: from waiting, or from running where a lease was recorded, to where they are now.
macro_rules! counted {
    ($freed:literal) => {
        concat!(
            ", counted AS MATERIALIZED (
                 SELECT tenant_id, priority, kind, state, count(*) AS tasks, ",
            $freed,
            " AS ran FROM gone GROUP BY tenant_id, priority, kind, state
             ), changes AS (
                 INSERT INTO count_changes (id, tenant_id, what, priority, kind, change)
                 SELECT (SELECT change_log_take()), c.tenant_id, w.what, c.priority, c.kind, w.change
                 FROM counted c, LATERAL (VALUES (1, c.ran - c.tasks), (2, - c.ran), (c.state, c.tasks)) AS w (what, change)
                 WHERE w.change <> 0
             )
             SELECT f.holds, CASE WHEN g.count <> cardinality($3) THEN ARRAY(SELECT number FROM gone) END,
                    2 * (SELECT count(*) FROM counted)
             FROM fence f, (SELECT count(*) FROM gone) g"
        )
    };
}

/// Ends attempts that have no recorded lease.
pub(super) const END: &str = concat!(fenced!(), gone!(), kept!(), counted!("0::bigint"));

/// Ends attempts whose tasks are locked, with the leases that they may have.
pub(super) const END_RECORDED: &str = concat!(
    fenced!(),
    gone!(),
    kept!(),
    ", freed AS MATERIALIZED (DELETE FROM leases l WHERE l.place = ANY($3) AND l.place IN (SELECT place FROM gone)
     RETURNING l.place)",
    counted!("count(*) FILTER (WHERE place IN (SELECT place FROM freed))")
);

/// Puts tasks back, with the leases that they may have.
pub(super) const AGAIN: &str = concat!(
    fenced!(),
    ", gone AS MATERIALIZED (
         UPDATE queue q SET attempt = e.attempt, started_at = e.started_at, worker = e.worker, run_at = e.run_at, error = e.error
         FROM unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::bigint[], $9::text[])
             WITH ORDINALITY AS e (place, created_at, attempt, started_at, worker, run_at, error, number)
         WHERE q.place = e.place AND q.created_at = e.created_at AND (SELECT holds FROM fence)
         RETURNING q.place, e.number, q.tenant_id, q.priority, q.kind
     ), freed AS MATERIALIZED (
         DELETE FROM leases l WHERE l.place = ANY($3) AND l.place IN (SELECT place FROM gone) RETURNING l.place
     ), counted AS MATERIALIZED (
         SELECT tenant_id, priority, kind, count(*) AS tasks FROM gone WHERE place IN (SELECT place FROM freed)
         GROUP BY tenant_id, priority, kind
     ), changes AS (
         INSERT INTO count_changes (id, tenant_id, what, priority, kind, change)
         SELECT (SELECT change_log_take()), c.tenant_id, w.what, c.priority, c.kind, w.change
         FROM counted c, LATERAL (VALUES (1, c.tasks), (2, - c.tasks)) AS w (what, change)
     )
     SELECT f.holds, CASE WHEN g.count <> cardinality($3) THEN ARRAY(SELECT number FROM gone) END,
            2 * (SELECT count(*) FROM counted)
     FROM fence f, (SELECT count(*) FROM gone) g"
);
