//! What a store can answer instead of a result.

use tidemill_kernel::{ErrorKind, Id};

use crate::task::TaskState;

/// Result of a store method.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a step was not taken. Nothing of it has happened then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The thing named is not there for this tenant.
    #[error("there is no {what} `{name}`")]
    NotFound {
        /// The kind of thing, for example `query`.
        what: &'static str,
        /// Its name or id.
        name: String,
    },
    /// A thing of this name is there and is different.
    #[error("a different {what} `{name}` exists already; remove it first or choose another name")]
    Exists {
        /// The kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The documents were matched against another set of queries than the tenant has now.
    #[error("the tenant's queries have changed (version {present}, not {given}): match again")]
    StaleQueries {
        /// The version that the caller named.
        given: i64,
        /// The version that is true.
        present: i64,
    },
    /// The task's state does not allow the step.
    #[error("task {id} is {state}; {mend}")]
    WrongState {
        /// The task.
        id: String,
        /// Its state.
        state: &'static str,
        /// What the caller could do instead.
        mend: &'static str,
    },
    /// The step relied on a shard that has another owner by now.
    #[error(
        "shard {shard} is no longer at epoch {epoch}: another scheduler runs it; drop what was decided for it"
    )]
    Fenced {
        /// The shard.
        shard: u16,
        /// The epoch that the caller relied on.
        epoch: i64,
    },
    /// A page token that this store did not make.
    #[error("the page token `{0}` is not one of this listing; start again without it")]
    PageToken(String),
    /// A full-text search that cannot be read.
    #[error("cannot search for `{text}`: {reason}")]
    Search {
        /// What was asked.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The disk or the database has no room.
    #[error("the store is full: {0}; free space where the data is kept, then send the same again")]
    Full(String),
    /// The database is away or too busy; the same call can succeed later.
    #[error("the store does not answer: {0}")]
    Unavailable(String),
    /// The database is not as this program left it, or this program has a defect.
    #[error("the store failed: {0}")]
    Internal(String),
}

impl Error {
    /// A finished task that was to be cancelled.
    pub fn cannot_cancel(id: Id, state: TaskState) -> Self {
        let mend = "only a waiting or running task can be cancelled";
        Self::WrongState { id: id.to_string(), state: state.name(), mend }
    }

    /// A task that was to be put back and is not given up.
    pub fn cannot_revive(id: Id, state: TaskState) -> Self {
        let mend = "only a dead or cancelled task can be retried; submit a new one to run it again";
        Self::WrongState { id: id.to_string(), state: state.name(), mend }
    }

    /// A task that was to be moved to another priority and is finished.
    pub fn cannot_prioritise(id: Id, state: TaskState) -> Self {
        let mend = "only a waiting or running task has a priority to change; retry it first if it is dead or cancelled";
        Self::WrongState { id: id.to_string(), state: state.name(), mend }
    }

    /// The kind that crosses service boundaries.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Exists { .. } => ErrorKind::Exists,
            Self::StaleQueries { .. } | Self::WrongState { .. } | Self::Fenced { .. } => ErrorKind::Conflict,
            Self::PageToken(_) | Self::Search { .. } => ErrorKind::Invalid,
            Self::Full(_) => ErrorKind::Exhausted,
            Self::Unavailable(_) => ErrorKind::Unavailable,
            Self::Internal(_) => ErrorKind::Internal,
        }
    }
}
