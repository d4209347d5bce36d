//! Tasks put back by hand.

use async_trait::async_trait;
use sqlx::query_as;
use tidemill_kernel::{Id, TenantName, Timestamp};
use tidemill_store::Error;
use tidemill_store::task::{Task, TaskState};

use super::cancel::{find, known};
use super::row::{placed, state};
use crate::writer::{Outcome, Step, Write};

/// Puts one task back.
pub(super) struct ReviveTask {
    pub(super) tenant: TenantName,
    pub(super) id: Id,
    pub(super) now: Timestamp,
}

const BACK: &str = "
    WITH h AS (
        DELETE FROM history WHERE tenant_id = $1 AND state IN (4, 5) AND place = $2 AND created_at = $3
            AND day IN (-1, ($3 / 86400000000)::integer)
        RETURNING *
    ), q AS (
        INSERT INTO queue (place, tenant_id, created_at, run_at, max_attempts, attempt, priority, kind, payload, keep, key_until,
                           trace_parent, options, key, error, progress, checkpoint, group_name)
        SELECT place, tenant_id, created_at, $4, max_attempts, 0, priority, kind, payload, keep, key_until, trace_parent,
               options, key, error, progress, checkpoint, group_name
        FROM h
    )
    SELECT state FROM h";

#[async_trait]
impl Write for ReviveTask {
    type Output = Task;

    async fn run(calls: &[Self], step: &mut Step<'_>) -> Outcome<Vec<Task>> {
        let mut revived = Vec::with_capacity(calls.len());
        for ReviveTask { tenant: name, id, now } in calls {
            let tenant = known(name, *id, step).await?;
            let (place, created_at) = placed(*id);
            let back = query_as::<_, (i32,)>(BACK).bind(tenant).bind(place).bind(created_at);
            let before = step.row(back.bind(now.as_micros())).await?;
            let task = find(name, *id, step).await?;
            let Some((before,)) = before else {
                return Err(Error::cannot_revive(*id, task.state).into());
            };
            let new = &task.new;
            let (before, after) = (state(before)?, TaskState::Waiting);
            step.changes.shift(tenant, new.priority.number(), &new.kind, before, after);
            if !new.group.is_empty() {
                step.changes.group(tenant, &new.group, *now).shift(before, after, 1, *now);
            }
            revived.push(task);
        }
        Ok(revived)
    }
}
