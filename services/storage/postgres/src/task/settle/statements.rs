//! The statements that end attempts: each whole, so that it can be a transaction of its own.
//!
//! The places are sorted, so a row finds what was sent for it by its place's rank among them (`width_bucket`). A join would
//! leave it to the planner whether it looks the rows up or reads the whole index, and a whole index has everything in it
//! that is dead.

use crate::task::fence::fenced;

/// The rows that end leave the queue. `kept`: what of them goes into history, or nothing at all.
macro_rules! gone {
    () => {
        ", gone AS MATERIALIZED (
             DELETE FROM queue q
             WHERE q.place = ANY ($3::bigint[]) AND q.created_at = ($4::bigint[])[width_bucket(q.place, $3)]
               AND (SELECT holds FROM fence)
             RETURNING q.place, width_bucket(q.place, $3) AS number, q.tenant_id, q.priority, q.kind, q.group_name,
                       ($5::integer[])[width_bucket(q.place, $3)] AS state,
                       q.keep IS DISTINCT FROM 0 OR ($5::integer[])[width_bucket(q.place, $3)] <> 3 AS is_kept,
                       CASE WHEN q.keep IS DISTINCT FROM 0 OR ($5::integer[])[width_bucket(q.place, $3)] <> 3 THEN q END AS kept
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
                                  result, progress, checkpoint, group_name)
             SELECT g.tenant_id, g.place, (g.kept).created_at, (g.kept).run_at, (g.kept).max_attempts, g.attempt, g.finished_at,
                    g.state,
                    CASE WHEN g.state = 3 AND (g.kept).keep IS NOT NULL
                           OR g.finished_at - (g.kept).created_at > 86400000000
                           OR (g.kept).created_at / 86400000000 <> ALL (ARRAY(SELECT day FROM history_days)) THEN -1
                         ELSE (g.kept).created_at / 86400000000 END,
                    g.priority, g.kind, (g.kept).payload, (g.kept).keep, (g.kept).key_until, g.started_at,
                    CASE WHEN g.state = 3 THEN g.finished_at + (g.kept).keep END,
                    (g.kept).trace_parent, (g.kept).options, (g.kept).key, g.worker,
                    nullif(coalesce(g.error, (g.kept).error), ''), g.result, (g.kept).progress, (g.kept).checkpoint,
                    g.group_name
             FROM (SELECT g.*, ($6::bigint[])[g.number] AS attempt, ($7::bigint[])[g.number] AS started_at,
                          ($8::text[])[g.number] AS worker, ($9::bigint[])[g.number] AS finished_at,
                          ($10::text[])[g.number] AS error, ($11::text[])[g.number] AS result
                   FROM gone g WHERE g.is_kept OFFSET 0) g
         )"
    };
}

/// The changes of counts: from waiting, or from running where a lease was recorded, to where they are now; those of groups.
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
             ), grouped AS (
                 INSERT INTO group_changes (id, tenant_id, name, total, succeeded, dead, cancelled, first_at, changed_at)
                 SELECT (SELECT change_log_take()), tenant_id, group_name, 0, count(*) FILTER (WHERE state = 3),
                        count(*) FILTER (WHERE state = 4), 0, min(($9::bigint[])[number]), max(($9::bigint[])[number])
                 FROM gone WHERE group_name IS NOT NULL GROUP BY tenant_id, group_name
                 RETURNING id
             )
             SELECT f.holds, CASE WHEN g.count <> cardinality($3) THEN ARRAY(SELECT number FROM gone) END,
                    2 * (SELECT count(*) FROM counted) + (SELECT count(*) FROM grouped)
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
    ", freed AS MATERIALIZED (DELETE FROM leases l WHERE l.place = ANY($3) AND l.place = ANY (ARRAY(SELECT place FROM gone))
     RETURNING l.place)",
    counted!("count(*) FILTER (WHERE place IN (SELECT place FROM freed))")
);

/// Puts tasks back, with the leases that they may have.
pub(super) const AGAIN: &str = concat!(
    fenced!(),
    ", gone AS MATERIALIZED (
         UPDATE queue q
         SET attempt = ($5::bigint[])[width_bucket(q.place, $3)], started_at = ($6::bigint[])[width_bucket(q.place, $3)],
             worker = ($7::text[])[width_bucket(q.place, $3)], run_at = ($8::bigint[])[width_bucket(q.place, $3)],
             error = ($9::text[])[width_bucket(q.place, $3)]
         WHERE q.place = ANY ($3::bigint[]) AND q.created_at = ($4::bigint[])[width_bucket(q.place, $3)]
           AND (SELECT holds FROM fence)
         RETURNING q.place, width_bucket(q.place, $3) AS number, q.tenant_id, q.priority, q.kind
     ), freed AS MATERIALIZED (
         DELETE FROM leases l WHERE l.place = ANY($3) AND l.place = ANY (ARRAY(SELECT place FROM gone)) RETURNING l.place
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
