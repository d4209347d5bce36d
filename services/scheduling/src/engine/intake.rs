//! How waiting tasks come into memory: when a shard is taken, when they are new, when their time has come, page by page.
//!
//! A task that this scheduler stored comes straight from its commit; one that somebody else stored is read from the
//! log. Places are given in the order of commits, so a log that was read up to a place misses nothing before it: the
//! places that came straight and join on move the mark, and those that do not are skipped when the gap is read.

use std::collections::BTreeMap;

use tidemill_kernel::{Id, Priority, Shard, Timestamp};
use tidemill_policy::{Candidate, Enqueued, Refill};
use tidemill_proto::time::to_micros;
use tidemill_proto::types::v1::Task;

use crate::convert;

use super::{Effect, Engine, Epoch, Loaded, audit};

/// How far a shard's log is known.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Everything up to this place is known.
    through: i64,
    /// Runs of places beyond it that are known: first to last.
    beyond: BTreeMap<i64, i64>,
    /// Whether it is being read, and whether to read again after that.
    reading: Option<bool>,
}

impl Log {
    pub(super) fn read_through(place: i64) -> Self {
        Self { through: place, ..Self::default() }
    }

    /// Whether a place is known.
    fn knows(&self, place: i64) -> bool {
        place <= self.through
            || self.beyond.range(..=place).next_back().is_some_and(|(_, last)| place <= *last)
    }

    /// Notes a place that came straight from its commit.
    fn note(&mut self, place: i64) {
        if place == self.through + 1 {
            self.advance(place);
        } else if place > self.through {
            match self.beyond.range_mut(..place).next_back() {
                Some((_, last)) if *last + 1 == place => *last = place,
                _ => _ = self.beyond.insert(place, place),
            }
        }
    }

    /// Everything up to this place is known now.
    fn advance(&mut self, place: i64) {
        self.through = self.through.max(place);
        while let Some(run) = self.beyond.first_entry().filter(|run| *run.key() <= self.through + 1) {
            self.through = self.through.max(run.remove());
        }
    }
}

impl Engine {
    pub(super) fn on_loaded(&mut self, loaded: Loaded, now: Timestamp, effects: &mut Vec<Effect>) {
        let Loaded { epoch, queues, last_place, running, settings } = loaded;
        if !self.begin_shard(epoch, last_place) {
            return;
        }
        // Before anything can be handed out.
        self.on_settings(epoch, settings, now);
        self.next_audit = now + audit::EVERY;
        self.take_over(running, now);
        let names: Vec<_> = queues
            .iter()
            .map(|queue| &queue.tenant)
            .filter(|name| self.tenants.insert((*name).clone()))
            .cloned()
            .collect();
        if !names.is_empty() {
            effects.push(Effect::LoadTenants(names));
        }
        for queue in &queues {
            self.policy.mark_truncated(queue, 0);
        }
        self.say_shards(effects);
        self.read_new(epoch, effects);
    }

    /// Asks for new tasks of all shards.
    pub(super) fn read_all(&mut self, _: Timestamp, effects: &mut Vec<Effect>) {
        let epochs: Vec<Epoch> = self.shards.loaded().collect();
        epochs.into_iter().for_each(|epoch| self.read_new(epoch, effects));
    }

    /// Asks for new tasks; while they are being read, notes to ask again.
    pub(super) fn read_new(&mut self, epoch: Epoch, effects: &mut Vec<Effect>) {
        let Some(log) = self.shards.log(epoch) else { return };
        match &mut log.reading {
            Some(again) => *again = true,
            None => {
                log.reading = Some(false);
                effects.push(Effect::LoadNew { epoch, after: log.through });
            }
        }
    }

    /// Takes in what was committed a moment ago.
    pub(super) fn on_appended(&mut self, tasks: Vec<Task>, now: Timestamp, effects: &mut Vec<Effect>) {
        for task in tasks {
            let Some(id) = task.id.parse::<Id>().ok() else { continue };
            let shard = Shard::of_place(id.place());
            let Some(epoch) = self.shards.epoch(shard).map(|epoch| (shard, epoch)) else {
                self.wake_owner(shard, effects);
                continue;
            };
            let Some(log) = self.shards.log(epoch) else { continue };
            if log.knows(id.place()) {
                continue;
            }
            log.note(id.place());
            let is_gap = !log.beyond.is_empty();
            self.admit(id, task, now, effects);
            if is_gap {
                self.read_new(epoch, effects);
            }
        }
    }

    /// Another scheduler runs the shard: it is told once for all of them.
    fn wake_owner(&self, shard: Shard, effects: &mut Vec<Effect>) {
        let Some(address) = self.shards.address_of(shard) else { return };
        let wake = Effect::WakeOwner { address: address.to_owned() };
        if !effects.contains(&wake) {
            effects.push(wake);
        }
    }

