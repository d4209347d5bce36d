//! Rows of tasks, and what they mean.

use sqlx::FromRow;
use tidemill_kernel::{Id, Priority, Timestamp};
use tidemill_store::task::{NewTask, Running, Task, TaskState, Waiting};
use tidemill_store::{Error, Result};
use uuid::Uuid;

use crate::tenant::tenant_name;

/// The columns of [`TaskRow`], of a task `t` of a tenant `n` as it stands: waiting in `q`, leased in `l`, or in `f`.
macro_rules! task_columns {
    () => {
        "t.id, t.tenant_id, n.name AS tenant, t.task_id, t.kind, t.priority, t.payload, t.key, t.max_attempts,
         t.trace_parent, t.created_at,
         CASE WHEN l.task_id IS NOT NULL THEN 2 WHEN q.id IS NOT NULL THEN 1 ELSE f.state END AS state,
         coalesce(l.attempt, q.attempt, f.attempt) AS attempt, coalesce(q.run_at, f.run_at) AS run_at,
         coalesce(l.started_at, q.started_at, f.started_at) AS started_at, f.finished_at,
         coalesce(l.worker, q.worker, f.worker) AS worker, coalesce(q.error, f.error) AS error,
         coalesce(f.result, '') AS result"
    };
}
pub(super) use task_columns;

/// Where a task `t` may stand.
macro_rules! task_states {
    () => {
        " LEFT JOIN queue q ON q.id = t.id LEFT JOIN leases l ON l.task_id = t.task_id
          LEFT JOIN finished f ON f.tenant_id = t.tenant_id AND f.id = t.id "
    };
}
pub(super) use task_states;

/// A task as a statement returns it.
#[derive(Debug, FromRow)]
pub(super) struct TaskRow {
    pub(super) id: i64,
    pub(super) tenant_id: i64,
    tenant: String,
    task_id: Uuid,
    kind: String,
    priority: i32,
    pub(super) payload: String,
    key: String,
    max_attempts: i64,
    trace_parent: String,
    created_at: i64,
    state: i32,
    attempt: i64,
    run_at: i64,
    started_at: Option<i64>,
    finished_at: Option<i64>,
    worker: String,
    error: String,
    result: String,
}

impl TaskRow {
    pub(super) fn decode(self) -> Result<Task> {
        Ok(Task {
            new: NewTask {
                id: id(self.task_id),
                kind: self.kind,
                priority: priority(self.priority)?,
                payload: self.payload,
                key: self.key,
                run_at: Timestamp::from_micros(self.run_at),
                max_attempts: number(self.max_attempts),
                trace_parent: self.trace_parent,
            },
            tenant: tenant_name(self.tenant)?,
            state: state(self.state)?,
            attempt: number(self.attempt),
            created_at: Timestamp::from_micros(self.created_at),
            started_at: self.started_at.map(Timestamp::from_micros),
            finished_at: self.finished_at.map(Timestamp::from_micros),
            worker: self.worker,
            error: self.error,
            result: self.result,
        })
    }

    /// About how many bytes it has.
    pub(super) fn bytes(&self) -> usize {
        300 + self.payload.len() + self.error.len() + self.result.len()
    }
}

/// A task for the scheduler as a statement returns it.
#[derive(Debug, FromRow)]
pub(super) struct WaitingRow {
    task_id: Uuid,
    tenant: String,
    kind: String,
    priority: i32,
    id: i64,
    run_at: i64,
}

impl WaitingRow {
    pub(super) fn decode(self) -> Result<Waiting> {
        Ok(Waiting {
            id: id(self.task_id),
            tenant: tenant_name(self.tenant)?,
            kind: self.kind,
            priority: priority(self.priority)?,
            sequence: self.id,
            run_at: Timestamp::from_micros(self.run_at),
        })
    }
}

/// A running task as a statement returns it: as it would wait, then its lease.
#[derive(Debug, FromRow)]
pub(super) struct RunningRow {
    #[sqlx(flatten)]
    waiting: WaitingRow,
    worker: String,
    token: Uuid,
    expires_at: i64,
    attempt: i64,
    max_attempts: i64,
}

impl RunningRow {
    pub(super) fn decode(self) -> Result<Running> {
        Ok(Running {
            waiting: self.waiting.decode()?,
            worker: self.worker,
            token: id(self.token),
            expires_at: Timestamp::from_micros(self.expires_at),
            attempt: number(self.attempt),
            max_attempts: number(self.max_attempts),
        })
    }
}

/// An id as the database holds it.
pub(crate) fn uuid(id: Id) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

/// An id as the database holds it, read.
pub(crate) fn id(uuid: Uuid) -> Id {
    Id::from_bytes(*uuid.as_bytes())
}

/// A priority from its number.
pub(crate) fn priority(number: i32) -> Result<Priority> {
    Priority::from_number(number).ok_or_else(|| Error::Internal(format!("{number} is no priority")))
}

/// A state from its number.
pub(super) fn state(number: i32) -> Result<TaskState> {
    TaskState::from_number(number).ok_or_else(|| Error::Internal(format!("{number} is no task state")))
}

fn number(stored: i64) -> u32 {
    u32::try_from(stored).unwrap_or(0)
}
