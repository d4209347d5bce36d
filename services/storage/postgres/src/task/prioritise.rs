//! Tasks moved to another priority by hand.
//!
//! The queue's row is locked for good: whoever records a lease at the same moment counts the task where it is then.

use async_trait::async_trait;
use sqlx::query_as;
use tidemill_kernel::{Id, Priority, TenantName};
use tidemill_store::Error;
use tidemill_store::task::{Task, TaskState};

use super::cancel::{find, known};
use super::row::placed;
use crate::writer::{Outcome, Step, Write};

/// Moves one task.
pub(super) struct PrioritiseTask {
    pub(super) tenant: TenantName,
    pub(super) id: Id,
    pub(super) priority: Priority,
}

#[async_trait]
impl Write for PrioritiseTask {
    type Output = Task;

    async fn run(calls: &[Self], step: &mut Step<'_>) -> Outcome<Vec<Task>> {
        let mut moved = Vec::with_capacity(calls.len());
        for PrioritiseTask { tenant: name, id, priority } in calls {
            let tenant = known(name, *id, step).await?;
            let (place, created_at) = placed(*id);
            let lock = query_as::<_, (i32,)>(
                "SELECT priority FROM queue WHERE place = $1 AND created_at = $2 AND tenant_id + 0 = $3 FOR UPDATE",
            );
            let before = step.row(lock.bind(place).bind(created_at).bind(tenant)).await?;
            let Some((before,)) = before else {
                let task = find(name, *id, step).await?;
                return Err(Error::cannot_prioritise(*id, task.state).into());
            };
            let change = query_as::<_, (i64,)>(
                "UPDATE queue SET priority = $2 WHERE place = $1 AND priority <> $2 RETURNING place",
            );
            step.row(change.bind(place).bind(priority.number())).await?;
            let task = find(name, *id, step).await?;
            count(tenant, before, &task, step);
            moved.push(task);
        }
        Ok(moved)
    }
}

/// Counts a task where it is now, and no longer where it was.
fn count(tenant: i64, before: i32, task: &Task, step: &mut Step<'_>) {
    let (state, kind): (TaskState, &str) = (task.state, &task.new.kind);
    step.changes.task(tenant, before, kind, state, -1);
    step.changes.task(tenant, task.new.priority.number(), kind, state, 1);
}
