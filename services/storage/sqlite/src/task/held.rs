//! Running tasks as steps that end or move their leases need them.

use std::collections::HashMap;

use serde::Deserialize;
use tidemill_kernel::{Id, Timestamp};
use tidemill_store::Result;
use tidemill_store::task::{LeaseRef, Waiting};

use super::row::priority;
use crate::statement::query;
use crate::writer::{Step, encode};

/// A running task with its lease.
#[derive(Debug, Deserialize)]
pub(super) struct Held {
    pub(super) id: Id,
    pub(super) sequence: i64,
    pub(super) tenant: i64,
    pub(super) priority: i32,
    pub(super) kind: String,
    pub(super) run_at: Timestamp,
    pub(super) token: Id,
    pub(super) expires_at: Timestamp,
}

impl Held {
    /// The same for the scheduler, waiting again.
    pub(super) fn waiting(&self, step: &mut Step<'_>) -> Result<Waiting> {
        Ok(Waiting {
            id: self.id,
            tenant: step.tenant_name(self.tenant)?,
            kind: self.kind.clone(),
            priority: priority(self.priority)?,
            sequence: self.sequence,
            run_at: self.run_at,
        })
    }
}

/// Those of the tasks that are running.
pub(super) fn find(tasks: impl Iterator<Item = Id>, step: &mut Step<'_>) -> Result<HashMap<Id, Held>> {
    let found = query(
        "SELECT json_group_array(json_array(e.value, s.id, s.tenant_id, s.priority, s.kind, s.run_at, hex(s.token),
                                            s.expires_at))
         FROM jsonb_each(?1) e CROSS JOIN tasks t ON t.task_id = unhex(e.value, '-')
         CROSS JOIN task_states s ON s.id = t.id WHERE s.state = 2",
    );
    let found: Option<Vec<Held>> = step.row(found.bind(encode(&tasks.collect::<Vec<_>>())?))?;
    Ok(found.unwrap_or_default().into_iter().map(|held| (held.id, held)).collect())
}

/// Takes out the task that is held under this lease: an attempt ends once.
pub(super) fn take(held: &mut HashMap<Id, Held>, lease: &LeaseRef) -> Option<Held> {
    if held.get(&lease.task)?.token != lease.token {
        return None;
    }
    held.remove(&lease.task)
}
