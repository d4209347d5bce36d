//! The attempts of a pool: leased, running, ended and not yet answered.

use std::collections::hash_map::Entry;

use tidemill_kernel::{Id, Timestamp};
use tidemill_proto::scheduling::v1::work_request::Message as Say;
use tidemill_proto::scheduling::v1::{Cancel, CloseKey, Heartbeat, Leases, Outcome, Progress, RunningTask};
use tidemill_proto::time::from_micros;
use tokio::task::AbortHandle;
use tokio::time::{Duration, Instant};
use tracing::{debug, warn};

use super::link::Link;
use super::{Effect, Job, LinkId, Pool, Ticket};
use crate::handler::{Done, Failed};
use crate::outbox::Outbox;
use crate::report::{News, Report};

/// The longest note and the largest checkpoint, in bytes.
const NOTE: usize = 1 << 10;
const CHECKPOINT: usize = 64 << 10;

/// A leased attempt.
#[derive(Debug)]
pub(super) struct Held {
    serial: u64,
    pub(super) token: String,
    /// Who leased it.
    link: LinkId,
    shard: u32,
    /// Nobody may be relied on to keep it for this worker after that.
    until: Instant,
    state: State,
    /// What was not sent of its progress.
    progress: Option<Box<Progress>>,
}

/// How far an attempt has come.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "every attempt ends: a box would not save the room, only cost")]
enum State {
    /// It runs, and is stopped by this where it takes a while.
    Running(Option<AbortHandle>),
    /// It ended, and its result was sent there.
    Ended(Result<Done, Failed>, Option<LinkId>),
}

impl Held {
    /// How it is named to a scheduler.
    pub(super) fn named(&self, task: Id) -> RunningTask {
        RunningTask { task_id: task.to_string(), token: self.token.clone() }
    }
}

impl Pool {
    /// Who is told of an attempt: the scheduler that runs its shard; the one that leased it, if that never spoke of shards.
    pub(super) fn owner(&self, held: &Held) -> Option<LinkId> {
        let hears = |id: &LinkId| self.links.get(id).is_some_and(|link| link.hears());
        if let Some(owner) = self.owners.get(&held.shard).and_then(|owners| owners.last()) {
            return Some(*owner).filter(hears);
        }
        let link = self.links.get(&held.link)?;
        (link.hears() && !link.tells_shards).then_some(held.link)
    }

    /// Whether another scheduler says by now that it runs the shard. One that stood still may hand out what it decided before, which
    /// the other has long given to somebody.
    fn is_late(&self, from: LinkId, shard: u32) -> bool {
        let owner = self.owners.get(&shard).and_then(|owners| owners.last());
        owner.is_some_and(|owner| *owner != from && self.links.get(owner).is_some_and(Link::hears))
    }

