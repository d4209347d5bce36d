//! The queue's durable log: what a task is, and the port to its store.
//!
//! A task's id tells its place in the log and when it was stored ([`Id::placed`]); the log is cut into shards by tenant,
//! and each shard is run by one owner at a time, who holds the leases in memory. The store is told of a lease when it
//! has lasted for a moment ([`TaskStore::record_leases`]); what the owner decides is written under his [`Fence`].

mod attempt;
mod group;
mod port;
mod reference;
mod shard;
mod steer;

use std::time::Duration;

use tidemill_kernel::{Id, Priority, TenantName, Timestamp};

pub use attempt::{Attempt, Completion, Failure, Progress, RecordedLease, Settled};
pub use group::{Group, GroupChange};
pub use port::TaskStore;
pub use reference::{Reference, Standing};
pub use shard::{Board, Claim, Fence, Scheduler, ShardLease};
pub use steer::{Selection, Steered, Steering, TaskFilter};

/// Where a task stands. `Waiting -> Running -> Succeeded | Dead`, back to `Waiting` by retry, `Cancelled` from
/// `Waiting` or `Running`, `Waiting` again from `Dead` or `Cancelled` by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TaskState {
    /// In the queue, or waiting for its `run_at`.
    Waiting = 1,
    /// A worker holds its lease, and the lease is recorded.
    Running = 2,
    /// Done.
    Succeeded = 3,
    /// Given up.
    Dead = 4,
    /// Cancelled by its tenant.
    Cancelled = 5,
}

impl TaskState {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Waiting, Self::Running, Self::Succeeded, Self::Dead, Self::Cancelled];

    /// The number that databases hold.
    pub fn number(self) -> i32 {
        self as i32
    }

    /// The state with this number.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }

    /// Its name, lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A task to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    /// What has to be done.
    pub kind: String,
    /// How urgent it is.
    pub priority: Priority,
    /// What the worker needs to know.
    pub payload: String,
    /// Unique in the tenant until it is swept; empty for no check.
    pub key: String,
    /// When the key may be swept, whatever has become of the task.
    pub key_until: Timestamp,
    /// Takes its key over from a task that has ended. Means nothing once it is stored.
    pub unique: bool,
    /// Not before this moment.
    pub run_at: Timestamp,
    /// How many times it may be tried.
    pub max_attempts: u32,
    /// W3C `traceparent`; may be empty.
    pub trace_parent: String,
    /// How long it is kept once it has succeeded, in whole microseconds; none: as long as the store keeps tasks; zero:
    /// not at all. If it dies or is cancelled it is kept as long as the store keeps tasks.
    pub keep: Option<Duration>,
    /// What the scheduler alone understands of it; may be empty.
    pub options: Vec<u8>,
    /// The group that it belongs to; empty for none.
    pub group: String,
}

/// A task as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Given by the store: its place in the log and when it was stored.
    pub id: Id,
    /// What was asked. After a failure, `run_at` is when it is tried again.
    pub new: NewTask,
    /// Whose it is.
    pub tenant: TenantName,
    /// Where it stands.
    pub state: TaskState,
    /// How many attempts were spent; while it runs, the present one counts.
    pub attempt: u32,
    /// When the latest attempt was started.
    pub started_at: Option<Timestamp>,
    /// When it reached its final state.
    pub finished_at: Option<Timestamp>,
    /// The worker of the latest attempt; may be empty.
    pub worker: String,
    /// What went wrong last; may be empty.
    pub error: String,
    /// What the worker returned; may be empty.
    pub result: String,
    /// How far it is, in its worker's words; may be empty.
    pub progress: String,
    /// What an attempt left for the next one; may be empty.
    pub checkpoint: Vec<u8>,
}

impl Task {
    /// A task that was just stored.
    pub fn stored(id: Id, new: NewTask, tenant: TenantName) -> Self {
        Self {
            id,
            new: NewTask { unique: false, ..new },
            tenant,
            state: TaskState::Waiting,
            attempt: 0,
            started_at: None,
            finished_at: None,
            worker: String::new(),
            error: String::new(),
            result: String::new(),
            progress: String::new(),
            checkpoint: Vec::new(),
        }
    }

    /// About how many bytes it is.
    pub fn bytes(&self) -> usize {
        let texts = [&self.new.payload, &self.error, &self.result, &self.progress];
        texts.map(String::len).iter().sum::<usize>() + self.new.options.len() + self.checkpoint.len()
    }

    /// When it was stored.
    pub fn created_at(&self) -> Timestamp {
        self.id.moment()
    }
}

/// Tasks of one tenant, to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantTasks {
    /// Whose they are.
    pub tenant: TenantName,
    /// The tasks.
    pub tasks: Vec<NewTask>,
}

/// What became of one appended task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendedTask {
    /// Its id, or that of the task that took its key, which may be gone.
    pub id: Id,
    /// Whether its key was known.
    pub duplicate: bool,
}

/// How many tasks there are in one queue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueueDepth {
    /// Whose it is.
    pub tenant: TenantName,
    /// Its priority.
    pub priority: Priority,
    /// Its kind.
    pub kind: String,
    /// How many are not finished and not recorded as running, those with a later `run_at` included.
    pub waiting: i64,
}

/// The queues of a shard that have waiting tasks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Queues {
    /// In no order.
    pub depths: Vec<QueueDepth>,
    /// The last place of the shard's log that was given, also if its task is gone; the place before the first for none.
    pub last_place: i64,
}

/// How many tasks of a tenant there are of one priority in one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskCount {
    /// The priority.
    pub priority: Priority,
    /// The state.
    pub state: TaskState,
    /// How many.
    pub count: i64,
}
