//! Leases in memory: taken in, renewed by heartbeats, given back, lost by cancellation.

use std::collections::HashSet;

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
    pub(crate) settling: Settling,
}

/// What of a lease's end is being told to the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Settling {
    /// Nothing.
    #[default]
    No,
    /// That its time is over: a result may still overtake that, and the store decides which was first.
    Expiry,
    /// A result, or that it is given back.
    End,
}

/// The most leases of one request to the store.
const REQUEST: usize = 1_000;

impl Engine {
    /// Asks for the running tasks, unless that is under way.
    pub(super) fn sweep(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        self.next_sweep = now + self.config.lease();
        if self.sweeping.is_none() {
            self.sweeping = Some(HashSet::new());
            effects.push(Effect::LoadRunning);
        }
    }

    /// Takes in leases that the store knows and this engine does not. Those that ended while the store was being read
    /// are over: taken in, they would count against their tenant until they expire.
    pub(super) fn on_running(&mut self, running: Vec<Held>) {
        let ended = self.sweeping.take().unwrap_or_default();
        for held in running {
            let id = held.candidate.id;
            if !self.held.contains_key(&id) && !ended.contains(&held.token) {
                self.policy.started(&held.candidate);
                self.held.insert(id, held);
            }
        }
    }

    /// Forgets a lease; none if the task is held under another one.
    pub(super) fn let_go(&mut self, task: Id, token: Id) -> Option<Held> {
        if let Some(ended) = &mut self.sweeping {
            ended.insert(token);
        }
        self.held.get(&task).filter(|held| held.token == token)?;
        self.held.remove(&task)
    }

    /// Asks the store to take leases back. They stay in mind until it has answered.
    pub(super) fn release(leases: &[(Id, Id)], effects: &mut Vec<Effect>) {
        effects.extend(leases.chunks(REQUEST).map(|leases| Effect::Release(leases.to_vec())));
    }

    /// What was given back waits again, at the front of its queue.
    pub(super) fn on_released(&mut self, leases: &[(Id, Id)]) {
        for (task, token) in leases {
            if self.let_go(*task, *token).is_some() {
                self.policy.returned(*task);
            }
        }
    }

    /// The store runs them still: they come back when their leases are over.
    pub(super) fn on_release_failed(&mut self, leases: &[(Id, Id)]) {
        for (task, token) in leases {
            if let Some(held) = self.held.get_mut(task).filter(|held| held.token == *token) {
                held.settling = Settling::No;
            }
        }
    }

    /// What the worker does not name it does not run: such a lease ends by itself.
    pub(super) fn on_heartbeat(
        &mut self,
        session: SessionId,
        tasks: &[Id],
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let held = tasks.iter().filter_map(|task| self.held.get(task));
        let alive = held.filter(|held| held.session == Some(session) && held.settling == Settling::No);
        let leases: Vec<_> = alive.map(|held| (held.candidate.id, held.token)).collect();
        let until = now + self.config.lease();
        effects.extend(leases.chunks(REQUEST).map(|leases| Effect::Renew { leases: leases.to_vec(), until }));
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
                Some(held) if held.token == *token && !lost.contains(task) => {
                    held.until = held.until.max(until);
                }
                Some(held) if held.token == *token && held.settling == Settling::No => {
                    self.on_cancelled(*task, effects);
                }
                _ => {}
            }
        }
    }

    /// Forgets a task that is no longer to be run.
    pub(super) fn on_cancelled(&mut self, task: Id, effects: &mut Vec<Effect>) {
        self.forget_delayed(task);
        self.policy.remove(task);
        let token = self.held.get(&task).map(|held| held.token);
        if let Some(held) = token.and_then(|token| self.let_go(task, token)) {
            self.policy.finished(task);
            Self::say_cancel(&held, effects);
        }
    }
}
