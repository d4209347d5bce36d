//! What the engine holds, counted for the figures: tasks that wait, that are delayed, that run.

use tidemill_kernel::Priority;

use super::Engine;

/// Counts by priority, the most urgent first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Census {
    /// Tasks that may run now: those in memory, and those that the store had besides when it was asked last.
    pub(crate) ready: [usize; 3],
    /// Tasks whose time has not come, or which wait for others.
    pub(crate) delayed: [usize; 3],
    /// Tasks that run.
    pub(crate) leased: [usize; 3],
    /// Workers whose stream is open.
    pub(crate) workers: usize,
}

/// The place of a priority in the counts.
pub(super) fn place(priority: Priority) -> usize {
    Priority::ALL.iter().position(|each| *each == priority).unwrap_or(0)
}

impl Engine {
    /// Counts. Costs a walk over what is delayed and what runs.
    pub(crate) fn census(&self) -> Census {
        let mut census = Census {
            ready: self.policy.queued_by_priority(),
            workers: self.sessions.len(),
            ..Census::default()
        };
        for beyond in self.beyond.values() {
            census.ready.iter_mut().zip(beyond).for_each(|(ready, beyond)| *ready += beyond);
        }
        for candidate in self.delayed.values().chain(self.dependents.candidates()) {
            census.delayed[place(candidate.priority)] += 1;
        }
        for held in self.held.values() {
            census.leased[place(held.candidate.priority)] += 1;
        }
        census
    }
}
