//! Rows of tasks as JSON arrays, and what they mean.

use serde::Deserialize;
use tidemill_kernel::{Id, Priority, TenantName, Timestamp};
use tidemill_store::task::{NewTask, Running, Task, TaskState, Waiting};
use tidemill_store::{Error, Result};

/// A task `t` in state `s` as [`TaskRow`].
macro_rules! task_json {
    () => {
        "json_array(t.id, t.tenant_id, s.state, s.attempt, t.created_at, s.started_at, s.finished_at, s.worker,
                    s.error, s.result, hex(t.task_id), s.kind, s.priority, t.payload, t.key, s.run_at,
                    t.max_attempts, t.trace_parent)"
    };
}
pub(super) use task_json;

/// A task as a statement returns it.
#[derive(Debug, Deserialize)]
pub(super) struct TaskRow {
    pub(super) sequence: i64,
    pub(super) tenant: i64,
    state: i32,
    attempt: u32,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    worker: String,
    error: String,
    result: String,
    id: Id,
    kind: String,
    priority: i32,
    payload: String,
    key: String,
    run_at: Timestamp,
    max_attempts: u32,
    trace_parent: String,
}

impl TaskRow {
    /// The task of this tenant.
    pub(super) fn decode(self, tenant: TenantName) -> Result<Task> {
        Ok(Task {
            new: NewTask {
                id: self.id,
                kind: self.kind,
                priority: priority(self.priority)?,
                payload: self.payload,
                key: self.key,
                run_at: self.run_at,
                max_attempts: self.max_attempts,
                trace_parent: self.trace_parent,
            },
            tenant,
            state: state(self.state)?,
            attempt: self.attempt,
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
            worker: self.worker,
            error: self.error,
            result: self.result,
        })
    }
}

/// A task `t` in state `s` of a tenant `n` as [`WaitingRow`].
macro_rules! waiting_json {
    () => {
        "json_array(hex(t.task_id), n.name, s.kind, s.priority, s.id, s.run_at)"
    };
}
pub(super) use waiting_json;

/// A waiting task as a statement returns it.
#[derive(Debug, Deserialize)]
pub(super) struct WaitingRow(Id, TenantName, String, i32, i64, Timestamp);

impl WaitingRow {
    /// The task for the scheduler.
    pub(super) fn decode(self) -> Result<Waiting> {
        let Self(id, tenant, kind, priority, sequence, run_at) = self;
        Ok(Waiting { id, tenant, kind, priority: self::priority(priority)?, sequence, run_at })
    }
}

/// A running task as a statement returns it: as it would wait, then its lease.
#[derive(Debug, Deserialize)]
pub(super) struct RunningRow(WaitingRow, String, Id, Timestamp, u32, u32);

impl RunningRow {
    /// The task with its lease.
    pub(super) fn decode(self) -> Result<Running> {
        let Self(waiting, worker, token, expires_at, attempt, max_attempts) = self;
        Ok(Running { waiting: waiting.decode()?, worker, token, expires_at, attempt, max_attempts })
    }
}

/// A priority from its number.
pub(crate) fn priority(number: i32) -> Result<Priority> {
    Priority::from_number(number).ok_or_else(|| Error::Internal(format!("{number} is no priority")))
}

/// A state from its number.
pub(super) fn state(number: i32) -> Result<TaskState> {
    TaskState::from_number(number).ok_or_else(|| Error::Internal(format!("{number} is no task state")))
}