    /// Takes leases on. Those of a worker that drains are run too: they were on their way. Late ones are not begun but put off: if
    /// they hold all the same, that costs their tasks nothing.
    pub(super) fn on_leases(&mut self, id: LinkId, leases: Leases, now: Instant) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let count = u32::try_from(leases.leases.len()).unwrap_or(u32::MAX);
        link.credits = link.credits.saturating_sub(count);
        link.spent = link.spent.saturating_add(count);
        let until = now + link.lease;
        let mut jobs = Vec::with_capacity(leases.leases.len());
        let mut late = Vec::new();
        for lease in leases.leases {
            let task = lease.task.unwrap_or_default();
            let Ok(key) = task.id.parse::<Id>() else {
                warn!(task = task.id, "a lease without a task that can be named was passed over");
                continue;
            };
            let (shard, token) = (shard(key), lease.token);
            let is_late = self.is_late(id, shard);
            if is_late && self.held.contains_key(&key) {
                debug!(%key, "a late lease of a task that is held was passed over");
                continue;
            }
            self.serial += 1;
            let (serial, state, progress) = (self.serial, State::Running(None), None);
            let mut held = Held { serial, token, link: id, shard, until, state, progress };
            if is_late {
                let now = Timestamp::default();
                held.state = State::Ended(Err(Failed::snooze(now, "its shard has moved on")), None);
                self.held.insert(key, held);
                late.push(key);
                continue;
            }
            // A scheduler leases a task again when the earlier lease is over.
            self.stop(key, None);
            self.held.insert(key, held);
            self.busy += 1;
            let ticket = Ticket { task: key, serial: self.serial };
            jobs.push(Job { ticket, task, checkpoint: lease.checkpoint });
        }
        if !jobs.is_empty() {
            let batches = if late.is_empty() { leases.batches } else { Vec::new() };
            self.effects.push(Effect::Run(jobs, batches));
        }
        self.send(&late);
        self.rebalance();
    }

    pub(super) fn on_begun(&mut self, ticket: Ticket, handle: AbortHandle) {
        if let Some(held) = self.find(ticket)
            && let State::Running(running) = &mut held.state
        {
            *running = Some(handle);
        } else {
            // It was cancelled in the meantime, or has ended already.
            handle.abort();
        }
    }

    /// The task of an attempt that ended and still counts.
    pub(super) fn on_ended(&mut self, ticket: Ticket, result: Result<Done, Failed>) -> Option<Id> {
        let held = self.find(ticket)?;
        if !matches!(held.state, State::Running(_)) {
            return None;
        }
        held.state = State::Ended(result, None);
        self.busy = self.busy.saturating_sub(1);
        Some(ticket.task)
    }

    /// Sends the results of these tasks to who runs their shards, if anybody does.
    pub(super) fn send(&mut self, tasks: &[Id]) {
        let mut outbox = Outbox::default();
        for task in tasks {
            let Some(owner) = self.held.get(task).and_then(|held| self.owner(held)) else { continue };
            let Some(held) = self.held.get_mut(task) else { continue };
            if let State::Ended(result, at @ None) = &mut held.state {
                *at = Some(owner);
                if let (Err(_), Some(progress)) = (&result, held.progress.take()) {
                    // Said before the result: the next attempt begins with it.
                    self.effects.push(Effect::Say(owner, Say::Progress(*progress)));
                }
                outbox.add(owner, *task, &held.token, result);
            }
        }
        let words = outbox.into_messages();
        self.effects.extend(words.map(|(link, results)| Effect::Say(link, Say::Results(results))));
    }

    /// Sends the results that nobody was there for.
    pub(super) fn send_held_back(&mut self) {
        let is_held_back = |held: &Held| matches!(held.state, State::Ended(_, None));
        let tasks: Vec<Id> =
            self.held.iter().filter(|(_, held)| is_held_back(held)).map(|(task, _)| *task).collect();
        self.send(&tasks);
    }

    pub(super) fn on_outcomes(&mut self, id: LinkId, outcomes: Vec<Outcome>) {
        let mut moved = Vec::new();
        for outcome in outcomes {
            let Ok(task) = outcome.task_id.parse::<Id>() else { continue };
            let Entry::Occupied(mut held) = self.held.entry(task) else { continue };
            let State::Ended(_, at) = &mut held.get_mut().state else { continue };
            if *at != Some(id) {
                continue;
            }
            if outcome.moved && !outcome.accepted {
                *at = None;
                let shard = held.get().shard;
                if let Some(link) = self.links.get_mut(&id) {
                    link.tells_shards = true;
                }
                self.owners.entry(shard).and_modify(|owners| owners.retain(|owner| *owner != id));
                moved.push(task);
            } else {
                if !outcome.accepted {
                    debug!(%task, "the result did not count: the lease was over, or it was known");
                }
                held.remove();
            }
        }
        self.send(&moved);
        self.close_drained();
    }

    pub(super) fn on_cancel(&mut self, cancel: &Cancel) {
        for task in cancel.task_ids.iter().filter_map(|task| task.parse().ok()) {
            self.stop(task, None);
        }
        for attempt in &cancel.attempts {
            if let Ok(task) = attempt.task_id.parse() {
                self.stop(task, Some(&attempt.token));
            }
        }
        self.close_drained();
    }

    pub(super) fn on_report(&mut self, Report { ticket, news }: Report) {
        let Some(held) = self.find(ticket) else { return };
        let token = held.token.clone();
        let task_id = ticket.task.to_string();
        if let News::CloseKey(key, until, reason) = news {
            let until = Some(from_micros(until.as_micros()));
            match self.held.get(&ticket.task).and_then(|held| self.owner(held)) {
                Some(owner) => {
                    let close = CloseKey { task_id, token, key, until, reason };
                    self.effects.push(Effect::Say(owner, Say::CloseKey(close)));
                }
                None => debug!(key, "nobody is there to close a key"),
            }
            return;
        }
        let is_first = held.progress.is_none();
        let fresh = || Box::new(Progress { task_id, token, percent: -1.0, ..Progress::default() });
        let progress = held.progress.get_or_insert_with(fresh);
        match news {
            News::Progress(percent, mut note) => {
                note.truncate(note.floor_char_boundary(NOTE));
                (progress.percent, progress.note) = (percent.clamp(0.0, 100.0), note);
            }
            News::Checkpoint(bytes) if bytes.len() <= CHECKPOINT => progress.checkpoint = bytes,
            News::Checkpoint(bytes) => {
                warn!(task = %ticket.task, bytes = bytes.len(), "a checkpoint over 64 KiB was not saved: save less");
            }
            News::CloseKey(..) => {}
        }
        if is_first {
            self.news.push(ticket);
        }
    }

    /// Sends what attempts have said since.
    pub(super) fn send_news(&mut self) {
        for ticket in std::mem::take(&mut self.news) {
            let Some(owner) = self.held.get(&ticket.task).and_then(|held| self.owner(held)) else { continue };
            if let Some(progress) = self.find(ticket).and_then(|held| held.progress.take()) {
                self.effects.push(Effect::Say(owner, Say::Progress(*progress)));
            }
        }
    }

    /// Renews what a scheduler has leased.
    pub(super) fn beat(&mut self, id: LinkId, now: Instant) {
        let own: Vec<Id> = self
            .held
            .iter()
            .filter(|(_, held)| self.owner(held) == Some(id))
            .map(|(task, _)| *task)
            .collect();
        let Some(link) = self.links.get_mut(&id) else { return };
        link.beaten(now);
        let until = now + link.lease;
        let mut running = Vec::with_capacity(own.len());
        for task in own {
            if let Some(held) = self.held.get_mut(&task) {
                held.until = until;
                running.push(held.named(task));
            }
        }
        let (memory_bytes, memory_free_bytes) = (self.vitals.memory_bytes, self.vitals.memory_free_bytes);
        let cpu = self.vitals.cpu;
        let beat = Heartbeat { running, memory_bytes, memory_free_bytes, cpu, ..Heartbeat::default() };
        self.effects.push(Effect::Say(id, Say::Heartbeat(beat)));
    }

    /// The stream of a scheduler ended: results that it did not answer are sent again, and what it leased goes on for a while.
    pub(super) fn orphan(&mut self, id: LinkId, keep: Duration, now: Instant) {
        let owned: Vec<Id> = self
            .held
            .iter()
            .filter(|(_, held)| self.owner(held) == Some(id) || held.is_at(id))
            .map(|(task, _)| *task)
            .collect();
        for task in owned {
            if keep.is_zero() {
                self.stop(task, None);
            } else if let Some(held) = self.held.get_mut(&task) {
                held.until = held.until.min(now + keep);
                if let State::Ended(_, at) = &mut held.state {
                    *at = None;
                }
            }
        }
    }

    /// Gives up what nobody renewed in time: another worker may have begun it.
    pub(super) fn expire(&mut self, now: Instant) {
        let over = self.held.iter().filter(|(_, held)| held.until <= now && self.owner(held).is_none());
        for task in over.map(|(task, _)| *task).collect::<Vec<_>>() {
            debug!(%task, "its lease could not be renewed in time: the attempt is given up");
            self.stop(task, None);
        }
    }

    /// Forgets an attempt, under this token if one is said, and stops it if it runs.
    fn stop(&mut self, task: Id, token: Option<&str>) {
        let Entry::Occupied(held) = self.held.entry(task) else { return };
        if token.is_some_and(|token| token != held.get().token) {
            return;
        }
        let Held { serial, state, .. } = held.remove();
        if let State::Running(handle) = state {
            self.busy = self.busy.saturating_sub(1);
            self.effects.push(Effect::Stop(Ticket { task, serial }, handle));
        }
    }

    fn find(&mut self, ticket: Ticket) -> Option<&mut Held> {
        self.held.get_mut(&ticket.task).filter(|held| held.serial == ticket.serial)
    }
}

impl Held {
    /// Whether its result was sent there and not answered.
    fn is_at(&self, id: LinkId) -> bool {
        matches!(self.state, State::Ended(_, Some(at)) if at == id)
    }
}

/// The shard of a task, from its id: what stands above 48 of its 62 low bits.
fn shard(task: Id) -> u32 {
    let [.., a, b, _, _, _, _, _, _] = *task.as_bytes();
    u32::from(u16::from_be_bytes([a, b]) & 0x3fff)
}
