//! Tasks that were changed by hand: cancelled, put back, moved to another priority.
//!
//! The change is in the store before anybody hears of it, and the word of it is a hint that names the task: its shard's
//! owner reads the task again, and what is found holds. So hints may come twice, late and in any order. A hint for
//! another scheduler's shard goes on to its owner, again and again for a while until one says that it is his; beyond that the
//! audit finds what waits, and a result of what was cancelled does not count.
//!
//! What is read may be old when it comes: a task that an attempt's end or another hint has touched meanwhile is read
//! once more. Bodies are never taken from here: what is handed out is read when its turn comes.

use std::collections::{BTreeMap, HashMap};

use tidemill_kernel::{Id, Shard, Timestamp};
use tidemill_proto::types::v1::Task;

use super::{Effect, Engine};

/// How often a hint is told to an owner, with a second between.
const TRIES: u32 = 10;
/// The most tasks of one read.
const READ: usize = 500;

/// A hint: tasks that were changed by hand.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Changed {
    /// Which.
    pub(crate) tasks: Vec<Id>,
    /// Whether they were cancelled: their attempts are to stop at once.
    pub(crate) are_cancelled: bool,
    /// Who says so.
    pub(crate) from: Source,
}

/// Where a hint comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// A call of this scheduler; its owner was looked for so many times.
    Here(u32),
    /// Another scheduler, which takes care that the owner hears of it.
    Peer,
}

impl Changed {
    /// These were cancelled by a call of this scheduler.
    pub(crate) fn cancelled(tasks: Vec<Id>) -> Self {
        Self { tasks, are_cancelled: true, from: Source::Here(0) }
    }

    /// These were changed otherwise by a call of this scheduler, or may have been.
    pub(crate) fn otherwise(tasks: Vec<Id>) -> Self {
        Self { tasks, are_cancelled: false, from: Source::Here(0) }
    }

    /// The same of those tasks that nobody took for his, to be told again; none if it was tried often enough.
    pub(crate) fn again(self, tasks: Vec<Id>) -> Option<Self> {
        match self.from {
            Source::Here(tries) if tries + 1 < TRIES && !tasks.is_empty() => {
                Some(Self { tasks, from: Source::Here(tries + 1), ..self })
            }
            _ => None,
        }
    }
}

/// How far a changed task of an owned shard is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// To be read when its shard is loaded, or when the read of its body is over.
    Later,
    /// Being read.
    Now,
    /// Being read in vain: it was touched meanwhile.
    Again,
}

impl Engine {
    pub(super) fn on_changed(&mut self, changed: Changed, effects: &mut Vec<Effect>) {
        let mut read = Vec::new();
        let mut others: BTreeMap<String, Vec<Id>> = BTreeMap::new();
        for id in &changed.tasks {
            let shard = Shard::of_place(id.place());
            if !self.shards.is_owned(shard) {
                let address = self.shards.address_of(shard).unwrap_or_default();
                others.entry(address.to_owned()).or_default().push(*id);
                continue;
            }
            if changed.are_cancelled {
                self.on_cancelled(*id, effects);
            }
            if self.shards.epoch(shard).is_some() {
                read.push(*id);
            } else {
                self.changed.insert(*id, Reading::Later);
            }
        }
        self.read_again(read, effects);
        if changed.from == Source::Peer {
            return;
        }
        for (address, tasks) in others {
            let changed = Changed { tasks, ..changed.clone() };
            effects.push(Effect::TellOwner { address, changed });
        }
    }

    /// Asks the store for tasks that were changed; of those that are being read already, once more after that.
    pub(super) fn read_again(&mut self, tasks: Vec<Id>, effects: &mut Vec<Effect>) {
        let mut read = Vec::with_capacity(tasks.len());
        for id in tasks {
            match self.changed.get_mut(&id) {
                Some(reading @ (Reading::Now | Reading::Again)) => *reading = Reading::Again,
                Some(Reading::Later) | None => {
                    self.changed.insert(id, Reading::Now);
                    read.push(id);
                }
            }
        }
        effects.extend(read.chunks(READ).map(|chunk| Effect::ReadAgain(chunk.to_vec())));
    }

    /// Reads what was put off, once its shard is loaded and its body is not being read.
    pub(super) fn read_later(&mut self, effects: &mut Vec<Effect>) {
        if self.changed.is_empty() {
            return;
        }
        let is_due = |id: &Id| {
            let is_picked = self.policy.runs(*id) && !self.held.contains_key(id);
            !is_picked && self.shards.epoch(Shard::of_place(id.place())).is_some()
        };
        let later = self.changed.iter().filter(|(id, reading)| **reading == Reading::Later && is_due(id));
        let later: Vec<Id> = later.map(|(id, _)| *id).collect();
        self.read_again(later, effects);
    }

    /// Notes that what is being read of a task is old.
    pub(super) fn touch(&mut self, task: Id) {
        if let Some(reading @ Reading::Now) = self.changed.get_mut(&task) {
            *reading = Reading::Again;
        }
    }

    /// Takes in what the store has of changed tasks; those that are not found are finished.
    pub(super) fn on_read_again(
        &mut self,
        tasks: &[Id],
        found: Vec<Task>,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let mut found: HashMap<Id, Task> =
            found.into_iter().filter_map(|task| Some((task.id.parse().ok()?, task))).collect();
        let mut again = Vec::new();
        for id in tasks {
            match self.changed.remove(id) {
                Some(Reading::Now) => match found.remove(id) {
                    Some(task) => self.renew(*id, task, now, effects),
                    None => self.finish(*id, effects),
                },
                Some(Reading::Again) => again.push(*id),
                // Its shard was lost meanwhile, and is perhaps owned anew.
                Some(Reading::Later) => _ = self.changed.insert(*id, Reading::Later),
                None => {}
            }
        }
        self.read_again(again, effects);
    }

    /// The store could not be asked: it is asked again.
    pub(super) fn on_read_again_failed(&mut self, tasks: &[Id], effects: &mut Vec<Effect>) {
        let open = |id: &&Id| matches!(self.changed.get(id), Some(Reading::Now | Reading::Again));
        let tasks: Vec<Id> = tasks.iter().filter(open).copied().collect();
        tasks.iter().for_each(|id| _ = self.changed.remove(id));
        self.read_again(tasks, effects);
    }

    /// A task that is finished in the store. What its own end will say of it is waited for.
    fn finish(&mut self, id: Id, effects: &mut Vec<Effect>) {
        if !self.held.get(&id).is_some_and(|held| held.ending) {
            self.on_cancelled(id, effects);
            self.losses.remove(&id);
        }
    }

    /// A task that is not finished: what waits is put where it belongs now, what runs goes on.
    fn renew(&mut self, id: Id, task: Task, now: Timestamp, effects: &mut Vec<Effect>) {
        let Some((candidate, run_at)) = self.candidate(&task) else { return };
        self.bodies.take(id);
        if let Some(held) = self.held.get_mut(&id) {
            held.candidate.priority = candidate.priority;
            return;
        }
        if self.policy.runs(id) {
            self.changed.insert(id, Reading::Later);
            return;
        }
        self.know_tenant(&candidate.tenant, effects);
        self.forget_delayed(id);
        self.policy.remove(id);
        self.forget_dependent(id);
        if self.keep_back(&task, &candidate, run_at) {
            return;
        }
        if run_at > now && task.attempt > 0 {
            // It goes on holding its order key.
            self.policy.hold(&candidate);
        }
        self.wait_again(candidate, run_at, now);
    }
}
