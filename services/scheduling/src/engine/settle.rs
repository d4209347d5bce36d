//! Ends of attempts: results as workers send them, leases that ran out; what follows each.

use std::collections::VecDeque;
use std::time::Duration;

use tidemill_kernel::backoff::Backoff;
use tidemill_kernel::{Id, Shard, Timestamp};
use tidemill_policy::{Failure, Retry, after_failure};
use tidemill_proto::scheduling::v1 as api;
use tidemill_proto::scheduling::v1::Outcome;
use tidemill_proto::scheduling::v1::work_response::Message as Say;
use tidemill_proto::storage::v1 as store;
use tidemill_proto::time::{from_micros, length, to_micros};
use tidemill_proto::types::v1::{Completion, RetryPolicy, Task};

use super::held::lease;
use super::{Effect, Engine, Fence, SessionId};
use crate::dependencies;

/// The most attempts that ended of one request to the store.
const REQUEST: usize = 2_000;
/// How many requests of one worker's ends are under way at once.
const AT_ONCE: u32 = 2;

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ending {
    /// With a result.
    Completed(Box<Completion>),
    /// Without one; the next attempt may start then, or the task is dead.
    Failed { error: String, retry_at: Option<Timestamp> },
}

/// An attempt that ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ended {
    pub(crate) task: Id,
    pub(crate) token: Id,
    pub(crate) attempt: store::Attempt,
    pub(crate) ending: Ending,
}

/// Attempts that ended together, to be told to the store in one step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settlement {
    /// Whose results they are; none for leases that ran out.
    pub(crate) session: Option<SessionId>,
    pub(crate) fence: Fence,
    pub(crate) endings: Vec<Ended>,
}

impl Engine {
    pub(super) fn on_results(
        &mut self,
        session: SessionId,
        results: api::Results,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let mut endings = Vec::new();
        let mut refused = Vec::new();
        for completion in results.completions {
            match self.begin_ending(&completion.task_id, &completion.token) {
                Some((task, token, attempt)) => {
                    let ending = completed(completion);
                    endings.push(Ended { task, token, attempt, ending });
                }
                None => refused.push(self.refusal(completion.task_id)),
            }
        }
        for failure in results.failures {
            let begun = self.begin_ending(&failure.task_id, &failure.token);
            let Some((task, token, attempt)) = begun else {
                refused.push(self.refusal(failure.task_id));
                continue;
            };
            let not_before = failure.not_before.as_ref().map(|time| Timestamp::from_micros(to_micros(time)));
            let wait = not_before.map(|moment| moment.since(now));
            let retryable = failure.retryable && !self.is_final(task, &failure.kind);
            let retry_at = self.retry_at(task, retryable, wait, now);
            let error = told(failure.kind, failure.error);
            let ending = Ending::Failed { error, retry_at };
            endings.push(Ended { task, token, attempt, ending });
        }
        for snooze in results.snoozes {
            let Some((task, token, mut attempt)) = self.begin_ending(&snooze.task_id, &snooze.token) else {
                refused.push(self.refusal(snooze.task_id));
                continue;
            };
            attempt.number = attempt.number.saturating_sub(1);
            let until = snooze.until.as_ref().map_or(now, |time| Timestamp::from_micros(to_micros(time)));
            let ending = Ending::Failed { error: snooze.reason, retry_at: Some(until.max(now)) };
            endings.push(Ended { task, token, attempt, ending });
        }
        match self.sessions.get_mut(&session) {
            Some(from) => from.ended.extend(endings),
            None => self.settle(Some(session), endings, effects),
        }
        self.settle_next(session, effects);
        say_outcomes(Some(session), refused, effects);
    }

    /// The answer to a result of a lease that is not held here.
    fn refusal(&self, task_id: String) -> Outcome {
        let here = |id: Id| self.shards.epoch(Shard::of_place(id.place())).is_some();
        let moved = task_id.parse().is_ok_and(|id| !here(id));
        Outcome { task_id, accepted: false, moved }
    }

