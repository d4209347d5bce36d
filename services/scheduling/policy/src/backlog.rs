//! The queues of a policy: one per priority, tenant and kind that has something waiting, or left to the store.

use std::collections::{BTreeMap, BTreeSet};

use tidemill_kernel::Id;

use crate::queue::Queue;

/// Lane (priority, 0 the most urgent), tenant and kind by number.
pub(crate) type QueueNumber = (u8, u32, u32);

/// All queues.
#[derive(Debug)]
pub(crate) struct Backlog {
    window: usize,
    queues: BTreeMap<QueueNumber, Queue>,
    /// Queues that run low while the store has more.
    low: BTreeSet<QueueNumber>,
}

impl Backlog {
    /// No queues; each will hold at most `window` candidates.
    pub(crate) fn new(window: usize) -> Self {
        Self { window, queues: BTreeMap::new(), low: BTreeSet::new() }
    }

    /// Changes one queue, which is made if it is not there and dropped if nothing is left of it.
    pub(crate) fn update<R>(&mut self, number: QueueNumber, change: impl FnOnce(&mut Queue) -> R) -> R {
        let queue = self.queues.entry(number).or_default();
        let answer = change(queue);
        if queue.wants(self.window) {
            self.low.insert(number);
        } else {
            self.low.remove(&number);
        }
        if queue.is_spent() {
            self.queues.remove(&number);
        }
        answer
    }

    /// A queue, if it is there.
    pub(crate) fn queue(&self, number: QueueNumber) -> Option<&Queue> {
        self.queues.get(&number)
    }

    /// Whether a tenant has candidates of one of these kinds in a lane.
    pub(crate) fn has_any(&self, lane: u8, tenant: u32, kinds: &[u32]) -> bool {
        kinds.iter().any(|&kind| self.queue((lane, tenant, kind)).is_some_and(|queue| queue.len() > 0))
    }

    /// The oldest candidate of these kinds of a tenant in a lane, with its kind.
    pub(crate) fn oldest(&self, lane: u8, tenant: u32, kinds: &[u32]) -> Option<(u32, Id)> {
        let head = |&kind: &u32| {
            let (sequence, id) = self.queue((lane, tenant, kind))?.head()?;
            Some((sequence, kind, id))
        };
        kinds.iter().filter_map(head).min().map(|(_, kind, id)| (kind, id))
    }

    /// Every queue, by lane, tenant and kind.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (QueueNumber, &Queue)> {
        self.queues.iter().map(|(&number, queue)| (number, queue))
    }

    /// The first queue that runs low while the store has more.
    pub(crate) fn first_low(&self) -> Option<QueueNumber> {
        self.low.first().copied()
    }
}
