//! Tasks put back by hand.

use async_trait::async_trait;
use sqlx::query;
use tidemill_kernel::{Id, TenantName, Timestamp};
use tidemill_store::Error;
use tidemill_store::task::{Task, TaskState, Waiting};

use super::cancel::find;
use super::row::uuid;
use crate::writer::{Outcome, Step, Write};

/// Puts one task back.
pub(super) struct ReviveTask {
    pub(super) tenant: TenantName,
    pub(super) id: Id,
    pub(super) now: Timestamp,
}

#[async_trait]
impl Write for ReviveTask {
    type Output = (Task, Waiting);

    async fn run(calls: &[Self], step: &mut Step<'_>) -> Outcome<Vec<(Task, Waiting)>> {
        let mut revived = Vec::with_capacity(calls.len());
        for call in calls {
            let (tenant, place, _) = find(&call.tenant, call.id, step).await?;
            let lock = query("SELECT FROM finished WHERE tenant_id = $1 AND id = $2 FOR UPDATE");
            step.execute(lock.bind(tenant).bind(place)).await?;
            let (_, _, mut task) = find(&call.tenant, call.id, step).await?;
            if !matches!(task.state, TaskState::Dead | TaskState::Cancelled) {
                return Err(Error::cannot_revive(call.id, task.state).into());
            }
            let priority = task.new.priority.number();
            let back = query(
                "WITH f AS (DELETE FROM finished WHERE tenant_id = $1 AND id = $2 RETURNING tenant_id, id, kind, error)
                 INSERT INTO queue (tenant_id, priority, kind, id, task_id, run_at, attempt, worker, error)
                 SELECT tenant_id, $3, kind, id, $5, $4, 0, '', error FROM f",
            );
            let back = back.bind(tenant).bind(place).bind(priority).bind(call.now.as_micros());
            step.execute(back.bind(uuid(call.id))).await?;
            step.changes.shift(tenant, priority, &task.new.kind, task.state, TaskState::Waiting);
            task.new.run_at = call.now;
            (task.state, task.attempt, task.started_at, task.finished_at) =
                (TaskState::Waiting, 0, None, None);
            task.worker.clear();
            let waiting = task.waiting(place);
            revived.push((task, waiting));
        }
        Ok(revived)
    }
}
