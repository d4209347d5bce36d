//! Many tasks steered by hand at once.

use tidemill_kernel::{Id, Timestamp};

use super::{Task, TaskState};
use crate::text::clean;

/// What is done with tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steering {
    /// Unfinished ones are cancelled, as by [`super::TaskStore::cancel_task`].
    Cancel,
    /// Dead and cancelled ones are put back, as by [`super::TaskStore::revive_task`].
    Revive,
}

impl Steering {
    /// The states that it can change.
    pub fn states(self) -> [TaskState; 2] {
        match self {
            Self::Cancel => [TaskState::Waiting, TaskState::Running],
            Self::Revive => [TaskState::Dead, TaskState::Cancelled],
        }
    }
}

/// Which tasks are meant. What is empty or none means any.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TaskFilter {
    /// In this state.
    pub state: Option<TaskState>,
    /// Of this kind.
    pub kind: String,
    /// Of this group.
    pub group: String,
    /// With this text in their last error, letter by letter.
    pub error: String,
    /// With an error that begins with this and a colon: the kind of the failure.
    pub failure_kind: String,
    /// Not before this moment: of their end, or for unfinished ones of their storing.
    pub from: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
}

impl TaskFilter {
    /// Whether a task is meant.
    pub fn fits(&self, task: &Task) -> bool {
        let moment = task.finished_at.unwrap_or(task.created_at());
        self.state.is_none_or(|state| task.state == state)
            && (self.kind.is_empty() || task.new.kind == self.kind)
            && (self.group.is_empty() || task.new.group == self.group)
            && task.error.contains(&self.error)
            && task.error.starts_with(&self.prefix())
            && self.from.is_none_or(|from| moment >= from)
            && self.until.is_none_or(|until| moment < until)
    }

    /// What an error begins with that is of the kind.
    pub fn prefix(&self) -> String {
        if self.failure_kind.is_empty() { String::new() } else { format!("{}: ", self.failure_kind) }
    }

    /// The same with clean texts.
    #[must_use]
    pub fn cleaned(self) -> Self {
        let Self { kind, group, error, failure_kind, .. } = self;
        let (kind, group) = (clean(kind), clean(group));
        Self { kind, group, error: clean(error), failure_kind: clean(failure_kind), ..self }
    }

    /// The span of moments, in microseconds: from the first to before the second.
    pub fn span(&self) -> (i64, i64) {
        let micros = |moment: Option<Timestamp>, none| moment.map_or(none, Timestamp::as_micros);
        (micros(self.from, i64::MIN), micros(self.until, i64::MAX))
    }
}

/// A part of the tasks that are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// What is done with them.
    pub steering: Steering,
    /// Which.
    pub filter: TaskFilter,
    /// Only those behind this place.
    pub after: i64,
    /// About how many are looked at, at least one; no more than this are changed.
    pub limit: u32,
    /// Nothing is changed.
    pub is_dry: bool,
}

impl Selection {
    /// The same with clean texts.
    #[must_use]
    pub fn cleaned(self) -> Self {
        Self { filter: self.filter.cleaned(), ..self }
    }

    /// The states of the tasks that are looked at.
    pub fn states(&self) -> impl Iterator<Item = TaskState> {
        let state = self.filter.state;
        self.steering.states().into_iter().filter(move |one| state.is_none_or(|state| state == *one))
    }
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Steered {
    /// The tasks that were changed, or would be, in the order of their places.
    pub tasks: Vec<Id>,
    /// Up to where tasks were looked at, if there may be more.
    pub through: Option<i64>,
}
