//! A worker, written after the page of the protocol: a stream to every scheduler, its credits divided among them, results and
//! heartbeats to whoever runs the shard now, leases that outlive a broken stream for a while.

mod attempts;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::Rng;
use tidemill_kernel::{Id, Shard};
use tidemill_proto::scheduling::v1 as api;
use tidemill_proto::scheduling::v1::work_request::Message as Heard;
use tidemill_proto::scheduling::v1::work_response::Message as Say;
use tidemill_proto::time::length;
use tidemill_proto::types::v1::{Completion, Failure};

use super::plan::{MS, Micros, SECOND};
use super::world::{Happening, World};
use crate::checker::Event as Seen;

/// How often it looks after itself.
const LOOK: Micros = 40 * MS;

/// A worker.
pub(super) struct Hand {
    number: usize,
    pub(super) name: String,
    kinds: Vec<String>,
    pub(super) run: u32,
    is_up: bool,
    pub(super) is_paused: bool,
    pub(super) inbox: Vec<Happening>,
    pub(super) links: BTreeMap<usize, Link>,
    attempts: BTreeMap<Id, Attempt>,
    /// Rises with every message about shards: the latest word counts.
    words: u64,
}

/// Its stream to one scheduler.
#[derive(Debug, Default)]
pub(super) struct Link {
    pub(super) pipe: u64,
    is_welcome: bool,
    is_draining: bool,
    pub(super) credits: u32,
    /// Credits that are asked back, and not yet answered.
    asked_back: u32,
    shards: BTreeSet<u32>,
    word: u64,
    lease: Micros,
    keep: Micros,
    next_beat: Micros,
}

/// An attempt that it runs, or whose result has no outcome yet.
#[derive(Debug)]
struct Attempt {
    task: Id,
    /// The task's group; empty for none.
    group: String,
    node: usize,
    is_running: bool,
    result: Option<Outcome>,
    /// The stream by which its result was sent last.
    sent_on: Option<u64>,
    /// The lease ends then, unless it is renewed.
    until: Micros,
}

/// How it ended.
#[derive(Debug, Clone)]
enum Outcome {
    Completed(Completion),
    Failed(Failure),
    Snoozed(api::Snooze),
}

impl Hand {
    pub(super) fn new(number: usize, of: usize) -> Self {
        // At least one runs everything.
        let kinds: &[&str] = if number > 0 && of > 1 && number % 2 == 1 { &["a"] } else { &["a", "b"] };
        Self {
            number,
            name: String::new(),
            kinds: kinds.iter().map(ToString::to_string).collect(),
            run: 0,
            is_up: false,
            is_paused: false,
            inbox: Vec::new(),
            links: BTreeMap::new(),
            attempts: BTreeMap::new(),
            words: 0,
        }
    }

    pub(super) fn links(&self) -> impl Iterator<Item = (u64, &Link)> {
        self.links.values().map(|link| (link.pipe, link))
    }

    /// Who runs a task's shard, as far as it was told.
    fn owner(&self, task: Id) -> Option<usize> {
        let shard = u32::from(Shard::of_place(task.place()).number());
        let owners = self.links.iter().filter(|(_, link)| link.is_welcome && link.shards.contains(&shard));
        owners.max_by_key(|(_, link)| link.word).map(|(node, _)| *node)
    }

    /// What it names to the owner of these shards.
    fn running(&self, node: usize) -> Vec<api::RunningTask> {
        let named = self.attempts.iter().filter(|(_, attempt)| self.owner(attempt.task) == Some(node));
        named.map(|(token, attempt)| name(*token, attempt)).collect()
    }
}

fn name(token: Id, attempt: &Attempt) -> api::RunningTask {
    api::RunningTask { task_id: attempt.task.to_string(), token: token.to_string() }
}

impl World {
    pub(super) fn start_hand(&mut self, number: usize) {
        let hand = &mut self.hands[number];
        if hand.is_up {
            return;
        }
        hand.run += 1;
        hand.name = format!("w{}.{}", hand.number, hand.run);
        hand.is_up = true;
        let run = hand.run;
        self.after(0, Happening::Look { hand: number, run });
    }

    /// Ends its process at once.
    pub(super) fn end_hand(&mut self, number: usize) {
        let hand = &mut self.hands[number];
        (hand.is_up, hand.is_paused) = (false, false);
        hand.run += 1;
        hand.inbox.clear();
        let pipes: Vec<u64> = std::mem::take(&mut hand.links).into_values().map(|link| link.pipe).collect();
        let tokens: Vec<Id> = std::mem::take(&mut hand.attempts).into_keys().collect();
        tokens.into_iter().for_each(|token| self.stopped(token));
        pipes.into_iter().for_each(|pipe| self.break_pipe(pipe));
    }

