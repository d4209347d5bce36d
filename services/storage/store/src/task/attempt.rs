//! Attempts: recorded while they run, ended with what they made.

use tidemill_kernel::{Id, Timestamp};

use super::{NewTask, Task};
use crate::content::Analysis;

/// One attempt of a task, as its shard's owner knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The task.
    pub task: Id,
    /// How many attempts the task has spent with this one: 1 for the first. One that ends without being spent (a
    /// snooze) says how many there were before it.
    pub number: u32,
    /// The worker.
    pub worker: String,
    /// When it was started.
    pub started_at: Timestamp,
    /// Whether its lease may have been recorded, so that the record has to go. Means nothing to
    /// [`super::TaskStore::record_leases`].
    pub recorded: bool,
}

/// A lease that has lasted long enough to be written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedLease {
    /// The attempt.
    pub attempt: Attempt,
    /// What its result carries.
    pub token: Id,
}

/// A finished attempt with all that commits with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The attempt.
    pub attempt: Attempt,
    /// What the task returns.
    pub result: String,
    /// The analysis of a match, if it made one: the query's and the document's id, and the analysis.
    pub analysis: Option<(Id, Id, Analysis)>,
    /// Tasks of the same tenant that follow.
    pub follow_ups: Vec<NewTask>,
}

/// An attempt that did not finish its task, and what comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The attempt.
    pub attempt: Attempt,
    /// What went wrong, or why it waits.
    pub error: String,
    /// When the next attempt may start; none: the task is dead.
    pub retry_at: Option<Timestamp>,
}

/// How far a running task is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The task.
    pub task: Id,
    /// In its worker's words; may be empty.
    pub progress: String,
    /// For the next attempt, should there be one; none: what there is stays.
    pub checkpoint: Option<Vec<u8>>,
}

/// What became of ended attempts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settled {
    /// Whether each counted: completions first, then failures, in the given order.
    pub accepted: Vec<bool>,
    /// The follow-up tasks that were made, as they stand, in the order of their places.
    pub follow_ups: Vec<Task>,
}
