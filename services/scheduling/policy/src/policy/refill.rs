//! Refills: how the window of a queue in memory follows the queue in the store.
//!
//! The round: [`Policy::next_refill`] names a queue that runs low while the store has more; the scheduler reads a page
//! of it and hands it back with [`Policy::refilled`] (or [`Policy::refill_failed`]). Between the two, candidates may
//! come, go and come back; nothing is lost or put out of order by that as long as `enqueue` and `returned` are called
//! after the commit and the page is read after `next_refill`.

use super::{Policy, lane_of};
use crate::candidate::{Candidate, QueueKey};
use crate::queue::Queue;

/// A wish for more candidates of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refill {
    /// Of which queue.
    pub queue: QueueKey,
    /// Only those with a greater sequence, in its order.
    pub after: i64,
    /// How many would fit, at least 1.
    pub room: usize,
}

impl Policy {
    /// Notes that the store may have candidates of a queue after this sequence: after a restart, for every queue
    /// that has waiting tasks, with the sequence before its first (0 will do).
    pub fn mark_truncated(&mut self, queue: &QueueKey, after: i64) {
        let (tenant, kind) = self.numbers(&queue.tenant, &queue.kind);
        self.update((lane_of(queue.priority), tenant, kind), |queue| queue.truncate(after));
    }

    /// A queue that is at half of its window or less while the store has more, the most urgent first. It is not named
    /// again before its refill has ended.
    pub fn next_refill(&mut self) -> Option<Refill> {
        let number = self.backlog.first_low()?;
        let window = self.config.window;
        let (after, room) = self.update(number, |queue| Some((queue.ask()?, window - queue.len())))?;
        Some(Refill { queue: self.key(number)?, after, room })
    }

    /// Takes in what the store had. `through`: the sequence of the last task read, also of one that may not run yet
    /// and is kept elsewhere; `refill.after` if there was none. `more`: the store has more after it.
    pub fn refilled(&mut self, refill: &Refill, page: Vec<Candidate>, through: i64, more: bool) {
        let settle = |queue: &mut Queue| queue.settle(refill.after, through, more);
        let Some(trusted) = self.change(&refill.queue, settle).flatten() else { return };
        for candidate in page.into_iter().filter(|candidate| candidate.sequence <= trusted) {
            self.enqueue(candidate);
        }
    }

    /// The store could not be read: the queue may be named again.
    pub fn refill_failed(&mut self, refill: &Refill) {
        self.change(&refill.queue, Queue::give_up);
    }

    fn change<R>(&mut self, queue: &QueueKey, change: impl FnOnce(&mut Queue) -> R) -> Option<R> {
        let (tenant, kind) = (self.names.number(&queue.tenant)?, self.kinds.number(&queue.kind)?);
        Some(self.update((lane_of(queue.priority), tenant, kind), change))
    }
}
