//! Ends of attempts: results as workers send them, leases that ran out; what follows each.

use std::time::Duration;

use tidemill_kernel::{Id, Timestamp};
use tidemill_policy::{Failure, Retry, after_failure};
use tidemill_proto::scheduling::v1::work_response::Message as Say;
use tidemill_proto::scheduling::v1::{Outcome, Outcomes, Results};
use tidemill_proto::time::to_micros;
use tidemill_proto::types::v1::Completion;

use super::{Effect, Engine, SessionId, Settling, Waiting, ids};

/// The most attempts that ended of one request to the store.
const REQUEST: usize = 1_000;
/// When a lease is looked at again that the store says has not ended.
const RECHECK: Duration = Duration::from_secs(1);

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ending {
    /// With a result.
    Completed(Box<Completion>),
    /// With an error; the next attempt may start then, or the task is dead.
    Failed { error: String, retry_at: Option<Timestamp>, only_if_expired: bool },
}

/// Attempts that ended together, to be told to the store in one step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settlement {
    /// Whose results they are; none for leases that ran out.
    pub(crate) session: Option<SessionId>,
    /// Task, token, ending.
    pub(crate) endings: Vec<(Id, Id, Ending)>,
}

impl Engine {
    pub(super) fn on_results(
        &mut self,
        session: SessionId,
        results: Results,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let mut endings = Vec::new();
        let mut refused = Vec::new();
        for completion in results.completions {
            match ids(&completion).filter(|(task, token)| self.begin_ending(*task, *token).is_some()) {
                Some((task, token)) => endings.push((task, token, Ending::Completed(Box::new(completion)))),
                None => refused.push(completion.task_id),
            }
        }
        for failure in results.failures {
            let lease = failure.task_id.parse::<Id>().ok().zip(failure.token.parse::<Id>().ok());
            let not_before = failure.not_before.as_ref().map(|time| Timestamp::from_micros(to_micros(time)));
            let wait = not_before.map(|moment| moment.since(now));
            match lease.and_then(|(task, token)| Some((task, token, self.begin_ending(task, token)?))) {
                Some((task, token, attempts)) => {
                    let retry_at = self.retry_at(attempts, failure.retryable, wait, now);
                    let ending = Ending::Failed { error: failure.error, retry_at, only_if_expired: false };
                    endings.push((task, token, ending));
                }
                None => refused.push(failure.task_id),
            }
        }
        match self.sessions.get_mut(&session) {
            Some(from) => from.ended.append(&mut endings),
            None => Self::settle(Some(session), endings, effects),
        }
        self.settle_next(session, effects);
        if !refused.is_empty() {
            let outcomes =
                refused.into_iter().map(|task_id| Outcome { task_id, ..Outcome::default() }).collect();
            effects.push(Effect::Say { session, message: Say::Outcomes(Outcomes { outcomes }) });
        }
    }

    /// Leases that ran out are taken back; the attempt counts as failed.
    pub(super) fn expire(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let over = self.held.values().filter(|held| held.until <= now && held.settling == Settling::No);
        let over: Vec<_> = over.map(|held| (held.candidate.id, held.token, held.worker.clone())).collect();
        let mut endings = Vec::new();
        for (task, token, worker) in over {
            let Some(attempts) = self.begin(Settling::Expiry, task, token) else { continue };
            let error =
                format!("the lease ended: worker `{worker}` sent neither a result nor a heartbeat in time");
            let retry_at = self.retry_at(attempts, true, None, now);
            endings.push((task, token, Ending::Failed { error, retry_at, only_if_expired: true }));
        }
        Self::settle(None, endings, effects);
    }

    /// Tells the store what of a worker's attempts has ended, unless it is being told already: what ends meanwhile
    /// goes together into the next request.
    fn settle_next(&mut self, session: SessionId, effects: &mut Vec<Effect>) {
        let Some(from) = self.sessions.get_mut(&session).filter(|from| !from.settling) else { return };
        if from.ended.is_empty() {
            return;
        }
        from.settling = true;
        let rest = from.ended.split_off(from.ended.len().min(REQUEST));
        let endings = std::mem::replace(&mut from.ended, rest);
        effects.push(Effect::Settle(Settlement { session: Some(session), endings }));
    }

    /// The store has answered: the next endings may go.
    fn settled(&mut self, session: SessionId, effects: &mut Vec<Effect>) {
        if let Some(from) = self.sessions.get_mut(&session) {
            from.settling = false;
        }
        self.settle_next(session, effects);
    }

