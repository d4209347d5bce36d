//! How one task names another or a group, and how that stands.

use tidemill_kernel::Id;

use super::{Group, TaskState};

/// A name of a task of the same tenant, or of a group of its tasks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference {
    /// By its id.
    Task(Id),
    /// By its key, while the key is known.
    Key(String),
    /// All tasks of a group.
    Group(String),
}

/// How a task or a group stands that somebody named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Which task it is; none for a group.
    pub id: Option<Id>,
    /// Its state, of a group [`Group::state`]; none if a task's key is still known and the task is not: it has ended and was
    /// not kept.
    pub state: Option<TaskState>,
    /// How many tasks of a group are open.
    pub open: i64,
}

impl Standing {
    /// Of a task.
    pub fn task(id: Id, state: Option<TaskState>) -> Self {
        Self { id: Some(id), state, open: 0 }
    }

    /// Of a group.
    pub fn group(group: &Group) -> Self {
        Self { id: None, state: Some(group.state()), open: group.open() }
    }
}
