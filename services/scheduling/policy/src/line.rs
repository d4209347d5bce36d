//! A line: the waiting tasks of one tenant and priority that stand under the same limits and fit the same workers.
//!
//! So what keeps the first from running keeps all of them, and a line can be set aside as a whole. Tasks stand by their
//! places; those with deadlines have lines of their own and stand by deadline.
//!
//! Look-ahead: a worker may be given one of the first [`LOOK_AHEAD`] that suits it better than the first, but the first
//! is passed over at most [`MAX_PASSED_OVER`] times. Bound: at most `LOOK_AHEAD * MAX_PASSED_OVER` later tasks of its
//! line start before any task.

use std::collections::{BTreeSet, VecDeque};

use crate::bunch::Few;
use crate::tasks::{Due, Tasks};
use crate::worker::Worker;

/// How far a worker's preference looks.
pub(crate) const LOOK_AHEAD: usize = 16;

/// How often the first of a line is passed over for a preference.
pub(crate) const MAX_PASSED_OVER: u32 = 8;

/// A line, empty or not.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) tenant: u32,
    /// The bunch that it belongs to.
    pub(crate) bunch: u32,
    /// Its queue: the window over the store.
    pub(crate) queue: u32,
    /// The set of its keys, by number.
    pub(crate) key_set: u32,
    /// Every gate that its tasks pass: all are charged for each of them.
    pub(crate) gates: Few,
    /// Whether one of those is checked for this line alone.
    pub(crate) is_keyed: bool,
    pub(crate) running: u32,
    /// Tasks that name this line, whatever they do.
    pub(crate) tasks: u32,
    /// Waiting tasks that suit some workers better than others.
    pub(crate) choosy: u32,
    /// When its first is due, as of the last look.
    pub(crate) due: Due,
    pub(crate) standing: Standing,
    /// Its position in the heap in which it stands.
    pub(crate) at: u32,
    waiting: Waiting,
    passed_over: u32,
}

/// Where a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nowhere: nothing waits in it.
    Empty,
    /// Among the lines of its bunch that may be served.
    Open,
    /// At this gate, which was found shut.
    Parked(u32),
}

#[derive(Debug)]
enum Waiting {
    /// By place. Arrivals come in order nearly always.
    ByPlace {
        tasks: VecDeque<u32>,
        last: i64,
    },
    ByDeadline(BTreeSet<(Due, u32)>),
}

impl Line {
    pub(crate) fn new(tenant: u32, bunch: u32, queue: u32, key_set: u32, is_timed: bool) -> Self {
        let waiting = match is_timed {
            true => Waiting::ByDeadline(BTreeSet::new()),
            false => Waiting::ByPlace { tasks: VecDeque::new(), last: i64::MIN },
        };
        Self {
            tenant,
            bunch,
            queue,
            key_set,
            gates: Few::new(),
            is_keyed: false,
            running: 0,
            tasks: 0,
            choosy: 0,
            due: Due::default(),
            standing: Standing::Empty,
            at: 0,
            waiting,
            passed_over: 0,
        }
    }

    pub(crate) fn is_timed(&self) -> bool {
        matches!(self.waiting, Waiting::ByDeadline(_))
    }

    pub(crate) fn len(&self) -> usize {
        match &self.waiting {
            Waiting::ByPlace { tasks, .. } => tasks.len(),
            Waiting::ByDeadline(tasks) => tasks.len(),
        }
    }

    /// The slot of the first.
    pub(crate) fn first(&self) -> Option<u32> {
        match &self.waiting {
            Waiting::ByPlace { tasks, .. } => tasks.front().copied(),
            Waiting::ByDeadline(tasks) => tasks.first().map(|entry| entry.1),
        }
    }

