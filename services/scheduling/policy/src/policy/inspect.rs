//! What a policy holds, for metrics, autoscaling and tests. Counts what is in memory; the store knows the rest.

use tidemill_kernel::{Id, Priority, TenantName};

use super::Policy;
use crate::candidate::{Kind, QueueKey};
use crate::tasks::State;

impl Policy {
    /// How many candidates of one queue wait in memory.
    pub fn queued(&self, tenant: &TenantName, priority: Priority, kind: &Kind) -> usize {
        let queue = QueueKey { tenant: tenant.clone(), priority, kind: kind.clone() };
        self.known_queue(&queue).map_or(0, |queue| self.queues[queue as usize].len)
    }

    /// How many tasks of a tenant run.
    pub fn running(&self, tenant: &TenantName) -> u32 {
        self.names.number(tenant).map_or(0, |number| self.tenants[number as usize].running)
    }

    /// Whether a task waits in memory.
    pub fn waits(&self, id: Id) -> bool {
        self.tasks.find(id).is_some_and(|slot| self.tasks[slot].waits())
    }

    /// Whether a task counts as running.
    pub fn runs(&self, id: Id) -> bool {
        self.tasks.find(id).is_some_and(|slot| self.tasks[slot].state() == State::Running)
    }

    /// How many candidates wait in memory.
    pub fn len(&self) -> usize {
        self.queued
    }

    /// Whether none waits in memory.
    pub fn is_empty(&self) -> bool {
        self.queued == 0
    }

    /// How many candidates of each priority wait in memory, the most urgent first.
    pub fn queued_by_priority(&self) -> [usize; 3] {
        let mut counts = [0; 3];
        for (_, queue) in &self.queues {
            counts[usize::from(queue.lane)] += queue.len;
        }
        counts
    }

    /// The queues with how many wait in memory in each, by priority.
    pub fn depths(&self) -> impl Iterator<Item = (QueueKey, usize)> {
        let waiting = self.queues.iter().map(|entry| entry.1).filter(|queue| !queue.is_spent());
        let mut rows: Vec<_> =
            waiting.map(|queue| ((queue.lane, queue.tenant, queue.kind), queue.len)).collect();
        rows.sort_unstable();
        rows.into_iter().filter_map(|(name, len)| Some((self.key(name)?, len)))
    }

    /// The names of a queue: lane, tenant and kind.
    pub(super) fn key(&self, (lane, tenant, kind): (u8, u32, u32)) -> Option<QueueKey> {
        let (tenant, kind) = (self.names.name(tenant)?.clone(), self.kinds.name(kind)?.clone());
        Some(QueueKey { tenant, priority: Priority::ALL[usize::from(lane)], kind })
    }
}
