//! How waiting tasks come into memory: when a shard is taken, when they are new, when their time has come, page by page.
//!
//! A task that this scheduler stored comes straight from its commit; one that somebody else stored is read from the
//! log. Places are given in the order of commits, so a log that was read up to a place misses nothing before it: the
//! places that came straight and join on move the mark, and those that do not wait until the gap is read.

use std::collections::{BTreeMap, BTreeSet};

use tidemill_kernel::{Id, Priority, Shard, TenantName, Timestamp};
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
    /// Tasks that came straight from their commit although something before them is not known yet. They wait for it: who had
    /// his answer before another asked is served before him, whichever schedulers they spoke to.
    beyond: BTreeMap<i64, Task>,
    /// Places beyond that whose tasks came by a page of their queue, and are over: what names them still is late.
    over: BTreeSet<i64>,
    /// Whether it is being read, and whether to read again after that.
    reading: Option<bool>,
}

impl Log {
    pub(super) fn read_through(place: i64) -> Self {
        Self { through: place, ..Self::default() }
    }

    /// Whether nothing was heard of this place yet.
    fn is_new(&self, place: i64) -> bool {
        place > self.through && !self.over.contains(&place)
    }

    /// Takes a task that came straight from its commit, if it is not known.
    fn take(&mut self, place: i64, task: Task) {
        if self.is_new(place) {
            self.beyond.insert(place, task);
        }
    }

    /// A task is over, however it came.
    fn note_over(&mut self, place: i64) {
        self.beyond.remove(&place);
        if place > self.through {
            self.over.insert(place);
        }
    }

    /// The next task that nothing unknown is before.
    fn next(&mut self) -> Option<Task> {
        let first = self.beyond.first_entry().filter(|first| *first.key() == self.through + 1)?;
        self.through = *first.key();
        Some(first.remove())
    }

    /// The log was read up to this place: what is not known up to there has ended.
    fn advance(&mut self, place: i64) {
        self.through = self.through.max(place);
        self.beyond = self.beyond.split_off(&(self.through + 1));
        self.over = self.over.split_off(&(self.through + 1));
    }

    /// Nothing is missing before what came straight: the places between were never used.
    fn close(&mut self) -> BTreeMap<i64, Task> {
        let last = self.beyond.last_key_value().map_or(self.through, |(place, _)| *place);
        self.through = self.through.max(last);
        std::mem::take(&mut self.beyond)
    }
}