    /// The slots that wait, in order.
    pub(crate) fn iter(&self) -> Box<dyn Iterator<Item = u32> + '_> {
        match &self.waiting {
            Waiting::ByPlace { tasks, .. } => Box::new(tasks.iter().copied()),
            Waiting::ByDeadline(tasks) => Box::new(tasks.iter().map(|entry| entry.1)),
        }
    }

    /// Puts a task in at its place.
    pub(crate) fn insert(&mut self, slot: u32, all: &Tasks) {
        let task = &all[slot];
        self.choosy += u32::from(task.traits.as_ref().is_some_and(|traits| traits.has_preference()));
        match &mut self.waiting {
            Waiting::ByPlace { tasks, last } if tasks.is_empty() || task.sequence > *last => {
                *last = task.sequence;
                tasks.push_back(slot);
            }
            Waiting::ByPlace { tasks, .. } => {
                let at = tasks.partition_point(|&other| all[other].sequence < task.sequence);
                if at == 0 {
                    self.passed_over = 0;
                }
                tasks.insert(at, slot);
            }
            Waiting::ByDeadline(tasks) => {
                tasks.insert((task.due(0), slot));
            }
        }
    }

    /// Takes a task out.
    pub(crate) fn remove(&mut self, slot: u32, all: &Tasks) -> bool {
        let task = &all[slot];
        let was_there = match &mut self.waiting {
            Waiting::ByPlace { tasks, .. } if tasks.front() == Some(&slot) => {
                tasks.pop_front();
                self.passed_over = 0;
                if tasks.is_empty() && tasks.capacity() > 1_024 {
                    *tasks = VecDeque::new();
                }
                true
            }
            Waiting::ByPlace { tasks, .. } => {
                // Places are unique within a queue, so this is the one or there is none.
                let at = tasks.partition_point(|&other| all[other].sequence < task.sequence);
                tasks.get(at) == Some(&slot) && tasks.remove(at).is_some()
            }
            Waiting::ByDeadline(tasks) => tasks.remove(&(task.due(0), slot)),
        };
        let has_preference = task.traits.as_ref().is_some_and(|traits| traits.has_preference());
        self.choosy -= u32::from(was_there && has_preference);
        was_there
    }

    /// The task that this worker should be given: the first, or one near it that suits the worker better.
    pub(crate) fn choose(&self, worker: &Worker, all: &Tasks) -> Option<u32> {
        let first = self.first()?;
        let has_taste = self.choosy > 0 && (worker.zone.is_some() || !worker.recent.is_empty());
        let Waiting::ByPlace { tasks, .. } = &self.waiting else { return Some(first) };
        if !has_taste || self.passed_over >= MAX_PASSED_OVER {
            return Some(first);
        }
        let liking = |slot: u32| all[slot].traits.as_ref().map_or(0, |traits| worker.preference(traits));
        let near = tasks.iter().copied().take(LOOK_AHEAD);
        // Of equals the last one is found by `max_by_key`: reversed, that is the first.
        let best = near.collect::<Vec<_>>().into_iter().rev().max_by_key(|&slot| liking(slot));
        Some(best.unwrap_or(first))
    }

    /// Notes that a task is about to be taken which may not be the first.
    pub(crate) fn note_choice(&mut self, slot: u32) {
        if !self.is_timed() && self.first() != Some(slot) {
            self.passed_over += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use tidemill_kernel::Id;

    use super::*;
    use crate::traits::Traits;

    fn affinity(number: u8) -> Arc<str> {
        format!("document-set-{number}").into()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        #[test]
        fn a_preference_lets_at_most_the_stated_number_of_later_tasks_go_first(
            affinities in prop::collection::vec(0_u8..3, 1..300), workers in prop::collection::vec(0_u8..3, 300),
        ) {
            let mut tasks = Tasks::default();
            let mut line = Line::new(0, 0, 0, 0, false);
            for (sequence, &number) in (0_i64..).zip(&affinities) {
                let traits = Traits { affinity: Some(affinity(number)), ..Traits::default() };
                let id = Id::from_bytes(u128::try_from(sequence).unwrap().to_be_bytes());
                let slot = tasks.insert(Task::new(id, sequence, 1, Some(Arc::new(traits)), 0));
                line.insert(slot, &tasks);
            }
            let mut order = Vec::new();
            for recent in workers.iter().take(affinities.len()) {
                let worker = Worker { recent: vec![affinity(*recent)], ..Worker::default() };
                let slot = line.choose(&worker, &tasks).unwrap();
                line.note_choice(slot);
                prop_assert!(line.remove(slot, &tasks));
                order.push(tasks[slot].sequence);
            }
            prop_assert_eq!((line.len(), line.choosy), (0, 0));
            for (position, sequence) in order.iter().enumerate() {
                let overtaken = order[..position].iter().filter(|other| *other > sequence).count();
                prop_assert!(overtaken <= LOOK_AHEAD * MAX_PASSED_OVER as usize);
            }
        }

        #[test]
        fn a_line_keeps_its_order_through_arrivals_and_departures(
            steps in prop::collection::vec((any::<bool>(), 0_i64..40), 1..200), is_timed: bool,
        ) {
            let mut tasks = Tasks::default();
            let mut line = Line::new(0, 0, 0, 0, is_timed);
            let mut model = std::collections::BTreeMap::new();
            let slots: Vec<u32> = (0_i64..40).map(|sequence| {
                let deadline = is_timed.then(|| tidemill_kernel::Timestamp::from_micros(sequence * 7 % 5));
                let traits = is_timed.then(|| Arc::new(Traits { deadline, ..Traits::default() }));
                let id = Id::from_bytes(u128::try_from(sequence).unwrap().to_be_bytes());
                tasks.insert(Task::new(id, sequence, 1, traits, 0))
            }).collect();
            for (arrives, number) in steps {
                let slot = slots[usize::try_from(number).unwrap()];
                let due = tasks[slot].due(0);
                if arrives && !model.contains_key(&due) {
                    line.insert(slot, &tasks);
                    model.insert(due, slot);
                } else if !arrives {
                    prop_assert_eq!(line.remove(slot, &tasks), model.remove(&due).is_some());
                }
                prop_assert_eq!(line.iter().collect::<Vec<_>>(), model.values().copied().collect::<Vec<_>>());
            }
        }
    }

    use crate::tasks::Task;
}
