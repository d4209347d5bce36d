//! Tasks cancelled by hand, and those of a query that is removed.
//!
//! Both lock first, in the order of every step: leases, then the queue. A lease that comes in between belongs to a row
//! of the queue that its maker has locked too, so it is there when the queue's row is had.

use async_trait::async_trait;
use sqlx::{query, query_as};
use tidemill_kernel::{Id, TenantName, Timestamp};
use tidemill_store::Error;
use tidemill_store::task::{Task, TaskState};
use uuid::Uuid;

use super::row::{TaskRow, task_columns, task_states, uuid};
use crate::writer::{Outcome, Step, Write};

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
        for call in calls {
            let (tenant, place, _) = find(&call.tenant, call.id, step).await?;
            lock(&[uuid(call.id)], &[place], step).await?;
            let (_, _, mut task) = find(&call.tenant, call.id, step).await?;
            match task.state {
                TaskState::Cancelled => {}
                TaskState::Succeeded | TaskState::Dead => {
                    return Err(Error::cannot_cancel(call.id, task.state).into());
                }
                TaskState::Waiting | TaskState::Running => {
                    cancel(tenant, &[uuid(call.id)], &[place], call.now, step).await?;
                    (task.state, task.finished_at) = (TaskState::Cancelled, Some(call.now));
                }
            }
            cancelled.push(task);
        }
        Ok(cancelled)
    }
}

/// The tenant's number, the place in the log, and the task.
pub(super) async fn find(tenant: &TenantName, id: Id, step: &mut Step<'_>) -> Outcome<(i64, i64, Task)> {
    let found = query_as::<_, TaskRow>(concat!(
        "SELECT ",
        task_columns!(),
        " FROM tasks t JOIN tenants n ON n.id = t.tenant_id",
        task_states!(),
        "WHERE t.task_id = $1 AND n.name = $2"
    ));
    let row = step.row(found.bind(uuid(id)).bind(tenant.as_str())).await?;
    let row = row.ok_or_else(|| Error::NotFound { what: "task", name: id.to_string() })?;
    Ok((row.tenant_id, row.id, row.decode()?))
}

/// Locks what there is of unfinished tasks.
async fn lock(tasks: &[Uuid], places: &[i64], step: &mut Step<'_>) -> Outcome<()> {
    let leases = query("SELECT FROM leases WHERE task_id = ANY($1) ORDER BY task_id FOR UPDATE");
    step.execute(leases.bind(tasks)).await?;
    let queue = query("SELECT FROM queue WHERE id = ANY($1) ORDER BY id FOR UPDATE");
    step.execute(queue.bind(places)).await?;
    Ok(())
}

const CANCEL: &str = "
    WITH l AS (
        DELETE FROM leases WHERE task_id = ANY($1) RETURNING id, attempt, started_at, worker
    ), q AS (
        DELETE FROM queue WHERE id = ANY($2)
        RETURNING tenant_id, id, kind, priority, attempt, run_at, started_at, worker, error
    ), f AS (
        INSERT INTO finished (tenant_id, id, state, kind, attempt, run_at, started_at, finished_at, worker, error, result)
        SELECT q.tenant_id, q.id, 5, q.kind, coalesce(l.attempt, q.attempt), q.run_at,
               coalesce(l.started_at, q.started_at), $3, coalesce(l.worker, q.worker), q.error, ''
        FROM q LEFT JOIN l ON l.id = q.id
    )
    SELECT q.priority, q.kind, l.id IS NOT NULL, count(*) FROM q LEFT JOIN l ON l.id = q.id GROUP BY 1, 2, 3";

/// Cancels those that are not finished; they are locked.
async fn cancel(
    tenant: i64,
    tasks: &[Uuid],
    places: &[i64],
    now: Timestamp,
    step: &mut Step<'_>,
) -> Outcome<()> {
    let cancelled = query_as::<_, (i32, String, bool, i64)>(CANCEL);
    let cancelled = cancelled.bind(tasks).bind(places).bind(now.as_micros());
    for (priority, kind, ran, count) in step.rows(cancelled).await? {
        let from = if ran { TaskState::Running } else { TaskState::Waiting };
        step.changes.task(tenant, priority, &kind, from, -count);
        step.changes.task(tenant, priority, &kind, TaskState::Cancelled, count);
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
    let unfinished = query_as::<_, (Uuid, i64)>(
        "SELECT t.task_id, t.id FROM matches m JOIN tasks t ON t.tenant_id = m.tenant_id AND t.id = m.task
         JOIN queue q ON q.id = t.id WHERE m.tenant_id = $1 AND m.query = $2",
    );
    let unfinished = step.rows(unfinished.bind(tenant).bind(query_number)).await?;
    let (tasks, places): (Vec<Uuid>, Vec<i64>) = unfinished.into_iter().unzip();
    lock(&tasks, &places, step).await?;
    cancel(tenant, &tasks, &places, now, step).await
}