    /// Leases that ran out are taken back; the attempt counts as failed. A task that was given to several workers which were
    /// all lost is not given to another.
    pub(super) fn expire(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let over =
            self.held.values().filter(|held| held.until <= now && !held.ending && held.waiting.is_none());
        let mut over: Vec<_> =
            over.map(|held| (held.candidate.id, held.token, held.worker.clone(), held.is_lost())).collect();
        // The same events, the same decisions: no order of a hash map gets out.
        over.sort_unstable_by_key(|(task, ..)| *task);
        let mut endings = Vec::new();
        for (task, token, worker, is_lost) in over {
            let Some(attempt) = self.begin(task, token) else { continue };
            let mut error =
                format!("the lease ended: worker `{worker}` sent neither a result nor a heartbeat in time");
            let mut retryable = true;
            if is_lost {
                let losses = self.losses.entry(task).or_default();
                *losses += 1;
                if *losses >= self.config.quarantine_after {
                    retryable = false;
                    error = format!(
                        "in quarantine: {losses} workers were lost while they ran it, `{worker}` the last; find out \
                         what it does to them before you retry it"
                    );
                }
            }
            let retry_at = self.retry_at(task, retryable, None, now);
            endings.push(Ended { task, token, attempt, ending: Ending::Failed { error, retry_at } });
        }
        self.settle(None, endings, effects);
    }

    /// Gives up what was not started by its deadline.
    pub(super) fn drop_late(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let mut endings = Vec::new();
        for late in self.policy.expired(now) {
            self.bodies.take(late.id);
            let attempt = store::Attempt {
                task_id: late.id.to_string(),
                number: 0,
                worker: "scheduler".to_owned(),
                started_at: Some(from_micros(now.as_micros())),
                recorded: self.records.may_be_there(late.id),
            };
            let error =
                "dropped: it was not started by its deadline; submit it again with a later one".to_owned();
            let ending = Ending::Failed { error, retry_at: None };
            endings.push(Ended { task: late.id, token: late.id, attempt, ending });
        }
        self.settle(None, endings, effects);
    }

    /// Tells the store what of a worker's attempts has ended, unless enough is being told: what ends meanwhile goes
    /// together into the next request.
    fn settle_next(&mut self, session: SessionId, effects: &mut Vec<Effect>) {
        loop {
            let Some(from) = self.sessions.get_mut(&session) else { return };
            // A small request waits for the one under way, so that requests grow with the load.
            let enough = from.settling == 0 || (from.settling < AT_ONCE && from.ended.len() >= REQUEST / 4);
            if from.ended.is_empty() || !enough {
                return;
            }
            from.settling += 1;
            let count = from.ended.len().min(REQUEST);
            let endings = from.ended.drain(..count).collect();
            self.settle(Some(session), endings, effects);
        }
    }

    /// The store has answered: the next endings may go.
    fn settled(&mut self, session: SessionId, effects: &mut Vec<Effect>) {
        if let Some(from) = self.sessions.get_mut(&session) {
            from.settling = from.settling.saturating_sub(1);
        }
        self.settle_next(session, effects);
    }

    /// Takes back what was to be told of a cancelled task: its attempt counts no more, also if it is put back.
    pub(super) fn unsettle_task(&mut self, task: Id) {
        self.sessions.values_mut().for_each(|session| session.ended.retain(|ended| ended.task != task));
    }

    /// Takes back what was to be told of a shard that another scheduler runs: its workers tell that one.
    pub(super) fn unsettle_shard(&mut self, shard: Shard, effects: &mut Vec<Effect>) {
        let here = |ended: &Ended| Shard::of_place(ended.task.place()) != shard;
        for (id, session) in &mut self.sessions {
            let (stay, gone): (VecDeque<_>, VecDeque<_>) = session.ended.drain(..).partition(here);
            session.ended = stay;
            let moved =
                |ended: Ended| Outcome { task_id: ended.attempt.task_id, accepted: false, moved: true };
            say_outcomes(Some(*id), gone.into_iter().map(moved).collect(), effects);
        }
    }

