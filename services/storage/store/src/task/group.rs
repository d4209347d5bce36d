//! Groups of tasks: how many there are, whatever has become of them.

use tidemill_kernel::Timestamp;

use super::TaskState;

/// The tasks of one tenant that were submitted under one name. A group is there from its first task on, until it has no
/// open one and its last change is older than ended tasks are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The tenant's name for it.
    pub name: String,
    /// How many were submitted.
    pub total: i64,
    /// How many of them have succeeded, kept or not.
    pub succeeded: i64,
    /// How many were given up and not put back.
    pub dead: i64,
    /// How many were cancelled and not put back.
    pub cancelled: i64,
    /// When the first was submitted.
    pub first_at: Timestamp,
    /// When one was last submitted, ended or put back.
    pub changed_at: Timestamp,
}

impl Group {
    /// A group without tasks.
    pub fn empty(name: String, now: Timestamp) -> Self {
        Self { name, total: 0, succeeded: 0, dead: 0, cancelled: 0, first_at: now, changed_at: now }
    }

    /// How many have not ended.
    pub fn open(&self) -> i64 {
        self.total - self.succeeded - self.dead - self.cancelled
    }

    /// How it stands for those who wait for it: waiting while a task is open; then dead if one is, else cancelled if one
    /// is, else succeeded.
    pub fn state(&self) -> TaskState {
        match self {
            group if group.open() > 0 => TaskState::Waiting,
            Self { dead: 1.., .. } => TaskState::Dead,
            Self { cancelled: 1.., .. } => TaskState::Cancelled,
            _ => TaskState::Succeeded,
        }
    }
}

/// By how much the counts of a group change, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupChange {
    /// As the group's counts of the same names.
    pub total: i64,
    /// The same.
    pub succeeded: i64,
    /// The same.
    pub dead: i64,
    /// The same.
    pub cancelled: i64,
    /// The first moment of it.
    pub first_at: Timestamp,
    /// The last moment of it.
    pub changed_at: Timestamp,
}

impl GroupChange {
    /// No change yet.
    pub fn at(now: Timestamp) -> Self {
        Self { total: 0, succeeded: 0, dead: 0, cancelled: 0, first_at: now, changed_at: now }
    }

    /// A task was submitted.
    pub fn submit(&mut self, now: Timestamp) {
        self.total += 1;
        self.note(now);
    }

    /// Tasks went from one state to another; waiting and running are the same here.
    pub fn shift(&mut self, from: TaskState, to: TaskState, count: i64, now: Timestamp) {
        self.add(from, -count);
        self.add(to, count);
        self.note(now);
    }

    fn add(&mut self, state: TaskState, count: i64) {
        match state {
            TaskState::Waiting | TaskState::Running => {}
            TaskState::Succeeded => self.succeeded += count,
            TaskState::Dead => self.dead += count,
            TaskState::Cancelled => self.cancelled += count,
        }
    }

    fn note(&mut self, now: Timestamp) {
        self.first_at = self.first_at.min(now);
        self.changed_at = self.changed_at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What waits for a group sees what a look at each of its tasks would tell.
        #[test]
        fn a_group_stands_as_its_tasks_do(states in prop::collection::vec(0_usize..5, 1..12)) {
            let now = Timestamp::from_micros(7);
            let states: Vec<TaskState> = states.into_iter().map(|state| TaskState::ALL[state]).collect();
            let mut change = GroupChange::at(now);
            for state in &states {
                change.submit(now);
                change.shift(TaskState::Waiting, *state, 1, now);
            }
            let GroupChange { total, succeeded, dead, cancelled, .. } = change;
            let group = Group { total, succeeded, dead, cancelled, ..Group::empty("g".into(), now) };
            let is_open = |state: &TaskState| matches!(state, TaskState::Waiting | TaskState::Running);
            let open = states.iter().filter(|state| is_open(state)).count();
            prop_assert_eq!(group.open(), i64::try_from(open).unwrap());
            let expected = [TaskState::Dead, TaskState::Cancelled].into_iter().find(|state| states.contains(state));
            let expected = if states.iter().any(is_open) { Some(TaskState::Waiting) } else { expected };
            prop_assert_eq!(group.state(), expected.unwrap_or(TaskState::Succeeded));
        }
    }
}
