//! The queue's durable log.

use async_trait::async_trait;
use tidemill_kernel::{Id, Page, PageRequest, Priority, TenantName, Timestamp};

use crate::Result;
use crate::content::Analysis;

/// Where a task stands. `Waiting -> Running -> Succeeded | Dead`, back to `Waiting` by retry, `Cancelled` from
/// `Waiting` or `Running`, `Waiting` again from `Dead` or `Cancelled` by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TaskState {
    /// In the queue, or waiting for its `run_at`.
    Waiting = 1,
    /// A worker holds its lease.
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

/// A task to be stored. Its id is chosen by the caller, so that the step can be repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    /// Unique among all tasks.
    pub id: Id,
    /// What has to be done.
    pub kind: String,
    /// How urgent it is.
    pub priority: Priority,
    /// What the worker needs to know.
    pub payload: String,
    /// Unique in the tenant; empty for no check.
    pub key: String,
    /// Not before this moment.
    pub run_at: Timestamp,
    /// How many times it may be tried.
    pub max_attempts: u32,
    /// W3C `traceparent`; may be empty.
    pub trace_parent: String,
}

/// A task as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// What was asked.
    pub new: NewTask,
    /// Whose it is.
    pub tenant: TenantName,
    /// Where it stands.
    pub state: TaskState,
    /// How many times it was started.
    pub attempt: u32,
    /// When it was stored.
    pub created_at: Timestamp,
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
}

impl Task {
    /// A task that was just stored.
    pub fn stored(new: NewTask, tenant: TenantName, now: Timestamp) -> Self {
        Self {
            new,
            tenant,
            state: TaskState::Waiting,
            attempt: 0,
            created_at: now,
            started_at: None,
            finished_at: None,
            worker: String::new(),
            error: String::new(),
            result: String::new(),
        }
    }

    /// The same for the scheduler, at this place in the log.
    pub fn waiting(&self, sequence: i64) -> Waiting {
        Waiting {
            id: self.new.id,
            tenant: self.tenant.clone(),
            kind: self.new.kind.clone(),
            priority: self.new.priority,
            sequence,
            run_at: self.new.run_at,
        }
    }
}

/// What became of one appended task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendedTask {
    /// Its id, or that of the task that has its key.
    pub id: Id,
    /// Whether its key was known.
    pub duplicate: bool,
    /// Its place in the log; 0 for a duplicate.
    pub sequence: i64,
}

/// What the scheduler needs to know of a waiting task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The task.
    pub id: Id,
    /// Whose it is.
    pub tenant: TenantName,
    /// What has to be done.
    pub kind: String,
    /// How urgent it is.
    pub priority: Priority,
    /// Its place in the log: rises with every stored task, never reused.
    pub sequence: i64,
    /// Not before this moment.
    pub run_at: Timestamp,
}

/// One lease to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The task.
    pub task: Id,
    /// The worker.
    pub worker: String,
    /// The token that its result must carry.
    pub token: Id,
}

/// A lease by task and token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseRef {
    /// The task.
    pub task: Id,
    /// The token.
    pub token: Id,
}

/// A task that a worker holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// The task.
    pub waiting: Waiting,
    /// The worker.
    pub worker: String,
    /// The lease's token.
    pub token: Id,
    /// When the lease ends.
    pub expires_at: Timestamp,
    /// How many times it was started.
    pub attempt: u32,
    /// How many times it may be.
    pub max_attempts: u32,
}

/// A finished attempt with all that commits with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The lease.
    pub lease: LeaseRef,
    /// What the task returns.
    pub result: String,
    /// The analysis of a match, if it made one: the query's and the document's id, and the analysis.
    pub analysis: Option<(Id, Id, Analysis)>,
    /// Tasks of the same tenant that follow.
    pub follow_ups: Vec<NewTask>,
}

/// A failed attempt and what comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The lease.
    pub lease: LeaseRef,
    /// What went wrong.
    pub error: String,
    /// When the next attempt may start; none: the task is dead.
    pub retry_at: Option<Timestamp>,
    /// Only if the lease has ended by then: how an expired lease is taken back without racing its renewal.
    pub only_if_expired: bool,
}