    pub(super) fn on_new(
        &mut self,
        epoch: Epoch,
        tasks: Vec<Task>,
        through: i64,
        more: bool,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        for task in tasks {
            let Some(id) = task.id.parse::<Id>().ok() else { continue };
            let Some(log) = self.shards.log(epoch) else { return };
            if !log.knows(id.place()) {
                self.admit(id, task, now, effects);
            }
        }
        let Some(log) = self.shards.log(epoch) else { return };
        log.advance(through);
        if !more {
            // What is known beyond was committed, so everything before it was there to be read.
            let last = log.beyond.last_key_value().map_or(through, |(_, last)| *last);
            if log.reading == Some(false) {
                log.advance(last);
                log.beyond.clear();
            }
        }
        let again = log.reading.take() == Some(true);
        if again || more {
            self.read_new(epoch, effects);
        }
    }

    pub(super) fn on_new_failed(&mut self, epoch: Epoch) {
        if let Some(log) = self.shards.log(epoch) {
            log.reading = None;
        }
    }

    pub(super) fn on_refilled(
        &mut self,
        refill: &Refill,
        tasks: Vec<Task>,
        through: i64,
        more: bool,
        now: Timestamp,
    ) {
        let mut page = Vec::with_capacity(tasks.len());
        let mut bodies = Vec::with_capacity(tasks.len());
        for task in tasks {
            let Some((candidate, run_at)) = self.candidate(&task) else { continue };
            if self.held.contains_key(&candidate.id) || self.due.contains_key(&candidate.id) {
                continue;
            }
            if run_at > now {
                self.delay(candidate, run_at);
            } else {
                bodies.push((candidate.id, task));
                page.push(candidate);
            }
        }
        self.policy.refilled(refill, page, through, more);
        for (id, task) in bodies {
            if self.policy.waits(id) {
                self.bodies.keep(id, task);
            }
        }
    }

    pub(super) fn on_revived(&mut self, task: Task, now: Timestamp, effects: &mut Vec<Effect>) {
        let Some(id) = task.id.parse::<Id>().ok() else { return };
        let shard = Shard::of_place(id.place());
        if self.shards.epoch(shard).is_some() {
            self.admit(id, task, now, effects);
        } else {
            self.wake_owner(shard, effects);
        }
    }

    /// Takes a waiting task in: to be picked, or to wait for its time.
    fn admit(&mut self, id: Id, task: Task, now: Timestamp, effects: &mut Vec<Effect>) {
        let Some((candidate, run_at)) = self.candidate(&task) else { return };
        if !self.tenants.contains(&candidate.tenant) {
            self.tenants.insert(candidate.tenant.clone());
            effects.push(Effect::LoadTenants(vec![candidate.tenant.clone()]));
        }
        if self.held.contains_key(&id) {
            return;
        }
        if run_at > now {
            self.delay(candidate, run_at);
        } else if self.policy.enqueue(candidate) == Enqueued::Queued {
            self.bodies.keep(id, task);
        }
    }

    /// Lets a task whose attempt has ended wait again.
    pub(super) fn wait_again(&mut self, candidate: Candidate, run_at: Timestamp, now: Timestamp) {
        if run_at > now {
            self.delay(candidate, run_at);
        } else {
            self.policy.enqueue(candidate);
        }
    }

    fn delay(&mut self, candidate: Candidate, run_at: Timestamp) {
        let (id, place) = (candidate.id, candidate.sequence);
        self.forget_delayed(id);
        self.due.insert(id, (run_at, place));
        self.delayed.insert((run_at, place, id), candidate);
    }

    pub(super) fn forget_delayed(&mut self, id: Id) {
        if let Some((run_at, place)) = self.due.remove(&id) {
            self.delayed.remove(&(run_at, place, id));
        }
    }

    /// Enqueues the tasks whose time has come.
    pub(super) fn wake_due(&mut self, now: Timestamp) {
        while let Some(first) = self.delayed.first_entry().filter(|first| first.key().0 <= now) {
            let candidate = first.remove();
            self.due.remove(&candidate.id);
            self.policy.enqueue(candidate);
        }
    }

    /// A task as the policy sees it, and from when on it may run. None for one that a newer store wrote.
    pub(super) fn candidate(&mut self, task: &Task) -> Option<(Candidate, Timestamp)> {
        let id: Id = task.id.parse().ok()?;
        let candidate = Candidate {
            id,
            tenant: self.words.tenant(&task.tenant)?,
            kind: self.words.kind(&task.kind),
            priority: Priority::from_number(task.priority)?,
            sequence: id.place(),
            cost: task.options.as_ref().map_or(1, |options| options.cost.max(1)),
            traits: task.options.as_ref().and_then(convert::traits),
        };
        Some((candidate, Timestamp::from_micros(task.run_at.as_ref().map_or(0, to_micros))))
    }
}
