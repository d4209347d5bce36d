//! Running tasks as steps that end or move their leases need them; leases renewed and given back.

use std::collections::HashMap;

use async_trait::async_trait;
use sqlx::{FromRow, query, query_as};
use tidemill_kernel::{Id, Timestamp};
use tidemill_store::task::{LeaseRef, TaskState, Waiting};
use uuid::Uuid;

use super::row::{WaitingRow, id, uuid};
use crate::writer::{Outcome, Step, Write};

/// A running task with its lease.
#[derive(Debug, FromRow)]
pub(super) struct Held {
    pub(super) task_id: Uuid,
    pub(super) tenant_id: i64,
    pub(super) priority: i32,
    pub(super) kind: String,
    token: Uuid,
    expires_at: i64,
}

impl Held {
    pub(super) fn expires_at(&self) -> Timestamp {
        Timestamp::from_micros(self.expires_at)
    }
}

/// Those of the tasks that are running, their leases locked.
pub(super) async fn find(tasks: impl Iterator<Item = Id>, step: &mut Step<'_>) -> Outcome<HashMap<Id, Held>> {
    let found = query_as::<_, Held>(
        "SELECT task_id, tenant_id, priority, kind, token, expires_at FROM leases
         WHERE task_id = ANY($1) ORDER BY task_id FOR UPDATE",
    );
    let found = step.rows(found.bind(tasks.map(uuid).collect::<Vec<_>>())).await?;
    Ok(found.into_iter().map(|held| (id(held.task_id), held)).collect())
}

/// Takes out the task that is held under this lease: an attempt ends once.
pub(super) fn take(held: &mut HashMap<Id, Held>, lease: &LeaseRef) -> Option<Held> {
    if held.get(&lease.task)?.token != uuid(lease.token) {
        return None;
    }
    held.remove(&lease.task)
}

/// Moves the end of leases.
pub(super) struct RenewLeases {
    pub(super) leases: Vec<LeaseRef>,
    pub(super) expires_at: Timestamp,
}

#[async_trait]
impl Write for RenewLeases {
    type Output = Vec<Id>;

    async fn run(calls: &[Self], step: &mut Step<'_>) -> Outcome<Vec<Vec<Id>>> {
        let mut lost = Vec::with_capacity(calls.len());
        for Self { leases, expires_at } in calls {
            let held = find(leases.iter().map(|lease| lease.task), step).await?;
            let valid =
                |lease: &&LeaseRef| held.get(&lease.task).is_some_and(|held| held.token == uuid(lease.token));
            let renewed: Vec<Uuid> = leases.iter().filter(valid).map(|lease| uuid(lease.task)).collect();
            let update = query("UPDATE leases SET expires_at = $2 WHERE task_id = ANY($1)");
            step.execute(update.bind(renewed).bind(expires_at.as_micros())).await?;
            lost.push(leases.iter().filter(|lease| !valid(lease)).map(|lease| lease.task).collect());
        }
        Ok(lost)
    }
}

/// Gives leases back.
pub(super) struct ReleaseLeases {
    pub(super) leases: Vec<LeaseRef>,
}

/// The queue still has the attempts of before the lease.
const RELEASE: &str = "
    WITH released AS (DELETE FROM leases WHERE task_id = ANY($1) RETURNING task_id, id)
    UPDATE queue q SET worker = '', started_at = NULL
    FROM released r, tenants n WHERE q.id = r.id AND n.id = q.tenant_id
    RETURNING r.task_id, n.name AS tenant, q.kind, q.priority, q.id, q.run_at";

#[async_trait]
impl Write for ReleaseLeases {
    type Output = Vec<Waiting>;

    async fn run(calls: &[Self], step: &mut Step<'_>) -> Outcome<Vec<Vec<Waiting>>> {
        let mut released = Vec::with_capacity(calls.len());
        for Self { leases } in calls {
            let mut held = find(leases.iter().map(|lease| lease.task), step).await?;
            let mut order = Vec::new();
            for held in leases.iter().filter_map(|lease| take(&mut held, lease)) {
                let (from, to) = (TaskState::Running, TaskState::Waiting);
                step.changes.shift(held.tenant_id, held.priority, &held.kind, from, to);
                order.push(held.task_id);
            }
            let rows = step.rows(query_as::<_, WaitingRow>(RELEASE).bind(&order)).await?;
            let waiting = rows.into_iter().map(WaitingRow::decode).collect::<Result<Vec<_>, _>>()?;
            let mut waiting: HashMap<Id, Waiting> = waiting.into_iter().map(|row| (row.id, row)).collect();
            released.push(order.into_iter().filter_map(|task| waiting.remove(&id(task))).collect());
        }
        Ok(released)
    }
}
