//! Tasks cancelled by hand, and those of a query that is removed.
//!
//! Both lock the queue's rows first: a lease that is recorded meanwhile is there when the row is had.

use async_trait::async_trait;
use sqlx::query_as;
use tidemill_kernel::{Id, TenantName, Timestamp};
use tidemill_store::Error;
use tidemill_store::task::{Task, TaskState};

use super::read;
use super::row::placed;
use crate::writer::{Outcome, Step, Stop, Write};

/// Cancels one task.
pub(super) struct CancelTask {
    pub(super) tenant: TenantName,
    pub(super) id: Id,
    pub(super) now: Timestamp,
}

#[async_trait]
impl Write for CancelTask {
    type Output = Task;

    async fn run(calls: &[Self], step: &mut Step<'_>) -> Outcome<Vec<Task>> {
        let mut cancelled = Vec::with_capacity(calls.len());
        for CancelTask { tenant: name, id, now } in calls {
            let tenant = known(name, *id, step).await?;
            let (place, created_at) = placed(*id);
            let lock = query_as::<_, (i64,)>(
                "SELECT place FROM queue WHERE place = $1 AND created_at = $2 AND tenant_id + 0 = $3 FOR UPDATE",
            );
            if step.row(lock.bind(place).bind(created_at).bind(tenant)).await?.is_some() {
                cancel(tenant, &[place], *now, step).await?;
            }
            let task = find(name, *id, step).await?;
            if task.state != TaskState::Cancelled {
                return Err(Error::cannot_cancel(*id, task.state).into());
            }
            cancelled.push(task);
        }
        Ok(cancelled)
    }
}

/// The number of the tenant whose task is asked for; without it there is no such task.
pub(super) async fn known(tenant: &TenantName, id: Id, step: &mut Step<'_>) -> Outcome<i64> {
    step.tenant(tenant).await.map_err(|stop| match stop {
        Stop::Refused(_) => no_task(id).into(),
        stop => stop,
    })
}

/// The task as it stands.
pub(super) async fn find(tenant: &TenantName, id: Id, step: &mut Step<'_>) -> Outcome<Task> {
    let row = step.row(read::one(tenant, id)).await?.ok_or_else(|| no_task(id))?;
    Ok(row.decode(tenant.clone())?)
}

fn no_task(id: Id) -> Error {
    Error::NotFound { what: "task", name: id.to_string() }
}

const CANCEL: &str = "
    WITH q AS (
        DELETE FROM queue WHERE place = ANY($1) RETURNING *
    ), l AS (
        DELETE FROM leases WHERE place = ANY($1) RETURNING place, number, started_at, worker
    ), h AS (
        INSERT INTO history (tenant_id, place, created_at, run_at, max_attempts, attempt, finished_at, state, day, priority,
                             kind, payload, keep, key_until, started_at, trace_parent, options, key, worker, error, progress,
                             checkpoint, group_name)
        SELECT q.tenant_id, q.place, q.created_at, q.run_at, q.max_attempts, coalesce(l.number, q.attempt), $2, 5,
               CASE WHEN $2 - q.created_at > 86400000000
                      OR q.created_at / 86400000000 <> ALL (ARRAY(SELECT day FROM history_days)) THEN -1
                    ELSE q.created_at / 86400000000 END,
               q.priority, q.kind, q.payload, q.keep, q.key_until, coalesce(l.started_at, q.started_at), q.trace_parent,
               q.options, q.key, nullif(coalesce(l.worker, q.worker), ''), q.error, q.progress, q.checkpoint, q.group_name
        FROM q LEFT JOIN l ON l.place = q.place
    )
    SELECT q.priority, q.kind, q.group_name, l.place IS NOT NULL, count(*) FROM q LEFT JOIN l ON l.place = q.place
    GROUP BY 1, 2, 3, 4";

/// Tasks that were cancelled: priority, kind, group, whether they ran, how many.
type Cancelled = (i32, String, Option<String>, bool, i64);

/// Cancels unfinished tasks of a tenant; they are locked.
pub(super) async fn cancel(tenant: i64, places: &[i64], now: Timestamp, step: &mut Step<'_>) -> Outcome<()> {
    let cancelled = query_as::<_, Cancelled>(CANCEL).bind(places).bind(now.as_micros());
    for (priority, kind, group, ran, count) in step.rows(cancelled).await? {
        let from = if ran { TaskState::Running } else { TaskState::Waiting };
        step.changes.task(tenant, priority, &kind, from, -count);
        step.changes.task(tenant, priority, &kind, TaskState::Cancelled, count);
        if let Some(group) = group {
            step.changes.group(tenant, &group, now).shift(from, TaskState::Cancelled, count, now);
        }
    }
    Ok(())
}

/// Cancels the unfinished tasks of a query's matches. The tenant is locked, so that none is added.
pub(crate) async fn cancel_of_query(
    tenant: i64,
    query_number: i64,
    now: Timestamp,
    step: &mut Step<'_>,
) -> Outcome<()> {
    let unfinished = query_as::<_, (i64,)>(
        "SELECT q.place
         FROM (SELECT task FROM matches WHERE tenant_id = $1 AND query = $2 AND task IS NOT NULL ORDER BY task OFFSET 0) m
         CROSS JOIN LATERAL (SELECT place FROM queue WHERE place = m.task OFFSET 0 FOR UPDATE) q",
    );
    let unfinished = step.rows(unfinished.bind(tenant).bind(query_number)).await?;
    let places: Vec<i64> = unfinished.into_iter().map(|(place,)| place).collect();
    if places.is_empty() {
        return Ok(());
    }
    cancel(tenant, &places, now, step).await
}
