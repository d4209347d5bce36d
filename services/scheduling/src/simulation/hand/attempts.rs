//! A worker's attempts: begun, ended one way or another, answered, stopped.

use rand::Rng;
use tidemill_kernel::Id;
use tidemill_proto::scheduling::v1 as api;
use tidemill_proto::time::from_micros;
use tidemill_proto::types::v1::{Completion, Failure, Lease, NewTask};

use super::super::calls::wall;
use super::super::client::group_name;
use super::super::plan::{GROUPS, Micros, SECOND};
use super::super::world::{Happening, World};
use super::{Attempt, Hand, Outcome, name};
use crate::checker::{Ending, Event as Seen, Queue};

impl World {
    /// Begins an attempt, and draws how it will end.
    pub(super) fn begin_attempt(&mut self, number: usize, node: usize, lease: Lease, until: Micros) {
        let task = lease.task.unwrap();
        let (id, token): (Id, Id) = (task.id.parse().unwrap(), lease.token.parse().unwrap());
        self.say(|| {
            format!("{} begins {id} under {token}, attempt {}", self.hands[number].name, task.attempt)
        });
        self.history.events.push(Seen::Started {
            task: id,
            token,
            queue: Queue { tenant: task.tenant.clone(), priority: task.priority, kind: task.kind.clone() },
            attempt: u32::try_from(task.attempt).unwrap(),
            worker: self.hands[number].name.clone(),
            scheduler: self.nodes[node].name.clone(),
            at: self.moment(),
        });
        let attempt = Attempt {
            task: id,
            group: task.group,
            node,
            is_running: true,
            result: None,
            sent_on: None,
            until,
        };
        self.hands[number].attempts.insert(token, attempt);
        let work = if self.rng.random_bool(0.97) || self.plan.is_smooth {
            self.rng.random_range(0..=self.plan.work)
        } else {
            self.rng.random_range(0..4 * SECOND)
        };
        let run = self.hands[number].run;
        self.after(work, Happening::Done { hand: number, run, token });
    }

    /// An attempt has ended, unless it was stopped.
    pub(in crate::simulation) fn done(&mut self, number: usize, run: u32, token: Id) {
        let hand = &self.hands[number];
        let known = hand.run == run && hand.attempts.get(&token).is_some_and(|attempt| attempt.is_running);
        if !known {
            return;
        }
        self.stopped(token);
        let chance = if self.plan.is_smooth { 0 } else { self.rng.random_range(0..100) };
        let task_id = hand_task(&self.hands[number], token);
        let (task, token_text) = (task_id.to_string(), token.to_string());
        let failure = |retryable, kind: &str| Failure {
            task_id: task.clone(),
            token: token_text.clone(),
            error: "no".into(),
            retryable,
            kind: kind.into(),
            ..Failure::default()
        };
        let result = match chance {
            0..82 => {
                let follow_ups = if chance > 72 { self.follow_ups(number, token) } else { Vec::new() };
                let count = u32::try_from(follow_ups.len()).unwrap();
                let completion = Completion {
                    task_id: task.clone(),
                    token: token_text.clone(),
                    result: token_text.clone(),
                    follow_ups,
                    analysis: None,
                };
                (Ending::Completed(count), Outcome::Completed(completion))
            }
            82..91 => (Ending::Failed, Outcome::Failed(failure(true, "passing"))),
            91..93 => (Ending::Failed, Outcome::Failed(failure(false, ""))),
            93 => (Ending::Failed, Outcome::Failed(failure(true, "final"))),
            94..98 => {
                let until = wall(self.now + self.rng.random_range(0..SECOND), 0);
                let (until, reason) = (Some(from_micros(until.as_micros())), "busy".to_owned());
                let snooze = api::Snooze { task_id: task.clone(), token: token_text.clone(), until, reason };
                (Ending::Snoozed, Outcome::Snoozed(snooze))
            }
            _ => {
                // It forgets the task: no result, and no word of it any more.
                self.hands[number].attempts.remove(&token);
                return;
            }
        };
        self.say(|| format!("{} ends {token}: {:?}", self.hands[number].name, result.0));
        self.history.events.push(Seen::Sent { token, ending: result.0 });
        if let Some(attempt) = self.hands[number].attempts.get_mut(&token) {
            (attempt.is_running, attempt.result) = (false, Some(result.1));
        }
        if self.plan.is_smooth {
            self.send_results(number);
            self.give_credits(number);
        }
    }

    /// What follows from an attempt, in its task's group, in another or in none.
    fn follow_ups(&mut self, number: usize, token: Id) -> Vec<NewTask> {
        let group = match self.rng.random_range(0..4) {
            0 => String::new(),
            1 => group_name(self.rng.random_range(0..GROUPS)),
            _ => self.hands[number].attempts[&token].group.clone(),
        };
        if !group.is_empty() {
            self.history.events.push(Seen::Follows { token, group: group.clone() });
        }
        let follow = NewTask { kind: "a".into(), payload: token.to_string(), group, ..NewTask::default() };
        vec![follow; self.rng.random_range(1..=2)]
    }

    pub(super) fn outcomes(&mut self, number: usize, outcomes: Vec<api::Outcome>) {
        let at = self.moment();
        for outcome in outcomes {
            let task: Id = outcome.task_id.parse().unwrap();
            let attempts = &mut self.hands[number].attempts;
            // Outcomes name the task alone: of its attempts here, those whose results were sent.
            let sent = attempts.iter_mut().filter(|(_, one)| one.task == task && one.sent_on.is_some());
            let mut sent: Vec<(Id, &mut Attempt)> = sent.map(|(token, attempt)| (*token, attempt)).collect();
            if outcome.moved && !outcome.accepted {
                sent.iter_mut().for_each(|(_, attempt)| attempt.sent_on = None);
                continue;
            }
            let tokens: Vec<Id> = sent.into_iter().map(|(token, _)| token).collect();
            tokens.iter().for_each(|token| _ = attempts.remove(token));
            if let [token] = tokens[..] {
                self.history.events.push(Seen::Answered { token, accepted: outcome.accepted, at });
            }
        }
    }

    pub(super) fn cancel(&mut self, number: usize, cancel: &api::Cancel) {
        let attempts = &self.hands[number].attempts;
        let named = |(token, attempt): (&Id, &Attempt)| {
            let one = name(*token, attempt);
            let meant = cancel.attempts.contains(&one) || cancel.task_ids.contains(&one.task_id);
            meant.then_some((*token, attempt.is_running))
        };
        let over: Vec<(Id, bool)> = attempts.iter().filter_map(named).collect();
        for (token, was_running) in over {
            self.hands[number].attempts.remove(&token);
            if was_running {
                self.stopped(token);
            }
            self.say(|| format!("{} cancels {token}", self.hands[number].name));
        }
    }
}

fn hand_task(hand: &Hand, token: Id) -> Id {
    hand.attempts[&token].task
}
