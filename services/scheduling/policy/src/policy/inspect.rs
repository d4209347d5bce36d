//! What a policy holds, for metrics, autoscaling and tests. Counts what is in memory; the store knows the rest.

use tidemill_kernel::{Priority, TenantName};

use super::{Policy, lane_of};
use crate::backlog::QueueNumber;
use crate::candidate::{Kind, QueueKey};
use crate::queue::Queue;

impl Policy {
    /// How many candidates of one queue wait in memory.
    pub fn queued(&self, tenant: &TenantName, priority: Priority, kind: &Kind) -> usize {
        let (Some(tenant), Some(kind)) = (self.names.number(tenant), self.kinds.number(kind)) else {
            return 0;
        };
        self.backlog.queue((lane_of(priority), tenant, kind)).map_or(0, Queue::len)
    }

    /// How many tasks of a tenant run.
    pub fn running(&self, tenant: &TenantName) -> u32 {
        self.names.number(tenant).map_or(0, |number| self.tenants[number as usize].running)
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
        for ((lane, _, _), queue) in self.backlog.iter() {
            counts[usize::from(lane)] += queue.len();
        }
        counts
    }

    /// The queues with how many wait in memory in each, by priority.
    pub fn depths(&self) -> impl Iterator<Item = (QueueKey, usize)> {
        self.backlog.iter().filter_map(|(number, queue)| Some((self.key(number)?, queue.len())))
    }

    /// The names of a queue.
    pub(super) fn key(&self, (lane, tenant, kind): QueueNumber) -> Option<QueueKey> {
        let (tenant, kind) = (self.names.name(tenant)?.clone(), self.kinds.name(kind)?.clone());
        Some(QueueKey { tenant, priority: Priority::ALL[usize::from(lane)], kind })
    }
}