    /// Tells the store of all of them at once.
    pub(super) fn settle(
        session: Option<SessionId>,
        mut endings: Vec<(Id, Id, Ending)>,
        effects: &mut Vec<Effect>,
    ) {
        while !endings.is_empty() {
            let rest = endings.split_off(endings.len().min(REQUEST));
            effects.push(Effect::Settle(Settlement { session, endings }));
            endings = rest;
        }
    }

    /// Marks a held task as ending with a result and returns its attempts; none under another token, or when a result is
    /// being told already.
    fn begin_ending(&mut self, task: Id, token: Id) -> Option<(u32, u32)> {
        self.begin(Settling::End, task, token)
    }

    fn begin(&mut self, settling: Settling, task: Id, token: Id) -> Option<(u32, u32)> {
        let held = self.held.get_mut(&task);
        let held = held.filter(|held| held.token == token && held.settling != Settling::End)?;
        held.settling = settling;
        let count = |number: i32| u32::try_from(number).unwrap_or(0);
        Some((count(held.attempt), count(held.max_attempts)))
    }

    fn retry_at(
        &mut self,
        (attempt, max_attempts): (u32, u32),
        retryable: bool,
        retry_after: Option<Duration>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let failure = Failure { attempt, max_attempts, retryable, retry_after };
        match after_failure(&failure, &self.backoff, now, &mut self.rng) {
            Retry::At(moment) => Some(moment),
            Retry::Dead => None,
        }
    }

    pub(super) fn on_settled(
        &mut self,
        settlement: Settlement,
        accepted: &[bool],
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let mut outcomes = Vec::new();
        let mut follow_ups = false;
        for (index, (task, token, ending)) in settlement.endings.into_iter().enumerate() {
            let accepted = accepted.get(index).copied().unwrap_or(false);
            outcomes.push(Outcome { task_id: task.to_string(), accepted, moved: false });
            let expired = matches!(ending, Ending::Failed { only_if_expired: true, .. });
            if expired && !accepted && self.keep(task, token, now) {
                continue;
            }
            let Some(held) = self.let_go(task, token) else { continue };
            self.policy.finished(task);
            if expired {
                Self::say_cancel(&held, effects);
            }
            match ending {
                // Also when it was refused: perhaps the answer to an earlier try was lost. If the task does not wait
                // in the store, the store will not lease it.
                Ending::Failed { retry_at: Some(run_at), .. } => {
                    self.admit(Waiting { candidate: held.candidate, run_at }, now);
                }
                Ending::Completed(completion) => follow_ups |= accepted && !completion.follow_ups.is_empty(),
                Ending::Failed { .. } => {}
            }
        }
        if let Some(session) = settlement.session {
            effects.push(Effect::Say { session, message: Say::Outcomes(Outcomes { outcomes }) });
            self.settled(session, effects);
        }
        if follow_ups {
            self.read_new(effects, now);
        }
    }

    /// Keeps a lease whose end the store does not see yet: a renewal was under way. Its worker's next heartbeat tells
    /// whether it is lost; without one it is taken back at a later try. False if no worker has it.
    fn keep(&mut self, task: Id, token: Id, now: Timestamp) -> bool {
        let Some(held) = self.held.get_mut(&task).filter(|held| held.token == token) else { return false };
        if held.settling == Settling::End {
            return true;
        }
        held.settling = Settling::No;
        held.until = held.until.max(now + RECHECK);
        held.session.is_some_and(|session| self.sessions.contains_key(&session))
    }

    /// The store did not take the endings: the leases stand until they run out, and the work is done again then.
    pub(super) fn on_settle_failed(&mut self, settlement: Settlement, effects: &mut Vec<Effect>) {
        for (task, token, _) in &settlement.endings {
            if let Some(held) = self.held.get_mut(task).filter(|held| held.token == *token) {
                held.settling = Settling::No;
                // Nobody renews it any more: its worker has forgotten it.
                held.session = None;
            }
        }
        if let Some(session) = settlement.session {
            let refused =
                |(task, _, _): &(Id, Id, Ending)| Outcome { task_id: task.to_string(), ..Outcome::default() };
            let outcomes = settlement.endings.iter().map(refused).collect();
            effects.push(Effect::Say { session, message: Say::Outcomes(Outcomes { outcomes }) });
            self.settled(session, effects);
        }
    }
}
