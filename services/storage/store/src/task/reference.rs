//! How one task names another, and how that one stands.

use tidemill_kernel::Id;

use super::TaskState;

/// A name of a task of the same tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference {
    /// By its id.
    Task(Id),
    /// By its key, while the key is known.
    Key(String),
}

/// How a task stands that somebody named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Which it is.
    pub id: Id,
    /// Its state; none if its key is still known and the task is not: it has ended and was not kept.
    pub state: Option<TaskState>,
}
