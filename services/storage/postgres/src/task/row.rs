//! Rows of tasks, and what they mean.

use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{Decode, FromRow, Postgres, Row, Type};
use tidemill_kernel::{Id, Priority, TenantName, Timestamp};
use tidemill_store::task::{Attempt, NewTask, Task, TaskState};
use tidemill_store::text::clean;
use tidemill_store::{Error, Result};
use uuid::Uuid;

/// The columns of [`TaskRow`], of an unfinished task `q` with the lease `l` that it may have.
macro_rules! queue_columns {
    () => {
        "q.place, q.tenant_id, q.created_at, q.run_at, q.max_attempts, q.priority, q.kind, q.payload, q.keep, q.key_until,
         q.trace_parent, q.options, q.key, q.error, q.progress, q.checkpoint,
         CASE WHEN l.place IS NULL THEN 1 ELSE 2 END AS state, coalesce(l.number, q.attempt) AS attempt,
         coalesce(l.started_at, q.started_at) AS started_at, coalesce(l.worker, q.worker) AS worker,
         NULL::bigint AS finished_at, NULL::text AS result, q.group_name"
    };
}
pub(super) use queue_columns;

/// The condition of rows of `queue`: tenant, priority and kind, and how their places compare with two others. As ranges of the
/// whole key, in whose order they are to be asked for: as columns of their own the planner takes the places alone as soon as
/// most of what waits is of one queue, and then a small one costs a walk over the large one.
macro_rules! places_of_queue {
    ($queue:literal, $lower:literal $from:literal, $upper:literal $until:literal) => {
        concat!(
            "(tenant_id, priority, kind, place) ",
            $lower,
            " (",
            $queue,
            ", ",
            $from,
            ") AND (tenant_id, priority, kind, place) ",
            $upper,
            " (",
            $queue,
            ", ",
            $until,
            ")"
        )
    };
}
pub(super) use places_of_queue;

/// The columns of [`TaskRow`], of a finished task `h`.
macro_rules! history_columns {
    () => {
        "h.place, h.tenant_id, h.created_at, h.run_at, h.max_attempts, h.priority, h.kind, h.payload, h.keep, h.key_until,
         h.trace_parent, h.options, h.key, h.error, h.progress, h.checkpoint,
         h.state, h.attempt, h.started_at, h.worker, h.finished_at, h.result, h.group_name"
    };
}
pub(super) use history_columns;

/// A task as a statement returns it.
#[derive(Debug)]
pub(super) struct TaskRow {
    pub(super) id: Id,
    pub(super) tenant_id: i64,
    priority: i32,
    /// Without its priority.
    new: NewTask,
    error: String,
    progress: String,
    checkpoint: Vec<u8>,
    state: i32,
    attempt: u32,
    started_at: Option<Timestamp>,
    worker: String,
    finished_at: Option<Timestamp>,
    result: String,
}

impl TaskRow {
    pub(super) fn decode(self, tenant: TenantName) -> Result<Task> {
        let Self {
            id, error, progress, checkpoint, attempt, started_at, finished_at, worker, result, ..
        } = self;
        let new = NewTask { priority: priority(self.priority)?, ..self.new };
        let state = state(self.state)?;
        Ok(Task {
            id,
            new,
            tenant,
            state,
            attempt,
            started_at,
            finished_at,
            worker,
            error,
            result,
            progress,
            checkpoint,
        })
    }

    /// About how many bytes it has.
    pub(super) fn bytes(&self) -> usize {
        let texts = [&self.new.payload, &self.error, &self.result, &self.progress].map(String::len);
        texts.iter().sum::<usize>() + self.new.options.len() + self.checkpoint.len()
    }
}

impl FromRow<'_, PgRow> for TaskRow {
    /// By position: rows come by the thousand.
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let mut columns = Columns { row, next: 0 };
        let (place, tenant_id) = (columns.next()?, columns.next()?);
        let id = Id::placed(columns.moment()?, place);
        let (run_at, max_attempts, priority) = (columns.moment()?, columns.count()?, columns.next()?);
        // Fields are read in the order in which they are written here.
        let new = NewTask {
            unique: false,
            run_at,
            max_attempts,
            priority: Priority::Normal,
            kind: columns.next()?,
            payload: columns.next()?,
            keep: columns.next::<Option<i64>>()?.map(|keep| Duration::from_micros(keep.unsigned_abs())),
            key_until: columns.some_moment()?.unwrap_or_default(),
            trace_parent: columns.or_empty()?,
            options: columns.or_empty()?,
            key: columns.or_empty()?,
            group: String::new(),
        };
        let mut read = Self {
            id,
            tenant_id,
            priority,
            new,
            error: columns.or_empty()?,
            progress: columns.or_empty()?,
            checkpoint: columns.or_empty()?,
            state: columns.next()?,
            attempt: columns.count()?,
            started_at: columns.some_moment()?,
            worker: columns.or_empty()?,
            finished_at: columns.some_moment()?,
            result: columns.or_empty()?,
        };
        read.new.group = columns.or_empty()?;
        Ok(read)
    }
}

/// The columns of a row, one after another.
struct Columns<'r> {
    row: &'r PgRow,
    next: usize,
}

impl<'r> Columns<'r> {
    fn next<T: Decode<'r, Postgres> + Type<Postgres>>(&mut self) -> sqlx::Result<T> {
        self.next += 1;
        self.row.try_get(self.next - 1)
    }

    /// What is empty is null.
    fn or_empty<T: Default + Decode<'r, Postgres> + Type<Postgres>>(&mut self) -> sqlx::Result<T> {
        Ok(self.next::<Option<T>>()?.unwrap_or_default())
    }

    fn moment(&mut self) -> sqlx::Result<Timestamp> {
        self.next().map(Timestamp::from_micros)
    }

    fn some_moment(&mut self) -> sqlx::Result<Option<Timestamp>> {
        Ok(self.next::<Option<i64>>()?.map(Timestamp::from_micros))
    }

    fn count(&mut self) -> sqlx::Result<u32> {
        Ok(u32::try_from(self.next::<i64>()?).unwrap_or(0))
    }
}

/// A task's place and moment, as the database knows it.
pub(super) fn placed(id: Id) -> (i64, i64) {
    (id.place(), id.moment().as_micros())
}

/// Columns of places and moments.
pub(super) fn columns(ids: impl Iterator<Item = Id>) -> (Vec<i64>, Vec<i64>) {
    ids.map(placed).unzip()
}

/// An attempt with clean texts.
pub(super) fn cleaned(attempt: Attempt) -> Attempt {
    Attempt { worker: clean(attempt.worker), ..attempt }
}

/// What is empty is null.
pub(super) fn text(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// What is empty is null.
pub(super) fn bytes(bytes: &[u8]) -> Option<&[u8]> {
    (!bytes.is_empty()).then_some(bytes)
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
