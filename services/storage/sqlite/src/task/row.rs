//! Rows of tasks, and what they mean. A row of the queue and one of the history have the same columns.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, Row};
use tidemill_kernel::{Id, Priority, TenantName, Timestamp};
use tidemill_store::page::LOAD_BYTES;
use tidemill_store::task::{NewTask, Task, TaskState};
use tidemill_store::{Error, Result};

use crate::error::failed;

/// The columns of a task `q` in the queue, with its lease `l` if it has one.
macro_rules! queued {
    () => {
        "q.place, q.queue, q.created_at, q.run_at, q.key_until, q.max_attempts, coalesce(l.number, q.attempt), q.keep,
         coalesce(l.started_at, q.started_at), q.key, q.trace_parent, coalesce(l.worker, q.worker), q.error, q.progress,
         q.checkpoint, q.options, q.payload, iif(l.place IS NULL, 1, 2), NULL, '', l.token, q.group_name"
    };
}
pub(super) use queued;

/// The same of a finished task `h`.
macro_rules! finished {
    () => {
        "h.place, h.queue, h.created_at, h.run_at, h.key_until, h.max_attempts, h.attempt, h.keep, h.started_at, h.key,
         h.trace_parent, h.worker, h.error, h.progress, h.checkpoint, h.options, h.payload, h.state, h.finished_at,
         h.result, NULL, h.group_name"
    };
}
pub(super) use finished;

/// A batch of places as a statement takes it: `rarray(?)`.
pub(super) fn places(places: impl Iterator<Item = i64>) -> Rc<Vec<Value>> {
    Rc::new(places.map(Value::Integer).collect())
}

/// What a queue's number stands for.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    pub(super) tenant: TenantName,
    priority: Priority,
    kind: String,
}

/// Reads rows, and remembers the queues that they are of.
pub(super) struct Decoder<'a> {
    connection: &'a Connection,
    queues: HashMap<i64, Queue>,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        Self { connection, queues: HashMap::new() }
    }

    /// The task of a row of these columns.
    pub(super) fn task(&mut self, row: &Row<'_>) -> Result<Task> {
        let number = row.get(1).map_err(failed)?;
        let Queue { tenant, priority, kind } = self.queue(number)?.clone();
        let mut task = decode(row, tenant, priority).map_err(failed)?;
        task.new.kind = kind;
        task.state = state(row.get(17).map_err(failed)?)?;
        Ok(task)
    }

    fn queue(&mut self, number: i64) -> Result<&Queue> {
        if !self.queues.contains_key(&number) {
            let queue = find(self.connection, number)?;
            self.queues.insert(number, queue);
        }
        self.queues.get(&number).ok_or_else(|| Error::Internal(format!("queue {number} is gone")))
    }
}

fn find(connection: &Connection, number: i64) -> Result<Queue> {
    let mut find = connection
        .prepare_cached(
            "SELECT n.name, q.priority, q.kind FROM task_queues q JOIN tenants n ON n.id = q.tenant_id WHERE q.id = ?1",
        )
        .map_err(failed)?;
    let found = find.query_row([number], |row| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?)));
    let (name, number, kind) = found.map_err(failed)?;
    let tenant = name.parse().map_err(|_| Error::Internal(format!("`{name}` is no name of a tenant")))?;
    Ok(Queue { tenant, priority: priority(number)?, kind })
}

fn decode(row: &Row<'_>, tenant: TenantName, priority: Priority) -> rusqlite::Result<Task> {
    let time = |column| row.get(column).map(Timestamp::from_micros);
    let time_or_none = |column| row.get(column).map(|time: Option<i64>| time.map(Timestamp::from_micros));
    let keep: Option<i64> = row.get(7)?;
    let new = NewTask {
        unique: false,
        kind: String::new(),
        priority,
        payload: row.get(16)?,
        key: row.get(9)?,
        key_until: time(4)?,
        run_at: time(3)?,
        max_attempts: row.get(5)?,
        trace_parent: row.get(10)?,
        keep: keep.map(|keep| Duration::from_micros(keep.unsigned_abs())),
        options: row.get(15)?,
        group: row.get::<_, Option<String>>(21)?.unwrap_or_default(),
    };
    let mut task = Task::stored(Id::placed(time(2)?, row.get(0)?), new, tenant);
    task.attempt = row.get(6)?;
    (task.started_at, task.finished_at) = (time_or_none(8)?, time_or_none(18)?);
    (task.worker, task.error, task.result) = (row.get(11)?, row.get(12)?, row.get(19)?);
    (task.progress, task.checkpoint) = (row.get(13)?, row.get(14)?);
    Ok(task)
}

/// The token of a row of these columns.
pub(super) fn token(row: &Row<'_>) -> Result<Id> {
    Ok(Id::from_bytes(row.get(20).map_err(failed)?))
}

/// Tasks as they are loaded: no more than may be in memory at once, one at least.
pub(super) struct Load<T> {
    pub(super) items: Vec<T>,
    bytes: usize,
}

impl<T> Load<T> {
    pub(super) fn new() -> Self {
        Self { items: Vec::new(), bytes: 0 }
    }

    /// Takes one more, if it fits; whether it did.
    pub(super) fn push(&mut self, item: T, bytes: usize) -> bool {
        self.bytes = self.bytes.saturating_add(bytes.max(1));
        let fits = self.items.is_empty() || self.bytes <= LOAD_BYTES;
        if fits {
            self.items.push(item);
        }
        fits
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
