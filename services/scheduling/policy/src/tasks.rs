//! Every task that the policy knows, in slots: what waits, what runs, what is held for later.
//!
//! A slot is 40 bytes and the index by id 5 more; names are not in it, but reached through the task's line. A slot is
//! given again when its task is over.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};
use slab::Slab;
use tidemill_kernel::{Id, Timestamp};

use crate::traits::Traits;

/// When a task is due in microseconds, then its place: the lower goes first.
pub(crate) type Due = (i64, i64);

/// A task.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) id: Id,
    pub(crate) sequence: i64,
    pub(crate) traits: Option<Arc<Traits>>,
    pub(crate) cost: u32,
    /// The line in the lower 30 bits, the state above.
    line_and_state: u32,
}

/// What a task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It stands in its line.
    Waiting,
    /// It waits behind another of its order key, in no line.
    Hidden,
    /// It runs.
    Running,
    /// It will wait again later, and holds its order key until then.
    Postponed,
}

const LINE: u32 = (1 << 30) - 1;

impl Task {
    /// A task that waits in this line.
    pub(crate) fn new(id: Id, sequence: i64, cost: u32, traits: Option<Arc<Traits>>, line: u32) -> Self {
        Self { id, sequence, traits, cost, line_and_state: line & LINE }
    }

    /// The number of its line.
    pub(crate) fn line(&self) -> u32 {
        self.line_and_state & LINE
    }

    pub(crate) fn state(&self) -> State {
        match self.line_and_state >> 30 {
            0 => State::Waiting,
            1 => State::Hidden,
            2 => State::Running,
            _ => State::Postponed,
        }
    }

    pub(crate) fn set_state(&mut self, state: State) {
        self.line_and_state = self.line() | ((state as u32) << 30);
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.traits.as_ref()?.deadline
    }

    /// Whether it waits, in a line or behind another.
    pub(crate) fn waits(&self) -> bool {
        matches!(self.state(), State::Waiting | State::Hidden)
    }

    /// Its deadline; one without is due `patience` after it was made, so that deadlines cannot starve it.
    pub(crate) fn due(&self, patience: i64) -> Due {
        let due = match self.deadline() {
            Some(deadline) => deadline.as_micros(),
            None => made_at(self.id).saturating_add(patience),
        };
        (due, self.sequence)
    }
}

/// The moment in an id (RFC 9562 §5.7) in microseconds.
fn made_at(id: Id) -> i64 {
    let [a, b, c, d, e, f, ..] = *id.as_bytes();
    i64::from_be_bytes([0, 0, a, b, c, d, e, f]).saturating_mul(1_000)
}

/// All of them, by slot and by id.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    slots: Slab<Task>,
    by_id: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Tasks {
    /// The slot of a task.
    pub(crate) fn find(&self, id: Id) -> Option<u32> {
        let slots = &self.slots;
        self.by_id.find(self.hash(id), |&slot| slots[slot as usize].id == id).copied()
    }

    /// Takes in a task that is not known yet.
    pub(crate) fn insert(&mut self, task: Task) -> u32 {
        let hash = self.hash(task.id);
        // Four billion tasks do not fit into memory.
        let slot = u32::try_from(self.slots.insert(task)).unwrap_or(u32::MAX);
        let Self { slots, by_id, hasher } = self;
        by_id.insert_unique(hash, slot, |&slot| hasher.hash_one(key(slots[slot as usize].id)));
        slot
    }

    /// Forgets a task.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<Task> {
        let id = self.slots.get(slot as usize)?.id;
        let hash = self.hash(id);
        if let Ok(entry) = self.by_id.find_entry(hash, |&other| other == slot) {
            entry.remove();
        }
        self.slots.try_remove(slot as usize)
    }

    /// The tasks with their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Task)> {
        self.slots.iter().map(|(slot, task)| (u32::try_from(slot).unwrap_or(u32::MAX), task))
    }

    fn hash(&self, id: Id) -> u64 {
        self.hasher.hash_one(key(id))
    }
}

/// An id as one number, which hashes faster than its bytes.
fn key(id: Id) -> u128 {
    u128::from_ne_bytes(*id.as_bytes())
}

impl std::ops::Index<u32> for Tasks {
    type Output = Task;

    fn index(&self, slot: u32) -> &Task {
        &self.slots[slot as usize]
    }
}

impl std::ops::IndexMut<u32> for Tasks {
    fn index_mut(&mut self, slot: u32) -> &mut Task {
        &mut self.slots[slot as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_forty_bytes() {
        let mut tasks = Tasks::default();
        tasks.insert(Task::new(Id::from_bytes([1; 16]), 1, 1, None, 0));
        assert_eq!(size_of::<Task>(), 40);
        assert_eq!(size_of_val(tasks.slots.get(0).unwrap()), 40);
    }

    #[test]
    fn line_and_state_do_not_disturb_each_other() {
        let mut task = Task::new(Id::from_bytes([1; 16]), 1, 1, None, LINE);
        for state in [State::Hidden, State::Running, State::Postponed, State::Waiting] {
            task.set_state(state);
            assert_eq!((task.line(), task.state()), (LINE, state));
        }
    }

    #[test]
    fn a_task_is_found_by_its_id_until_it_is_removed() {
        let mut tasks = Tasks::default();
        let id = |number: u16| Id::from_bytes(u128::from(number).to_be_bytes());
        let slots: Vec<u32> =
            (0..1_000).map(|number| tasks.insert(Task::new(id(number), 1, 1, None, 0))).collect();
        for (number, slot) in (0..1_000).zip(slots) {
            assert_eq!(tasks.find(id(number)), Some(slot));
            assert_eq!(tasks.remove(slot).map(|task| task.id), Some(id(number)));
            assert_eq!(tasks.find(id(number)), None);
        }
        assert_eq!(tasks.iter().count(), 0);
    }
}
