//! Workers' streams: who is there, what they take, what they are given.

use tidemill_kernel::{Id, Timestamp};
use tidemill_policy::{Kind, Worker};
use tidemill_proto::scheduling::v1::work_response::Message as Say;
use tidemill_proto::scheduling::v1::{Cancel, Credits, Drain, Leases, Welcome};
use tidemill_proto::time::duration;
use tidemill_proto::types::v1::Lease;

use super::{Effect, Ending, Engine, Grant, Held, SessionId, Settling};

/// The most tasks that one worker is given at once, so that several share what there is.
const BATCH: u32 = 256;

/// One worker's stream.
#[derive(Debug)]
pub(crate) struct Session {
    worker: String,
    kinds: Vec<Kind>,
    credits: u32,
    /// A request for leases is under way: credits gather until it is answered, and share the next one.
    leasing: bool,
    /// Ended attempts are being told to the store: others gather in `ended`, and share the next request.
    pub(super) settling: bool,
    pub(super) ended: Vec<(Id, Id, Ending)>,
}

impl Session {
    fn new(worker: String, kinds: Vec<Kind>) -> Self {
        Self { worker, kinds, credits: 0, leasing: false, settling: false, ended: Vec::new() }
    }
}

impl Engine {
    pub(super) fn on_joined(
        &mut self,
        session: SessionId,
        worker: String,
        kinds: Vec<Kind>,
        effects: &mut Vec<Effect>,
    ) {
        if self.draining {
            // It would be given nothing; counted, it would keep a drained scheduler from ending.
            effects.push(Effect::Say { session, message: Say::Drain(Drain {}) });
            return;
        }
        self.sessions.insert(session, Session::new(worker, kinds));
        let welcome = Welcome { lease_duration: Some(duration(self.config.lease())), ..Welcome::default() };
        effects.push(Effect::Say { session, message: Say::Welcome(welcome) });
    }

    pub(super) fn on_credits(&mut self, session: SessionId, credits: &Credits) {
        if let Some(session) = self.sessions.get_mut(&session) {
            session.credits = session.credits.saturating_add(credits.count);
        }
    }

    /// Picks for every worker that has credits and no request under way: like the store's commits, requests grow with
    /// the load instead of growing in number.
    pub(super) fn grant(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        for (id, session) in self.sessions.iter_mut() {
            if session.credits == 0 || session.leasing {
                continue;
            }
            let slots = session.credits.min(BATCH);
            let worker = Worker::of_kinds(&session.kinds, usize::try_from(slots).unwrap_or(1));
            let picked = self.policy.take(&worker, now);
            if picked.is_empty() {
                continue;
            }
            session.credits -= u32::try_from(picked.len()).unwrap_or(slots).min(session.credits);
            let grant = |candidate| Grant {
                candidate,
                token: Id::new(now, &mut self.rng),
                worker: session.worker.clone(),
            };
            let grants = picked.into_iter().map(grant).collect();
            self.leasing += 1;
            session.leasing = true;
            effects.push(Effect::Lease { session: *id, grants, until: now + self.config.lease() });
        }
    }

    /// Hands out what the store leased; what it did not waits no longer, and its credit is free again.
    pub(super) fn on_leased(
        &mut self,
        session: SessionId,
        grants: Vec<Grant>,
        leases: Vec<Lease>,
        until: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        self.leasing = self.leasing.saturating_sub(1);
        let made: std::collections::HashMap<Id, (i32, i32)> = leases
            .iter()
            .filter_map(|lease| lease.task.as_ref())
            .filter_map(|task| Some((task.id.parse().ok()?, (task.attempt, task.max_attempts))))
            .collect();
        let refused = grants.len().saturating_sub(made.len());
        let here = self.sessions.contains_key(&session);
        let mut orphans = Vec::new();
        for Grant { candidate, token, worker } in grants {
            let id = candidate.id;
            let Some(&(attempt, max_attempts)) = made.get(&id) else {
                self.policy.finished(id);
                continue;
            };
            if !here {
                orphans.push((id, token));
            }
            let session = here.then_some(session);
            let settling = if here { Settling::No } else { Settling::End };
            let held = Held { candidate, token, worker, session, until, attempt, max_attempts, settling };
            self.held.insert(id, held);
        }
        if let Some(session) = self.sessions.get_mut(&session) {
            session.leasing = false;
            session.credits = session.credits.saturating_add(u32::try_from(refused).unwrap_or(0));
        }
        Self::release(&orphans, effects);
        if here && !leases.is_empty() {
            effects
                .push(Effect::Say { session, message: Say::Leases(Leases { leases, batches: Vec::new() }) });
        }
    }

    pub(super) fn on_lease_failed(&mut self, session: SessionId, grants: &[Grant]) {
        self.leasing = self.leasing.saturating_sub(1);
        for grant in grants {
            self.policy.returned(grant.candidate.id);
        }
        if let Some(session) = self.sessions.get_mut(&session) {
            session.leasing = false;
            session.credits = session.credits.saturating_add(u32::try_from(grants.len()).unwrap_or(0));
        }
    }

    /// Gives back what a worker held whose stream ended.
    pub(super) fn on_left(&mut self, session: SessionId, effects: &mut Vec<Effect>) {
        let ended = self.sessions.remove(&session).map(|session| session.ended).unwrap_or_default();
        Self::settle(Some(session), ended, effects);
        let mut leases = Vec::new();
        for held in self.held.values_mut().filter(|held| held.session == Some(session)) {
            held.session = None;
            if held.settling == Settling::No {
                held.settling = Settling::End;
                leases.push((held.candidate.id, held.token));
            }
        }
        Self::release(&leases, effects);
    }

    /// Tells the worker, if it is there, to stop an attempt.
    pub(super) fn say_cancel(held: &Held, effects: &mut Vec<Effect>) {
        if let Some(session) = held.session {
            let cancel = Cancel { task_ids: vec![held.candidate.id.to_string()], attempts: Vec::new() };
            effects.push(Effect::Say { session, message: Say::Cancel(cancel) });
        }
    }
}
