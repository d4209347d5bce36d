//! Leases in memory: renewed by heartbeats, ended by time, lost by cancellation.

use tidemill_kernel::{Id, Timestamp};
use tidemill_policy::Candidate;

use super::{Effect, Engine, SessionId};

/// A task that a worker holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) candidate: Candidate,
    pub(crate) token: Id,
    pub(crate) worker: String,
    /// None for a lease made before this scheduler began.
    pub(crate) session: Option<SessionId>,
    pub(crate) until: Timestamp,
    pub(crate) attempt: i32,
    pub(crate) max_attempts: i32,
    /// Its end is being told to the store.
    pub(crate) settling: bool,
}

impl Engine {
    /// Takes in leases that the store knows and this engine does not.
    pub(super) fn on_running(&mut self, running: Vec<Held>) {
        for held in running {
            let id = held.candidate.id;
            if !self.held.contains_key(&id) {
                self.policy.started(&held.candidate);
                self.held.insert(id, held);
            }
        }
    }

    pub(super) fn on_heartbeat(&mut self, session: SessionId, now: Timestamp, effects: &mut Vec<Effect>) {
        let held = self.held.values().filter(|held| held.session == Some(session) && !held.settling);
        let leases: Vec<_> = held.map(|held| (held.candidate.id, held.token)).collect();
        if !leases.is_empty() {
            effects.push(Effect::Renew { leases, until: now + self.config.lease() });
        }
    }

    pub(super) fn on_renewed(
        &mut self,
        leases: &[(Id, Id)],
        lost: &[Id],
        until: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        for (task, token) in leases {
            match self.held.get_mut(task) {
                Some(held) if held.token == *token && !lost.contains(task) => held.until = until,
                Some(held) if held.token == *token && !held.settling => self.on_cancelled(*task, effects),
                _ => {}
            }
        }
    }

    /// Forgets a task that is no longer to be run.
    pub(super) fn on_cancelled(&mut self, task: Id, effects: &mut Vec<Effect>) {
        self.forget_delayed(task);
        self.policy.remove(task);
        if let Some(held) = self.held.remove(&task) {
            self.policy.finished(task);
            Self::say_cancel(&held, effects);
        }
    }
}