    pub(super) fn resume_hand(&mut self, number: usize) {
        if std::mem::take(&mut self.hands[number].is_paused) {
            let inbox = std::mem::take(&mut self.hands[number].inbox);
            // What has run out meanwhile it stops first.
            self.stop_what_ended(number);
            self.catch_up(inbox);
        }
    }

    fn stopped(&mut self, token: Id) {
        let at = self.moment();
        self.history.events.push(Seen::Stopped { token, at });
    }

    /// Leases that were not renewed in time are over.
    fn stop_what_ended(&mut self, number: usize) {
        let now = self.now;
        let over = |(token, attempt): (&Id, &Attempt)| {
            (attempt.is_running && attempt.until <= now).then_some(*token)
        };
        let over: Vec<Id> = self.hands[number].attempts.iter().filter_map(over).collect();
        for token in over {
            self.hands[number].attempts.remove(&token);
            self.stopped(token);
        }
    }

    /// Connects where it is not connected, renews, sends what has ended, gives credits.
    pub(super) fn look(&mut self, number: usize, run: u32) {
        if self.hands[number].run != run {
            return;
        }
        self.stop_what_ended(number);
        for node in 0..self.nodes.len() {
            let is_linked = self.hands[number].links.contains_key(&node);
            if !is_linked && self.is_reachable(node) && self.rng.random_bool(0.3) {
                self.connect(number, node);
            }
        }
        let nodes: Vec<usize> = self.hands[number].links.keys().copied().collect();
        for node in nodes {
            if self.hands[number].links[&node].next_beat <= self.now {
                self.beat(number, node);
            }
            self.close_if_done(number, node);
        }
        self.send_results(number);
        self.give_credits(number);
        let pause = LOOK + self.rng.random_range(0..5 * MS);
        self.after(pause, Happening::Look { hand: number, run });
    }

    fn connect(&mut self, number: usize, node: usize) {
        let pipe = self.open_pipe(number, node);
        let hand = &mut self.hands[number];
        let running = hand.attempts.iter().map(|(token, attempt)| name(*token, attempt)).collect();
        let link =
            Link { pipe, lease: SECOND, keep: SECOND, next_beat: self.now + SECOND, ..Link::default() };
        hand.links.insert(node, link);
        let hello = api::Hello {
            worker: hand.name.clone(),
            kinds: hand.kinds.clone(),
            slots: self.plan.slots,
            running,
            ..api::Hello::default()
        };
        self.send_to_node(pipe, Some(Heard::Hello(hello)));
    }

    /// Renews what a scheduler owns.
    fn beat(&mut self, number: usize, node: usize) {
        let (now, hand) = (self.now, &mut self.hands[number]);
        let running = hand.running(node);
        let Some(link) = hand.links.get_mut(&node) else { return };
        link.next_beat = now + link.lease / 3;
        let (pipe, until) = (link.pipe, now + link.lease);
        for named in &running {
            let token: Id = named.token.parse().unwrap();
            hand.attempts.get_mut(&token).into_iter().for_each(|attempt| attempt.until = until);
        }
        let beat = api::Heartbeat { running, cpu: -1.0, ..api::Heartbeat::default() };
        self.send_to_node(pipe, Some(Heard::Heartbeat(beat)));
    }

    /// A scheduler that stops needs nothing more when nothing is left that only it can hear.
    fn close_if_done(&mut self, number: usize, node: usize) {
        let hand = &self.hands[number];
        let link = &hand.links[&node];
        let mine = |attempt: &Attempt| hand.owner(attempt.task) == Some(node);
        if link.is_draining && link.asked_back == 0 && !hand.attempts.values().any(mine) {
            let pipe = link.pipe;
            self.hands[number].links.remove(&node);
            self.send_to_node(pipe, None);
        }
    }

    fn send_results(&mut self, number: usize) {
        let hand = &self.hands[number];
        let mut ready: BTreeMap<usize, Vec<Id>> = BTreeMap::new();
        for (token, attempt) in hand.attempts.iter().filter(|(_, attempt)| attempt.result.is_some()) {
            let sent = attempt.sent_on.is_some_and(|pipe| hand.links.values().any(|link| link.pipe == pipe));
            if let (false, Some(node)) = (sent, hand.owner(attempt.task)) {
                ready.entry(node).or_default().push(*token);
            }
        }
        for (node, tokens) in ready {
            let mut results = api::Results::default();
            let hand = &mut self.hands[number];
            let pipe = hand.links[&node].pipe;
            for token in tokens {
                let Some(attempt) = hand.attempts.get_mut(&token) else { continue };
                attempt.sent_on = Some(pipe);
                match attempt.result.clone() {
                    Some(Outcome::Completed(completion)) => results.completions.push(completion),
                    Some(Outcome::Failed(failure)) => results.failures.push(failure),
                    Some(Outcome::Snoozed(snooze)) => results.snoozes.push(snooze),
                    None => {}
                }
            }
            if !self.plan.is_smooth && self.rng.random_bool(0.02) {
                // The same once more: it counts once however often it is sent.
                self.send_to_node(pipe, Some(Heard::Results(results.clone())));
            }
            self.send_to_node(pipe, Some(Heard::Results(results)));
        }
    }