impl Engine {
    pub(super) fn on_loaded(&mut self, loaded: Loaded, now: Timestamp, effects: &mut Vec<Effect>) {
        let Loaded { epoch, queues, last_place, running, settings } = loaded;
        if !self.begin_shard(epoch, last_place) {
            return;
        }
        // Before anything can be handed out.
        self.on_first_settings(epoch, settings, now, effects);
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
        self.gain_shares(now, effects);
        self.read_new(epoch, effects);
        self.read_later(effects);
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
            log.take(id.place(), task);
            while let Some(task) = self.shards.log(epoch).and_then(Log::next) {
                self.admit(task, now, effects);
            }
            if self.shards.log(epoch).is_some_and(|log| !log.beyond.is_empty()) {
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
        let Some(log) = self.shards.log(epoch) else { return };
        let is_new = |task: &Task| task.id.parse::<Id>().is_ok_and(|id| log.is_new(id.place()));
        let tasks: Vec<Task> = tasks.into_iter().filter(is_new).collect();
        log.advance(through);
        // What came straight was committed before the reading began, so everything before it was there to be read.
        let rest = if !more && log.reading == Some(false) { log.close() } else { BTreeMap::new() };
        for task in tasks.into_iter().chain(rest.into_values()) {
            self.admit(task, now, effects);
        }
        while let Some(task) = self.shards.log(epoch).and_then(Log::next) {
            self.admit(task, now, effects);
        }
        let Some(log) = self.shards.log(epoch) else { return };
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

    /// Asks for more of the queues that run low.
    pub(super) fn refill(&mut self, effects: &mut Vec<Effect>) {
        while let Some(refill) = self.policy.next_refill() {
            let shard = Shard::of_tenant(&refill.queue.tenant);
            let Some(epoch) = self.shards.epoch(shard).map(|epoch| (shard, epoch)) else { continue };
            effects.push(Effect::Refill { epoch, refill });
        }
    }

    pub(super) fn on_refill_failed(&mut self, epoch: Epoch, refill: &Refill) {
        if self.shards.log(epoch).is_some() {
            self.policy.refill_failed(refill);
        }
    }

    /// What was asked for before the shard was lost is of no use, also if it is owned again.
    pub(super) fn on_refilled(
        &mut self,
        epoch: Epoch,
        refill: &Refill,
        tasks: Vec<Task>,
        through: i64,
        more: bool,
        now: Timestamp,
    ) {
        if self.shards.log(epoch).is_none() {
            return;
        }
        let mut page = Vec::with_capacity(tasks.len());
        let mut bodies = Vec::with_capacity(tasks.len());
        for task in tasks {
            let Some((candidate, run_at)) = self.candidate(&task) else { continue };
            if self.is_kept(candidate.id) {
                continue;
            }
            if self.keep_back(&task, &candidate, run_at) {
                self.bodies.keep_for_later(candidate.id, Box::new(task));
                continue;
            }
            if run_at > now {
                self.delay(candidate, run_at);
                continue;
            }
            // Of one that waits already, the page may show how it was before an attempt that has failed since.
            if !self.policy.waits(candidate.id) {
                bodies.push((candidate.id, Box::new(task)));
            }
            page.push(candidate);
        }
        self.policy.refilled(refill, page, through, more);
        for (id, task) in bodies {
            if self.policy.waits(id) {
                self.bodies.keep(id, task);
            }
        }
    }

    /// Takes a waiting task in: to be picked, or to wait for its time.
    fn admit(&mut self, task: Task, now: Timestamp, effects: &mut Vec<Effect>) {
        let Some((candidate, run_at)) = self.candidate(&task) else { return };
        let id = candidate.id;
        self.know_tenant(&candidate.tenant, effects);
        if self.is_kept(id) {
            return;
        }
        if self.keep_back(&task, &candidate, run_at) {
            self.bodies.keep_for_later(id, Box::new(task));
        } else if run_at > now {
            self.delay(candidate, run_at);
        } else if self.policy.enqueue(candidate) == Enqueued::Queued {
            self.bodies.keep(id, Box::new(task));
        }
    }

    /// Whether a task is in memory beside the queues: it runs, its time has not come, or it waits for others.
    pub(super) fn is_kept(&self, id: Id) -> bool {
        self.held.contains_key(&id) || self.due.contains_key(&id) || self.dependents.has(id)
    }

    /// Asks for the weight of a tenant that was not seen before.
    pub(super) fn know_tenant(&mut self, tenant: &TenantName, effects: &mut Vec<Effect>) {
        if !self.tenants.contains(tenant) {
            self.tenants.insert(tenant.clone());
            effects.push(Effect::LoadTenants(vec![tenant.clone()]));
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

    /// Forgets what is remembered of a task beside the queues: it is over.
    pub(super) fn forget_task(&mut self, id: Id) {
        self.losses.remove(&id);
        self.forget_dependent(id);
        self.dependents.on_end(id, false);
        let shard = Shard::of_place(id.place());
        let Some(epoch) = self.shards.epoch(shard) else { return };
        if let Some(log) = self.shards.log((shard, epoch)) {
            log.note_over(id.place());
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
            traits: task.options.as_deref().and_then(convert::traits),
        };
        Some((candidate, Timestamp::from_micros(task.run_at.as_ref().map_or(0, to_micros))))
    }
}
