//! Leases: taken over with a shard, kept by heartbeats, found again by their workers, given back, lost by cancellation.

use std::sync::Arc;

use tidemill_kernel::{Id, Shard, Timestamp};
use tidemill_policy::Candidate;
use tidemill_proto::scheduling::v1 as api;
use tidemill_proto::scheduling::v1::work_response::Message as Say;
use tidemill_proto::storage::v1 as store;
use tidemill_proto::time::from_micros;
use tidemill_proto::types::v1::{RetryPolicy, Task};

use super::{Effect, Engine, SessionId};

/// A task that a worker holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Held {
    pub(super) candidate: Candidate,
    pub(super) token: Id,
    pub(super) worker: Arc<str>,
    /// None while its worker is away.
    pub(super) session: Option<SessionId>,
    pub(super) until: Timestamp,
    pub(super) started_at: Timestamp,
    /// How many attempts are spent with this one.
    pub(super) attempt: u32,
    pub(super) max_attempts: u32,
    pub(super) retry: Option<Box<RetryPolicy>>,
    /// Its group; empty for none.
    pub(super) group: String,
    /// The store was told of it, or is being told.
    pub(super) recorded: bool,
    /// The store has said that it knows of it.
    pub(super) written: bool,
    /// Its end is being told to the store.
    pub(super) ending: bool,
    /// Its worker has ended it, and the store did not hear how.
    pub(super) unheard: bool,
    /// To be handed out when it is recorded.
    pub(super) waiting: Option<Box<Task>>,
}

/// A recorded lease, as the store tells of it.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) task: Task,
    pub(crate) token: Id,
}

impl Held {
    /// Whether its worker is away with it. One whose end the store did not hear has lost no worker.
    pub(super) fn is_lost(&self) -> bool {
        self.session.is_none() && !self.unheard
    }

    /// Whether the shard's next owner would know of it as it is.
    pub(super) fn is_known(&self) -> bool {
        self.written && !self.ending && self.waiting.is_none()
    }

    /// The attempt as the store reads it.
    pub(super) fn attempt(&self) -> store::Attempt {
        store::Attempt {
            task_id: self.candidate.id.to_string(),
            number: self.attempt,
            worker: self.worker.to_string(),
            started_at: Some(from_micros(self.started_at.as_micros())),
            recorded: self.recorded,
        }
    }
}

impl Engine {
    /// Takes in the leases that were recorded by the shard's last owner. Their workers have one lease's time to say that they
    /// are still at it.
    pub(super) fn take_over(&mut self, running: Vec<Running>, now: Timestamp) {
        for Running { task, token } in running {
            let Some((candidate, _)) = self.candidate(&task) else { continue };
            if self.held.contains_key(&candidate.id) {
                continue;
            }
            self.policy.started(&candidate);
            let started_at = task.started_at.as_ref().map_or(0, tidemill_proto::time::to_micros);
            let held = Held {
                token,
                worker: task.worker.as_str().into(),
                session: None,
                until: now + self.config.lease(),
                started_at: Timestamp::from_micros(started_at),
                attempt: u32::try_from(task.attempt).unwrap_or(0),
                max_attempts: u32::try_from(task.max_attempts).unwrap_or(0),
                group: task.group,
                retry: task.options.and_then(|options| options.retry).map(Box::new),
                recorded: true,
                written: true,
                ending: false,
                unheard: false,
                waiting: None,
                candidate,
            };
            self.held.insert(held.candidate.id, held);
        }
    }

    /// Forgets a lease; none if the task is held under another one.
    pub(super) fn let_go(&mut self, task: Id, token: Id) -> Option<Held> {
        self.held.get(&task).filter(|held| held.token == token)?;
        self.drop_held(task)
    }

    /// Takes a lease out, and what it took of its worker.
    fn drop_held(&mut self, task: Id) -> Option<Held> {
        let held = self.held.remove(&task)?;
        let session = held.session.and_then(|session| self.sessions.get_mut(&session));
        if let (Some(session), Some(traits)) = (session, held.candidate.traits.as_deref()) {
            session.view.free_memory = session.view.free_memory.saturating_add(traits.reserved_memory());
        }
        Some(held)
    }

    /// Gives a lease back: the task waits again at its old place, as if the attempt had not begun.
    pub(super) fn give_back(&mut self, task: Id) {
        let Some(held) = self.drop_held(task) else { return };
        if held.recorded {
            self.records.give_back(task);
        }
        self.policy.returned(task);
        if self.policy.reprioritise(task, held.candidate.priority).is_none() {
            // It was left to the store, where it may have moved to another queue.
            self.policy.enqueue(held.candidate);
        }
    }

    /// What the worker does not name it does not run: such a lease ends by itself. What it names in vain it is to stop.
    pub(super) fn on_heartbeat(
        &mut self,
        session: SessionId,
        beat: api::Heartbeat,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let until = now + self.config.lease();
        for task in beat.task_ids.iter().filter_map(|task| task.parse::<Id>().ok()) {
            if let Some(held) = self.held.get_mut(&task).filter(|held| held.session == Some(session)) {
                held.until = until;
            }
        }
        self.adopt(session, &beat.running, now, effects);
        beat.progress.into_iter().for_each(|progress| self.on_progress(progress));
    }

    /// Renews the leases that a worker names, whichever stream they came by; the others it is to stop.
    pub(super) fn adopt(
        &mut self,
        session: SessionId,
        running: &[api::RunningTask],
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let until = now + self.config.lease();
        let mut over = Vec::new();
        for named in running {
            let Some((task, token)) = lease(&named.task_id, &named.token) else { continue };
            match self.held.get_mut(&task).filter(|held| held.token == token) {
                Some(held) => (held.session, held.until) = (Some(session), until),
                None if self.shards.epoch(Shard::of_place(task.place())).is_some() => {
                    over.push(named.clone());
                }
                None => {}
            }
        }
        if !over.is_empty() {
            let cancel = api::Cancel { task_ids: Vec::new(), attempts: over };
            effects.push(Effect::Say { session, message: Say::Cancel(cancel) });
        }
    }

    /// Forgets a task that is no longer to be run: it was cancelled, or is finished otherwise.
    pub(super) fn on_cancelled(&mut self, task: Id, effects: &mut Vec<Effect>) {
        self.note_group_end(task);
        self.forget_delayed(task);
        self.forget_task(task);
        self.policy.remove(task);
        self.bodies.take(task);
        if let Some(held) = self.drop_held(task) {
            self.policy.finished(task);
            if held.ending {
                self.unsettle_task(task);
            }
            // It may have been put back before this was heard: with a lease it would be taken for one that runs, for ever.
            if held.recorded {
                self.records.give_back(task);
            }
            self.stop(&held, effects);
        }
    }

    /// Tells the worker, if it is there, to stop an attempt. What it was not given yet costs it no credit.
    pub(super) fn stop(&mut self, held: &Held, effects: &mut Vec<Effect>) {
        if let Some(session) = held.session {
            if held.waiting.is_some() {
                return self.on_credits(session, 1);
            }
            let task_id = held.candidate.id.to_string();
            let attempt = api::RunningTask { task_id: task_id.clone(), token: held.token.to_string() };
            let cancel = api::Cancel { task_ids: vec![task_id], attempts: vec![attempt] };
            effects.push(Effect::Say { session, message: Say::Cancel(cancel) });
        }
    }
}

/// A task and a token, if both can be read.
pub(super) fn lease(task: &str, token: &str) -> Option<(Id, Id)> {
    Some((task.parse().ok()?, token.parse().ok()?))
}
