//! The work of time: what is looked after again and again, and the end.

use std::time::Duration;

use tidemill_kernel::Timestamp;
use tidemill_proto::scheduling::v1 as api;
use tidemill_proto::scheduling::v1::work_response::Message as Say;

use super::{Effect, Engine, audit};

/// How often new tasks are looked for without a hint.
const READ_EVERY: Duration = Duration::from_secs(1);

/// How often ends of leases are looked for.
const EXPIRE_EVERY: Duration = Duration::from_millis(250);

impl Engine {
    /// Time's work: tasks that are due, leases that ended or have lasted, shards, a look for what hints have missed.
    pub(super) fn on_tick(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        self.claim(now, effects);
        self.wake_due(now);
        self.ask_shares(now, effects);
        if now >= self.next_expiry {
            self.next_expiry = now + EXPIRE_EVERY;
            self.expire(now, effects);
            self.drop_late(now, effects);
            self.fire(now, effects);
        }
        self.record(now, effects);
        if now >= self.next_read {
            self.next_read = now + READ_EVERY;
            self.read_all(now, effects);
            if !self.unweighed.is_empty() {
                effects.push(Effect::LoadTenants(std::mem::take(&mut self.unweighed)));
            }
        }
        if now >= self.next_count {
            self.next_count = now + audit::COUNT_EVERY;
            self.dependents.ask_again(now);
            effects.push(Effect::Count(self.shards.loaded().collect()));
            // A change that another scheduler made and could not tell of.
            self.load_settings(effects);
        }
    }

    /// Finishes what runs, and hands nothing more out.
    pub(super) fn on_drain(&mut self, effects: &mut Vec<Effect>) {
        self.draining = true;
        self.claim_soon();
        for session in self.sessions.keys() {
            effects.push(Effect::Say { session: *session, message: Say::Drain(api::Drain {}) });
        }
    }
}