    /// Tells the store of all of them at once, under the epochs of their shards, which are all run here.
    pub(super) fn settle(
        &mut self,
        session: Option<SessionId>,
        mut endings: Vec<Ended>,
        effects: &mut Vec<Effect>,
    ) {
        while !endings.is_empty() {
            let rest = endings.split_off(endings.len().min(REQUEST));
            let fence = self.shards.fence(endings.iter().map(|ended| Shard::of_place(ended.task.place())));
            effects.push(Effect::Settle(Settlement { session, fence, endings }));
            endings = rest;
        }
    }

    /// Marks a held task as ending; none under another token, or when an end is being told already.
    fn begin_ending(&mut self, task: &str, token: &str) -> Option<(Id, Id, store::Attempt)> {
        let (task, token) = lease(task, token)?;
        Some((task, token, self.begin(task, token)?))
    }

    fn begin(&mut self, task: Id, token: Id) -> Option<store::Attempt> {
        let held = self.held.get_mut(&task).filter(|held| held.token == token && !held.ending)?;
        held.ending = true;
        Some(held.attempt())
    }

    /// Whether the task says that no retry mends errors of this kind.
    fn is_final(&self, task: Id, kind: &str) -> bool {
        let retry = self.held.get(&task).and_then(|held| held.retry.as_deref());
        retry.is_some_and(|retry| retry.final_kinds.iter().any(|last| last == kind))
    }

    fn retry_at(
        &mut self,
        task: Id,
        retryable: bool,
        retry_after: Option<Duration>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let held = self.held.get(&task)?;
        let (attempt, max_attempts) = (held.attempt, held.max_attempts);
        let failure = Failure { attempt, max_attempts, retryable, retry_after };
        let backoff = held.retry.as_deref().map_or_else(|| self.backoff.clone(), backoff);
        match after_failure(&failure, &backoff, now, &mut self.rng) {
            Retry::At(moment) => Some(moment),
            Retry::Dead => None,
        }
    }

    pub(super) fn on_settled(
        &mut self,
        settlement: Settlement,
        accepted: &[bool],
        follow_ups: Vec<Task>,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let mut outcomes = Vec::with_capacity(settlement.endings.len());
        for (index, ended) in settlement.endings.into_iter().enumerate() {
            let accepted = accepted.get(index).copied().unwrap_or(false);
            let is_over = accepted && !matches!(ended.ending, Ending::Failed { retry_at: Some(_), .. });
            self.touch(ended.task);
            let held = self.let_go(ended.task, ended.token);
            if held.is_some() || !self.is_at(&settlement.fence, ended.task) {
                outcomes.push(Outcome { task_id: ended.attempt.task_id, accepted, moved: false });
            }
            let Some(held) = held else {
                let has_succeeded = accepted && matches!(ended.ending, Ending::Completed(_));
                if has_succeeded || (is_over && !self.is_anew(ended.task)) {
                    self.on_cancelled(ended.task, effects);
                } else if is_over || self.dependents.has(ended.task) {
                    // It was put back while this was on its way: before the store took this, or after that.
                    self.read_again(vec![ended.task], effects);
                }
                continue;
            };
            let again = accepted && matches!(ended.ending, Ending::Failed { retry_at: Some(_), .. });
            if again {
                // It goes on holding its order key.
                self.policy.postponed(ended.task);
            } else {
                self.policy.finished(ended.task);
            }
            if settlement.session.is_none() {
                self.stop(&held, effects);
            }
            match ended.ending {
                Ending::Failed { retry_at: Some(run_at), .. } if accepted => {
                    self.wait_again(held.candidate, run_at, now);
                }
                ending => {
                    self.dependents.on_group_end(ended.task, &held.group);
                    if accepted && matches!(ending, Ending::Completed(_)) {
                        self.dependents.on_end(ended.task, true);
                    }
                    self.forget_task(ended.task);
                }
            }
        }
        say_outcomes(settlement.session, outcomes, effects);
        if let Some(session) = settlement.session {
            self.settled(session, effects);
        }
        self.on_appended(follow_ups, now, effects);
    }

