//! The audit: does the store have waiting tasks that nobody here knows of?
//!
//! The log is read once, so a task is lost to a running scheduler when an answer of the store is: a failure that was
//! stored although the call broke, a revival that was overtaken by its cancellation. Every so often the store's counts
//! are compared with what is in memory, and a queue that falls short is read again from its beginning. Tasks that are
//! on their way in or out make a queue seem short now and then; reading it then costs a page and changes nothing.

use std::collections::HashMap;
use std::time::Duration;

use tidemill_kernel::{Shard, Timestamp};
use tidemill_policy::QueueKey;

use super::{Engine, Epoch, census};

/// How often the counts are compared.
pub(super) const EVERY: Duration = Duration::from_secs(30);
/// How often the store is asked for them: they are figures, too.
pub(super) const COUNT_EVERY: Duration = Duration::from_secs(10);

impl Engine {
    pub(super) fn on_audited(&mut self, epoch: Epoch, queues: &[(QueueKey, usize)], now: Timestamp) {
        let shard = epoch.0;
        if self.shards.log(epoch).is_none() {
            return;
        }
        let is_audit = now >= self.next_audit;
        let known = self.known(shard);
        let mut beyond = [0; 3];
        for (queue, waiting) in queues {
            let ready = self.policy.queued(&queue.tenant, queue.priority, &queue.kind);
            let known = ready + known.get(queue).copied().unwrap_or(0);
            beyond[census::place(queue.priority)] += waiting.saturating_sub(known);
            // A fuller queue is read on by itself when it runs low.
            if is_audit && known < *waiting && ready <= self.config.window / 2 {
                self.policy.mark_truncated(queue, 0);
            }
        }
        self.beyond.insert(shard, beyond);
        let last = self.shards.loaded().last().map(|(shard, _)| shard);
        if is_audit && last == Some(shard) {
            self.next_audit = now + EVERY;
            let (policy, dependents) = (&self.policy, &self.dependents);
            self.bodies.retain(|id| policy.waits(id) || dependents.has(id));
        }
    }

    /// Tasks of a shard that the store counts as waiting and the policy does not: delayed, kept back, or leased and not recorded.
    fn known(&self, shard: Shard) -> HashMap<QueueKey, usize> {
        let mut known: HashMap<QueueKey, usize> = HashMap::new();
        let young = self.held.values().filter(|held| !held.recorded).map(|held| &held.candidate);
        for candidate in self.delayed.values().chain(self.dependents.candidates()).chain(young) {
            if Shard::of_place(candidate.sequence) == shard {
                *known.entry(candidate.queue()).or_default() += 1;
            }
        }
        known
    }
}
