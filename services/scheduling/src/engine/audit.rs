//! The audit: does the store have waiting tasks that nobody here knows of?
//!
//! The log is read once, so a task is lost to a running scheduler when an answer of the store is: a failure that was
//! stored although the call broke, a revival that was overtaken by its cancellation. Every so often the store's counts
//! are compared with what is in memory, and a queue that falls short is read again from its beginning. Tasks that are
//! on their way in or out make a queue seem short now and then; reading it then costs a page and changes nothing.

use std::collections::HashMap;
use std::time::Duration;

use tidemill_kernel::Timestamp;
use tidemill_policy::QueueKey;

use super::{Engine, census};

/// How often the counts are compared.
pub(super) const EVERY: Duration = Duration::from_secs(30);
/// How often the store is asked for them: they are figures, too.
pub(super) const COUNT_EVERY: Duration = Duration::from_secs(10);

impl Engine {
    pub(super) fn on_audited(&mut self, queues: &[(QueueKey, usize)], now: Timestamp) {
        let is_audit = now >= self.next_audit;
        if is_audit {
            self.next_audit = now + EVERY;
        }
        self.beyond = [0; 3];
        let mut delayed: HashMap<QueueKey, usize> = HashMap::new();
        for candidate in self.delayed.values() {
            *delayed.entry(candidate.queue()).or_default() += 1;
        }
        for (queue, waiting) in queues {
            let ready = self.policy.queued(&queue.tenant, queue.priority, &queue.kind);
            let known = ready + delayed.get(queue).copied().unwrap_or(0);
            self.beyond[census::place(queue.priority)] += waiting.saturating_sub(known);
            // A fuller queue is read on by itself when it runs low.
            if is_audit && known < *waiting && ready <= self.config.window / 2 {
                self.policy.mark_truncated(queue, 0);
            }
        }
    }
}
