//! Refills: how the window of a queue in memory follows the queue in the store.
//!
//! The round: [`Policy::next_refill`] names a queue that runs low while the store has more; the scheduler reads a page
//! of it and hands it back with [`Policy::refilled`] (or [`Policy::refill_failed`]). Between the two, candidates may
//! come, go and come back; nothing is lost or put out of order by that as long as `enqueue` and `returned` are called
//! after the commit and the page is read after `next_refill`. A page may name what runs, or what was over by the time it
//! arrives: neither is taken in again.

use super::{Policy, lane_of};
use crate::candidate::{Candidate, QueueKey};

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
        self.sweep_if_due();
        let (tenant, kind) = self.numbers(&queue.tenant, &queue.kind);
        let number = self.queue_of(lane_of(queue.priority), tenant, kind);
        self.queues[number as usize].truncate(after);
        self.note_low(number);
    }

    /// Notes how many candidates of a queue wait in the store, in memory or not: quotas count them.
    pub fn note_stored(&mut self, queue: &QueueKey, waiting: usize) {
        let Some(number) = self.known_queue(queue) else { return };
        let queue = &mut self.queues[number as usize];
        let Some(before) = queue.rest() else { return };
        let now = waiting.saturating_sub(queue.len);
        queue.count_rest(now);
        self.beyond = (self.beyond + now).saturating_sub(before);
    }

    /// A queue that is at half of its window or less while the store has more, the most urgent first. It is not named
    /// again before its refill has ended.
    pub fn next_refill(&mut self) -> Option<Refill> {
        while let Some(&(_, number)) = self.low.first() {
            let room = self.config.window.saturating_sub(self.movable(number)).max(1);
            let queue = &mut self.queues[number as usize];
            let name = (queue.lane, queue.tenant, queue.kind);
            let after = queue.ask();
            self.asked += usize::from(after.is_some());
            self.note_low(number);
            if let (Some(after), Some(queue)) = (after, self.key(name)) {
                return Some(Refill { queue, after, room });
            }
        }
        None
    }

    /// Takes in what the store had. `through`: the sequence of the last task read, also of one that may not run yet
    /// and is kept elsewhere; `refill.after` if there was none. `more`: the store has more after it.
    pub fn refilled(&mut self, refill: &Refill, page: Vec<Candidate>, through: i64, more: bool) {
        self.asked = self.asked.saturating_sub(1);
        let Some(number) = self.known_queue(&refill.queue) else { return };
        let queue = &mut self.queues[number as usize];
        let before = queue.rest().unwrap_or(0);
        let trusted = queue.settle(refill.after, through, more, page.len());
        let after = queue.rest().unwrap_or(0);
        self.beyond = (self.beyond + after).saturating_sub(before);
        self.note_low(number);
        let Some(trusted) = trusted else { return };
        for candidate in page.into_iter().filter(|candidate| trusted.covers(candidate.sequence)) {
            self.enqueue(candidate);
        }
    }

    /// The store could not be read: the queue may be named again.
    pub fn refill_failed(&mut self, refill: &Refill) {
        self.asked = self.asked.saturating_sub(1);
        if let Some(number) = self.known_queue(&refill.queue) {
            self.queues[number as usize].give_up();
            self.note_low(number);
        }
    }

    pub(super) fn known_queue(&self, queue: &QueueKey) -> Option<u32> {
        let (tenant, kind) = (self.names.number(&queue.tenant)?, self.kinds.number(&queue.kind)?);
        self.find_queue(lane_of(queue.priority), tenant, kind)
    }

    /// Gives the tail of a queue back to the store when what came back has doubled it. At most one in two arrivals pays
    /// for a task of that.
    pub(super) fn trim(&mut self, number: u32) {
        let queue = &self.queues[number as usize];
        let window = self.config.window;
        if queue.len <= 2 * window {
            return;
        }
        let keep = match self.movable(number) {
            movable if movable > 2 * window => window,
            _ if queue.len > 2 * (window + self.config.blocked_window) => window + self.config.blocked_window,
            _ => return,
        };
        let mut slots = self.waiting_of(number);
        slots.sort_unstable();
        let dropped = slots.split_off(keep.min(slots.len()));
        let (Some(last), Some(first)) = (slots.last(), dropped.first()) else { return };
        self.queues[number as usize].cut(last.0, first.0, dropped.len());
        self.beyond += dropped.len();
        for (_, slot) in dropped {
            // What it leads comes after it, so it is dropped too.
            self.unwait(slot);
            self.forget(slot);
        }
        self.note_low(number);
    }

    /// Place and slot of everything that waits in a queue, in no order.
    fn waiting_of(&self, number: u32) -> Vec<(i64, u32)> {
        let queue = &self.queues[number as usize];
        let mut slots: Vec<(i64, u32)> = queue.hidden.iter().copied().collect();
        for &bunch in &self.tenants[queue.tenant as usize].bunches {
            for &line in &self.bunches[bunch as usize].lines {
                let line = self.line(line);
                if line.queue == number {
                    slots.extend(line.iter().map(|slot| (self.tasks[slot].sequence, slot)));
                }
            }
        }
        slots
    }
}
