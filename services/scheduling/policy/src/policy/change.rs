//! What becomes of known tasks when their priority or their owner changes.

use tidemill_kernel::{Id, Priority, TenantName};

use super::Policy;
use crate::candidate::{Candidate, Enqueued};
use crate::tasks::State;

impl Policy {
    /// Moves a waiting task to another priority, at its place there. `None` if it does not wait in memory: if the store
    /// has it, mark its new queue as truncated before it. One that runs keeps its priority until it is over.
    pub fn reprioritise(&mut self, id: Id, priority: Priority) -> Option<Enqueued> {
        let slot = self.tasks.find(id).filter(|&slot| self.tasks[slot].waits())?;
        let candidate = self.candidate(slot)?;
        if candidate.priority == priority {
            return Some(Enqueued::Queued);
        }
        self.unwait(slot);
        self.forget(slot);
        Some(self.enqueue(Candidate { priority, ..candidate }))
    }

    /// Drops everything of the tenants that are named, what waits and what runs: another scheduler has them now. Returns
    /// how many tasks that were.
    pub fn forget_tenants(&mut self, is_gone: impl Fn(&TenantName) -> bool) -> usize {
        let gone: Vec<bool> = (0..self.tenants.len())
            .map(|number| u32::try_from(number).ok().and_then(|number| self.names.name(number)))
            .map(|name| name.is_some_and(&is_gone))
            .collect();
        let of_gone = self.tasks.iter().filter(|row| gone[self.tenant_at(row.1.line()) as usize]);
        let mut slots: Vec<(i64, u32)> = of_gone.map(|row| (row.1.sequence, row.0)).collect();
        // From the last place on, so that no order key is handed on.
        slots.sort_unstable();
        for &(_, slot) in slots.iter().rev() {
            match self.tasks[slot].state() {
                State::Running => self.count_end(slot),
                State::Waiting | State::Hidden => self.unwait(slot),
                State::Postponed => {}
            }
            self.forget(slot);
        }
        for index in 0..self.queues.capacity() {
            if let Some(queue) = self.queues.get_mut(index).filter(|queue| gone[queue.tenant as usize]) {
                self.beyond -= queue.forget_rest().min(self.beyond);
                self.note_low(u32::try_from(index).unwrap_or(u32::MAX));
            }
        }
        self.expired.retain(|candidate| !is_gone(&candidate.tenant));
        slots.len()
    }
}