/// What became of ended attempts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settled {
    /// Whether each counted: completions first, then failures, in the given order.
    pub accepted: Vec<bool>,
    /// The follow-up tasks that were made.
    pub follow_ups: Vec<Waiting>,
}

/// How many tasks wait in one queue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueueDepth {
    /// Whose it is.
    pub tenant: TenantName,
    /// Its priority.
    pub priority: Priority,
    /// Its kind.
    pub kind: String,
    /// How many wait, those with a later `run_at` included.
    pub waiting: i64,
}

/// The queues that have waiting tasks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Queues {
    /// In no order.
    pub depths: Vec<QueueDepth>,
    /// The last place in the log; 0 for an empty one.
    pub last_sequence: i64,
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

/// The queue's durable log.
#[async_trait]
pub trait TaskStore: Send + Sync + 'static {
    /// Stores tasks, all or none. A task whose id or key the tenant has already (finished ones count), also within
    /// the batch, is not stored. [`crate::Error::NotFound`] without the tenant; [`crate::Error::Exists`] for an id of
    /// another tenant.
    async fn append_tasks(
        &self,
        tenant: &TenantName,
        tasks: Vec<NewTask>,
        now: Timestamp,
    ) -> Result<Vec<AppendedTask>>;

    /// Starts an attempt of each task that waits (its `run_at` is not checked: the scheduler did). Returns those that
    /// were started, as they stand, with their tokens, in the order given; others are left out.
    async fn lease_tasks(
        &self,
        grants: Vec<Grant>,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<(Task, Id)>>;

    /// Ends attempts. Each counts only if its task is running under its token, even when the lease has ended; the
    /// others change nothing. An accepted completion stores its analysis (only if the match still exists and has
    /// none) and its follow-ups (under the rules of [`Self::append_tasks`]) in the same step.
    async fn settle_tasks(
        &self,
        completions: Vec<Completion>,
        failures: Vec<Failure>,
        now: Timestamp,
    ) -> Result<Settled>;

    /// Moves the end of leases. Returns the tasks whose lease is no longer valid.
    async fn renew_leases(&self, leases: Vec<LeaseRef>, expires_at: Timestamp) -> Result<Vec<Id>>;

    /// Gives leases back: the tasks wait again, as if the attempt had not been started. Returns those that do.
    async fn release_leases(&self, leases: Vec<LeaseRef>, now: Timestamp) -> Result<Vec<Waiting>>;

    /// Cancels a task that is not finished. [`crate::Error::NotFound`], or [`crate::Error::WrongState`] when it is;
    /// cancelling a cancelled one changes nothing.
    async fn cancel_task(&self, tenant: &TenantName, id: Id, now: Timestamp) -> Result<Task>;

    /// Puts a dead or cancelled task back: waiting, attempts counted anew, runnable at `now`; its last error stays.
    /// [`crate::Error::NotFound`], or [`crate::Error::WrongState`] for any other state.
    async fn revive_task(&self, tenant: &TenantName, id: Id, now: Timestamp) -> Result<(Task, Waiting)>;

    /// One task.
    async fn task(&self, tenant: &TenantName, id: Id) -> Result<Option<Task>>;

    /// A page of tasks, newest first.
    async fn page_tasks(
        &self,
        tenant: &TenantName,
        state: Option<TaskState>,
        kind: Option<&str>,
        page: PageRequest,
    ) -> Result<Page<Task>>;

    /// The queues that have waiting tasks.
    async fn queues(&self) -> Result<Queues>;

    /// Waiting tasks of one queue after a place in the log, in its order.
    async fn load_waiting(
        &self,
        tenant: &TenantName,
        priority: Priority,
        kind: &str,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Waiting>>;

    /// Waiting tasks of all queues stored after a place in the log, in its order.
    async fn load_new(&self, after: i64, limit: u32) -> Result<Vec<Waiting>>;

    /// Running tasks after a place in the log, in its order.
    async fn load_running(&self, after: i64, limit: u32) -> Result<Vec<Running>>;

    /// A tenant's tasks by priority and state; those without tasks are left out; in order.
    async fn count_tasks(&self, tenant: &TenantName) -> Result<Vec<TaskCount>>;
}