    /// Whether a task is in memory for another reason than an end that is being told of it, beside which it is not held.
    fn is_anew(&self, task: Id) -> bool {
        let is_kept = self.is_kept(task) && !self.dependents.is_given_up(task);
        is_kept || self.policy.waits(task) || self.policy.runs(task)
    }

    /// Whether a task's shard is still run here as it was when this was decided. If a lease is gone in spite of that, it was
    /// cancelled, and its worker told so: an outcome, which names the task alone, could be taken for that of the next attempt.
    fn is_at(&self, fence: &Fence, task: Id) -> bool {
        let shard = Shard::of_place(task.place());
        self.shards.epoch(shard).is_some_and(|epoch| fence.contains(&(shard, epoch)))
    }

    /// The store did not take the endings: the leases stand until they run out, and the work is done again then. Where a shard
    /// was lost meanwhile, its part was what the store refused: the rest is told once more, without it.
    pub(super) fn on_settle_failed(&mut self, settlement: Settlement, effects: &mut Vec<Effect>) {
        let Settlement { session, fence, endings } = settlement;
        let (mut here, moved): (Vec<Ended>, Vec<Ended>) =
            endings.into_iter().partition(|ended| self.is_at(&fence, ended.task));
        here.retain(|ended| self.held.get(&ended.task).is_some_and(|held| held.token == ended.token));
        // Whoever runs the shard by now, this scheduler again or another, is told once more.
        let moved = moved.into_iter().map(|ended| Outcome {
            task_id: ended.attempt.task_id,
            accepted: false,
            moved: true,
        });
        let mut outcomes: Vec<Outcome> = moved.collect();
        if !outcomes.is_empty() && !here.is_empty() {
            say_outcomes(session, outcomes, effects);
            self.settle(session, here, effects);
            return;
        }
        for ended in here {
            let Some(held) = self.held.get_mut(&ended.task) else { continue };
            held.ending = false;
            // Nobody renews it any more: its worker has forgotten it.
            (held.session, held.unheard) = (None, true);
            outcomes.push(self.refusal(ended.attempt.task_id));
        }
        say_outcomes(session, outcomes, effects);
        if let Some(session) = session {
            self.settled(session, effects);
        }
    }
}

/// How an attempt with a result ended. Follow-ups that would wait for each other for ever are its fault.
fn completed(completion: Completion) -> Ending {
    match dependencies::outside(&completion.follow_ups) {
        Ok(_) => Ending::Completed(Box::new(completion)),
        Err((field, rule)) => {
            let field = field.replacen("tasks", "follow_ups", 1);
            Ending::Failed { error: format!("{field} {rule}"), retry_at: None }
        }
    }
}

fn say_outcomes(session: Option<SessionId>, outcomes: Vec<Outcome>, effects: &mut Vec<Effect>) {
    if let Some(session) = session.filter(|_| !outcomes.is_empty()) {
        effects.push(Effect::Say { session, message: Say::Outcomes(api::Outcomes { outcomes }) });
    }
}

/// An error as it is kept: the kind that the worker named goes before it, so that tasks are found by it.
fn told(kind: String, error: String) -> String {
    let is_told = kind.is_empty() || error.strip_prefix(&kind).is_some_and(|rest| rest.starts_with(": "));
    if is_told { error } else { format!("{kind}: {error}") }
}

/// A task's own way of being tried again.
fn backoff(policy: &RetryPolicy) -> Backoff {
    let standard = Backoff::default();
    Backoff {
        base: policy.initial.as_ref().map_or(standard.base, length),
        cap: policy.maximum.as_ref().map_or(standard.cap, length),
        ..standard
    }
}
