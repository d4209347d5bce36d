//! Admission: whether a submission may wait here, and when to try again if not.
//!
//! Three questions, the first refusal counts: is there room for its priority (background work is shed first, then normal,
//! then interactive), has its tenant room in its quota, has its key room. What is refused is told a time by which, at the
//! measured rate of dispatches, so much will have been worked off that it would be taken in.

use std::time::Duration;

use tidemill_kernel::{Id, Priority, TenantName, Timestamp};

use super::Policy;
use crate::candidate::Kind;
use crate::limits::{OnFull, Scope};
use crate::meter::Meter;
use crate::traits::Traits;

/// Told when nothing was dispatched of late, so that nothing is known.
const UNKNOWN: Duration = Duration::from_secs(5);
/// The least and the longest time that is told.
const RANGE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(60));

/// Tasks that are about to be submitted.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// Whose they are.
    pub tenant: &'a TenantName,
    /// What has to be done.
    pub kind: &'a Kind,
    /// How urgent they are.
    pub priority: Priority,
    /// What each of them asks for. Ask one by one about tasks with different keys.
    pub traits: Option<&'a Traits>,
    /// How many there are, at least 1: all are taken in or none.
    pub count: usize,
}

/// What is to be done with a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admit {
    /// Store it.
    Queue,
    /// Refuse it.
    Reject {
        /// Why.
        why: Refusal,
        /// When there should be room.
        retry_after: Duration,
    },
    /// Store it and cancel this one, which waits or runs.
    Replace(Id),
}

/// Why a submission is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is too much work in all.
    #[error("{queued} tasks wait, and {priority} ones are taken in below {bound}; try again later")]
    Overload {
        /// Of which priority it is.
        priority: Priority,
        /// How many tasks wait.
        queued: usize,
        /// How many may before this priority is refused.
        bound: usize,
    },
    /// The tenant has too much.
    #[error("{queued} tasks of this tenant wait, of at most {quota}; try again later, or raise its quota")]
    Quota {
        /// How many of its tasks wait.
        queued: usize,
        /// How many may.
        quota: usize,
    },
    /// The key has so many tasks as it may, and refuses more.
    #[error(
        "the key `{key}` has {tasks} of at most {cap} tasks, and refuses more; try again when one is over"
    )]
    Key {
        /// The key.
        key: std::sync::Arc<str>,
        /// How many tasks of it wait or run.
        tasks: usize,
        /// How many may.
        cap: u32,
    },
}

impl Policy {
    /// Sets how many tasks of a tenant may wait; none: the configured number.
    pub fn set_quota(&mut self, tenant: &TenantName, quota: Option<usize>) {
        match quota {
            Some(quota) => self.quotas.insert(tenant.clone(), quota),
            None => self.quotas.remove(tenant),
        };
    }

    /// What is to be done with a submission, as far as is known: what was admitted and is not enqueued yet does not
    /// count.
    pub fn admit(&self, arrival: &Arrival<'_>, now: Timestamp) -> Admit {
        let reject = |why, excess, meter: Meter| Admit::Reject {
            why,
            retry_after: meter.time_for(excess, now).unwrap_or(UNKNOWN).clamp(RANGE.0, RANGE.1),
        };
        let queued = self.queued + self.beyond;
        if let Some(bound) = self.config.overload.bound(arrival.priority)
            && queued + arrival.count > bound
        {
            let why = Refusal::Overload { priority: arrival.priority, queued, bound };
            return reject(why, queued + arrival.count - bound, self.meter);
        }
        let tenant = self.names.number(arrival.tenant);
        let meter = tenant.map(|number| self.tenants[number as usize].meter).unwrap_or_default();
        let quota = self.quotas.get(arrival.tenant).copied().or(self.config.overload.tenant_queued);
        let queued = tenant.map_or(0, |number| self.queued_of(number));
        if let Some(quota) = quota
            && queued + arrival.count > quota
        {
            return reject(Refusal::Quota { queued, quota }, queued + arrival.count - quota, meter);
        }
        let keys = arrival.traits.map_or(&[][..], |traits| &traits.keys);
        for key in keys {
            let own = Scope::TenantKey(arrival.tenant.clone(), key.clone());
            for gate in [own, Scope::Key(key.clone())].iter().filter_map(|scope| self.rules.get(scope)) {
                let gate_state = &self.gates[*gate as usize];
                let on_full = gate_state.limit.on_full;
                let cap = gate_state.concurrency().filter(|_| on_full != OnFull::Queue);
                let Some(cap) = cap else { continue };
                let waiting = self.waiting_under(*gate, cap);
                let tasks = waiting + gate_state.running as usize;
                if tasks + arrival.count <= cap as usize {
                    continue;
                }
                match (on_full, self.oldest_under(*gate)) {
                    (OnFull::ReplaceOldest, Some(oldest)) => return Admit::Replace(oldest),
                    _ => {
                        let why = Refusal::Key { key: key.clone(), tasks, cap };
                        return reject(why, 1 + tasks - (cap as usize).min(tasks), meter);
                    }
                }
            }
        }
        Admit::Queue
    }

    /// How many tasks of a tenant wait, in memory and in the store.
    fn queued_of(&self, tenant: u32) -> usize {
        let tenant = &self.tenants[tenant as usize];
        let rests = tenant.queues.iter().filter_map(|&queue| self.queues[queue as usize].rest());
        tenant.queued as usize + rests.sum::<usize>()
    }

    /// How many wait under a gate, as soon as there are `enough`.
    fn waiting_under(&self, gate: u32, enough: u32) -> usize {
        let mut waiting = 0;
        for (_, line) in self.lines.iter().filter(|entry| entry.1.gates.contains(&gate)) {
            waiting += line.len();
            if waiting >= enough as usize {
                break;
            }
        }
        waiting
    }

    /// The task with the lowest place under a gate that waits in a line, or runs.
    fn oldest_under(&self, gate: u32) -> Option<Id> {
        let lines = self.lines.iter().map(|entry| entry.1).filter(|line| line.gates.contains(&gate));
        let waiting = lines.filter_map(|line| line.iter().min_by_key(|&slot| self.tasks[slot].sequence));
        let running = self.gates[gate as usize].holders.iter().copied();
        let oldest = waiting.chain(running).min_by_key(|&slot| self.tasks[slot].sequence)?;
        Some(self.tasks[oldest].id)
    }
}
