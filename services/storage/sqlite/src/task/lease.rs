//! Leases made, renewed and given back. The tasks are read first, the outcome is decided on them, and one statement
//! writes it for the whole batch.

use std::collections::HashMap;

use serde::Serialize;
use tidemill_kernel::{Id, Timestamp};
use tidemill_store::Result;
use tidemill_store::task::{Grant, LeaseRef, Task, TaskState, Waiting};

use super::counts::Changes;
use super::held;
use super::row::{TaskRow, task_json};
use crate::statement::query;
use crate::writer::{Step, Write, encode};

/// Starts attempts.
pub(super) struct LeaseTasks {
    pub(super) grants: Vec<Grant>,
    pub(super) expires_at: Timestamp,
    pub(super) now: Timestamp,
}

#[derive(Serialize)]
struct Started<'a>(i64, &'a str, Id, Timestamp, Timestamp);

impl Write for LeaseTasks {
    type Output = Vec<(Task, Id)>;
    const MERGES: bool = true;

    fn bytes(&self) -> usize {
        self.grants.len() * 500
    }

    fn run(calls: &[Self], step: &mut Step<'_>) -> Result<Vec<Vec<(Task, Id)>>> {
        let asked: Vec<Id> = calls.iter().flat_map(|call| &call.grants).map(|grant| grant.task).collect();
        let found = query(concat!(
            "SELECT json_group_array(",
            task_json!(),
            ") FROM jsonb_each(?1) e CROSS JOIN tasks t ON t.task_id = unhex(e.value, '-')
               CROSS JOIN task_states s ON s.id = t.id WHERE s.state = 1"
        ));
        let found: Option<Vec<TaskRow>> = step.row(found.bind(encode(&asked)?))?;
        let mut waiting = HashMap::with_capacity(asked.len());
        for row in found.unwrap_or_default() {
            let (sequence, tenant) = (row.sequence, row.tenant);
            let task = row.decode(step.tenant_name(tenant)?)?;
            waiting.insert(task.new.id, (sequence, tenant, task));
        }
        let (mut started, mut changes, mut leased) = (Vec::new(), Changes::default(), Vec::new());
        for call in calls {
            let mut mine = Vec::new();
            for grant in &call.grants {
                // The first grant takes the task out, so that a second finds none.
                let Some((sequence, tenant, mut task)) = waiting.remove(&grant.task) else { continue };
                let priority = task.new.priority.number();
                changes.shift(tenant, priority, &task.new.kind, TaskState::Waiting, TaskState::Running);
                started.push(Started(sequence, &grant.worker, grant.token, call.expires_at, call.now));
                task.state = TaskState::Running;
                task.attempt += 1;
                task.started_at = Some(call.now);
                task.worker.clone_from(&grant.worker);
                mine.push((task, grant.token));
            }
            leased.push(mine);
        }
        start(&started, changes, step)?;
        Ok(leased)
    }
}

fn start(started: &[Started<'_>], changes: Changes, step: &mut Step<'_>) -> Result<()> {
    if started.is_empty() {
        return Ok(());
    }
    let update = query(
        "UPDATE task_states SET state = 2, attempt = attempt + 1, worker = json_extract(e.value, '$[1]'),
                token = unhex(json_extract(e.value, '$[2]'), '-'), expires_at = json_extract(e.value, '$[3]'),
                started_at = json_extract(e.value, '$[4]')
         FROM jsonb_each(?1) e WHERE task_states.id = json_extract(e.value, '$[0]')",
    );
    step.execute(update.bind(encode(started)?))?;
    changes.save(step)
}

/// Moves the end of leases.
pub(super) struct RenewLeases {
    pub(super) leases: Vec<LeaseRef>,
    pub(super) expires_at: Timestamp,
}

impl Write for RenewLeases {
    type Output = Vec<Id>;

    fn run(calls: &[Self], step: &mut Step<'_>) -> Result<Vec<Vec<Id>>> {
        let mut lost = Vec::with_capacity(calls.len());
        for Self { leases, expires_at } in calls {
            let held = held::find(leases.iter().map(|lease| lease.task), step)?;
            let valid =
                |lease: &&LeaseRef| held.get(&lease.task).is_some_and(|held| held.token == lease.token);
            let renewed: Vec<i64> = leases
                .iter()
                .filter(valid)
                .filter_map(|lease| Some(held.get(&lease.task)?.sequence))
                .collect();
            let update =
                query("UPDATE task_states SET expires_at = ?2 WHERE id IN (SELECT value FROM json_each(?1))");
            step.execute(update.bind(encode(&renewed)?).bind(expires_at.as_micros()))?;
            lost.push(leases.iter().filter(|lease| !valid(lease)).map(|lease| lease.task).collect());
        }
        Ok(lost)
    }
}

/// Gives leases back.
pub(super) struct ReleaseLeases {
    pub(super) leases: Vec<LeaseRef>,
}

impl Write for ReleaseLeases {
    type Output = Vec<Waiting>;

    fn run(calls: &[Self], step: &mut Step<'_>) -> Result<Vec<Vec<Waiting>>> {
        let mut released = Vec::with_capacity(calls.len());
        for Self { leases } in calls {
            let mut held = held::find(leases.iter().map(|lease| lease.task), step)?;
            let (mut rows, mut waiting, mut changes) = (Vec::new(), Vec::new(), Changes::default());
            for held in leases.iter().filter_map(|lease| held::take(&mut held, lease)) {
                changes.shift(held.tenant, held.priority, &held.kind, TaskState::Running, TaskState::Waiting);
                rows.push(held.sequence);
                waiting.push(held.waiting(step)?);
            }
            let update = query(
                "UPDATE task_states SET state = 1, attempt = max(attempt - 1, 0), worker = '', started_at = NULL,
                        token = NULL, expires_at = NULL
                 WHERE id IN (SELECT value FROM json_each(?1))",
            );
            step.execute(update.bind(encode(&rows)?))?;
            changes.save(step)?;
            released.push(waiting);
        }
        Ok(released)
    }
}
