//! How waiting tasks come into memory: at the start, when they are new, when their time has come, page by page.

use std::time::Duration;

use tidemill_kernel::Timestamp;
use tidemill_policy::{QueueKey, Refill};

use super::{Effect, Engine, Waiting, audit};

/// How often new tasks are looked for without a hint.
const READ_EVERY: Duration = Duration::from_secs(1);

impl Engine {
    pub(super) fn on_queues(&mut self, queues: &[QueueKey], last_sequence: i64, now: Timestamp) {
        self.read_through = last_sequence;
        (self.next_count, self.next_audit) = (now + audit::COUNT_EVERY, now + audit::EVERY);
        for queue in queues {
            self.policy.mark_truncated(queue, 0);
        }
    }

    /// Asks for new tasks; while they are being read, notes to ask again.
    pub(super) fn read_new(&mut self, effects: &mut Vec<Effect>, now: Timestamp) {
        match &mut self.reading {
            Some(again) => *again = true,
            None => {
                self.reading = Some(false);
                self.next_read = now + READ_EVERY;
                effects.push(Effect::LoadNew { after: self.read_through });
            }
        }
    }

    pub(super) fn on_new(
        &mut self,
        tasks: Vec<Waiting>,
        through: i64,
        more: bool,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        self.read_through = self.read_through.max(through);
        self.learn_tenants(&tasks, effects);
        for waiting in tasks {
            self.admit(waiting, now);
        }
        let again = self.reading.take() == Some(true);
        if again || more {
            self.read_new(effects, now);
        }
    }

    pub(super) fn on_refilled(
        &mut self,
        refill: &Refill,
        tasks: Vec<Waiting>,
        through: i64,
        more: bool,
        now: Timestamp,
    ) {
        let (ready, later): (Vec<_>, Vec<_>) = tasks.into_iter().partition(|waiting| waiting.run_at <= now);
        later.into_iter().for_each(|waiting| self.delay(waiting));
        let page = ready.into_iter().map(|waiting| waiting.candidate).collect();
        self.policy.refilled(refill, page, through, more);
    }

    pub(super) fn on_revived(&mut self, waiting: Waiting, now: Timestamp, effects: &mut Vec<Effect>) {
        self.learn_tenants(std::slice::from_ref(&waiting), effects);
        self.admit(waiting, now);
    }

    /// Takes a waiting task in: to be picked, or to wait for its time.
    pub(super) fn admit(&mut self, waiting: Waiting, now: Timestamp) {
        if waiting.run_at > now {
            self.delay(waiting);
        } else if !self.held.contains_key(&waiting.candidate.id) {
            self.policy.enqueue(waiting.candidate);
        }
    }

    fn delay(&mut self, waiting: Waiting) {
        let (id, sequence) = (waiting.candidate.id, waiting.candidate.sequence);
        self.forget_delayed(id);
        self.due.insert(id, (waiting.run_at, sequence));
        self.delayed.insert((waiting.run_at, sequence, id), waiting.candidate);
    }

    pub(super) fn forget_delayed(&mut self, id: tidemill_kernel::Id) {
        if let Some((run_at, sequence)) = self.due.remove(&id) {
            self.delayed.remove(&(run_at, sequence, id));
        }
    }

    /// Enqueues the tasks whose time has come.
    pub(super) fn wake_due(&mut self, now: Timestamp) {
        while let Some(first) = self.delayed.first_entry().filter(|first| first.key().0 <= now) {
            let candidate = first.remove();
            self.due.remove(&candidate.id);
            self.policy.enqueue(candidate);
        }
    }

    /// Asks for the weights of tenants that are seen for the first time.
    pub(super) fn learn_tenants(&mut self, tasks: &[Waiting], effects: &mut Vec<Effect>) {
        let names = tasks.iter().map(|waiting| &waiting.candidate.tenant);
        let new: Vec<_> = names.filter(|name| self.tenants.insert((*name).clone())).cloned().collect();
        if !new.is_empty() {
            effects.push(Effect::LoadTenants(new));
        }
    }
}