    /// Divides its slots among the schedulers, and takes back where one has more than its part.
    fn give_credits(&mut self, number: usize) {
        let slots = self.plan.slots;
        let hand = &mut self.hands[number];
        let runs = |node: Option<usize>| {
            let of = |attempt: &&Attempt| attempt.is_running && node.is_none_or(|node| attempt.node == node);
            u32::try_from(hand.attempts.values().filter(of).count()).unwrap()
        };
        let open = |link: &Link| link.is_welcome && !link.is_draining;
        let links = u32::try_from(hand.links.values().filter(|link| open(link)).count()).unwrap().max(1);
        let mut total = runs(None) + hand.links.values().map(|link| link.credits).sum::<u32>();
        let mut messages = Vec::new();
        let running: BTreeMap<usize, u32> =
            hand.links.keys().map(|node| (*node, runs(Some(*node)))).collect();
        for (node, link) in hand.links.iter_mut().filter(|(_, link)| link.is_welcome) {
            let share = if link.is_draining { 0 } else { slots / links };
            let has = link.credits + running[node];
            if has < share && total < slots {
                let count = (share - has).min(slots - total);
                (link.credits, total) = (link.credits + count, total + count);
                messages.push((link.pipe, Heard::Credits(api::Credits { count })));
            } else if has > share && link.credits > 0 && link.asked_back == 0 {
                let count = (has - share).min(link.credits);
                link.asked_back = count;
                messages.push((link.pipe, Heard::Withdraw(api::Withdraw { count })));
            }
        }
        messages.into_iter().for_each(|(pipe, message)| self.send_to_node(pipe, Some(message)));
    }

    pub(super) fn at_hand(&mut self, pipe: u64, message: Say) {
        let Some((number, node)) = self.pipe(pipe).map(|pipe| (pipe.hand, pipe.node)) else { return };
        let now = self.now;
        let hand = &mut self.hands[number];
        hand.words += 1;
        let word = hand.words;
        let Some(link) = hand.links.get_mut(&node).filter(|link| link.pipe == pipe) else { return };
        match message {
            Say::Welcome(welcome) => {
                link.is_welcome = true;
                let micros = |length: Duration| Micros::try_from(length.as_micros()).unwrap();
                link.lease = welcome.lease_duration.as_ref().map_or(0, |lease| micros(length(lease)));
                link.keep = welcome.keep_duration.as_ref().map_or(0, |keep| micros(length(keep)));
                link.next_beat = now + link.lease / 3;
            }
            Say::Shards(shards) => {
                let shards: BTreeSet<u32> = shards.numbers.into_iter().collect();
                let gained = shards.difference(&link.shards).next().is_some();
                (link.shards, link.word) = (shards, word);
                if gained {
                    self.beat(number, node);
                }
            }
            Say::Leases(leases) => {
                link.credits -= u32::try_from(leases.leases.len()).unwrap();
                let until = now + link.lease;
                leases.leases.into_iter().for_each(|lease| self.begin_attempt(number, node, lease, until));
            }
            Say::Outcomes(outcomes) => self.outcomes(number, outcomes.outcomes),
            Say::Cancel(cancel) => self.cancel(number, &cancel),
            Say::Drain(_) => link.is_draining = true,
            Say::Withdrawn(back) => {
                link.asked_back = 0;
                link.credits -= back.count;
            }
        }
    }

    /// A stream broke: its leases go on for a while.
    pub(super) fn broken_at_hand(&mut self, number: usize, run: u32, pipe: u64) {
        let hand = &mut self.hands[number];
        let link = hand.links.iter().find(|(_, link)| link.pipe == pipe).map(|(node, _)| *node);
        let Some((node, true)) = link.map(|node| (node, hand.run == run)) else { return };
        let owned: Vec<Id> = hand
            .attempts
            .iter()
            .filter(|(_, attempt)| hand.owner(attempt.task) == Some(node))
            .map(|(token, _)| *token)
            .collect();
        let Some(link) = hand.links.remove(&node) else { return };
        for token in owned {
            let attempt = hand.attempts.get_mut(&token);
            attempt.into_iter().for_each(|attempt| attempt.until = attempt.until.min(self.now + link.keep));
        }
    }
}
