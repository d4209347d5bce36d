//! Leases on their way into the store: those that have lasted for a moment, so that the next owner of their shard knows
//! what runs. Most tasks are over before, and never get there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use tidemill_kernel::{Id, Shard, Timestamp};
use tidemill_proto::scheduling::v1 as api;
use tidemill_proto::storage::v1 as store;
use tidemill_proto::types::v1::Lease;

use super::{Effect, Engine, Held, SessionId};

/// A lease that has lasted so long is recorded.
const RECORD_AFTER: Duration = Duration::from_millis(100);
/// The most leases of one request to the store.
const REQUEST: usize = 1_000;

/// What is to be told.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// Leases by the moment they were given, not recorded yet.
    young: VecDeque<(Timestamp, Id, Id)>,
    /// Tasks whose recorded lease was given back.
    given_back: BTreeSet<Id>,
    /// Tasks that requests under way name, and how many do: whichever comes first at the store, they leave a lease or take one.
    told: HashMap<Id, u32>,
    /// How far tasks are, the latest word of each.
    progress: BTreeMap<Id, store::TaskProgress>,
}

impl Records {
    /// Notes a new lease.
    pub(super) fn note(&mut self, now: Timestamp, task: Id, token: Id) {
        self.young.push_back((now, task, token));
    }

    /// Notes that a recorded lease is to be forgotten.
    pub(super) fn give_back(&mut self, task: Id) {
        self.given_back.insert(task);
    }

    /// Forgets that a lease was given back: the next one takes its place in the store.
    pub(super) fn take_back(&mut self, task: Id) -> bool {
        self.given_back.remove(&task)
    }

    /// Whether the store may have, now or in a moment, a lease of this task that was given back or is over.
    pub(super) fn may_be_there(&mut self, task: Id) -> bool {
        self.take_back(task) || self.told.contains_key(&task)
    }

    /// A request was answered, or was not heard.
    fn answered<'a>(&mut self, tasks: impl Iterator<Item = &'a Id>) {
        for task in tasks {
            if let Entry::Occupied(mut told) = self.told.entry(*task) {
                *told.get_mut() -= 1;
                if *told.get() == 0 {
                    told.remove();
                }
            }
        }
    }

    /// Forgets what was to be told of a shard: that is its next owner's.
    pub(super) fn forget(&mut self, shard: Shard) {
        self.given_back.retain(|task| Shard::of_place(task.place()) != shard);
        self.progress.retain(|task, _| Shard::of_place(task.place()) != shard);
    }

    /// The clock was set back by this much.
    pub(super) fn set_back(&mut self, by: Duration) {
        self.young.iter_mut().for_each(|(since, ..)| *since = *since - by);
    }

    /// The shards of which something has still to be written, so that their next owner knows what runs.
    pub(super) fn unwritten(&self, held: &HashMap<Id, Held>) -> BTreeSet<Shard> {
        let open = held.iter().filter(|(_, held)| !held.is_known()).map(|(task, _)| task);
        open.chain(&self.given_back)
            .chain(self.progress.keys())
            .map(|task| Shard::of_place(task.place()))
            .collect()
    }
}

impl Engine {
    /// Records what has lasted, and tells how far tasks are. A draining scheduler records everything.
    pub(super) fn record(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let mut leases = Vec::new();
        while let Some(&(since, task, token)) = self.records.young.front() {
            if !self.draining && since + RECORD_AFTER > now {
                break;
            }
            self.records.young.pop_front();
            if let Some(lease) = self.held.get_mut(&task).and_then(|held| to_record(held, token)) {
                leases.push(lease);
            }
        }
        let given_back: Vec<Id> = std::mem::take(&mut self.records.given_back).into_iter().collect();
        self.send_records(leases, given_back, effects);
        self.send_progress(effects);
    }

    /// Asks the store to record leases, in as many requests as it takes.
    pub(super) fn send_records(
        &mut self,
        mut leases: Vec<store::RecordedLease>,
        mut given_back: Vec<Id>,
        effects: &mut Vec<Effect>,
    ) {
        while !leases.is_empty() || !given_back.is_empty() {
            let (rest, later) = (
                leases.split_off(leases.len().min(REQUEST)),
                given_back.split_off(given_back.len().min(REQUEST)),
            );
            let ids = leases.iter().filter_map(|lease| lease.attempt.as_ref()?.task_id.parse::<Id>().ok());
            let ids: Vec<Id> = ids.chain(given_back.iter().copied()).collect();
            let fence = self.shards.fence(ids.iter().map(|id| Shard::of_place(id.place())));
            if !fence.is_empty() {
                ids.into_iter().for_each(|id| *self.records.told.entry(id).or_default() += 1);
                effects.push(Effect::Record { fence, leases, given_back });
            }
            (leases, given_back) = (rest, later);
        }
    }

    fn send_progress(&mut self, effects: &mut Vec<Effect>) {
        let progress: Vec<_> = std::mem::take(&mut self.records.progress).into_iter().collect();
        for chunk in progress.chunks(REQUEST) {
            let fence = self.shards.fence(chunk.iter().map(|(id, _)| Shard::of_place(id.place())));
            let progress = chunk.iter().map(|(_, progress)| progress.clone()).collect();
            effects.push(Effect::SaveProgress { fence, progress });
        }
    }

    /// Hands out what waited for its record; stops what is gone.
    pub(super) fn on_recorded(
        &mut self,
        leases: &[(Id, Id)],
        given_back: &[Id],
        gone: &[Id],
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        self.records.answered(leases.iter().map(|(task, _)| task).chain(given_back));
        let until = now + self.config.lease();
        for task in gone {
            // One whose end is being told may be gone by that: the answer says so.
            if self.held.get(task).is_none_or(|held| !held.ending) {
                self.on_cancelled(*task, effects);
            }
        }
        let mut ready: BTreeMap<SessionId, Vec<Lease>> = BTreeMap::new();
        self.forget_vain(leases, gone);
        for (task, token) in leases {
            let Some(held) = self.held.get_mut(task).filter(|held| held.token == *token) else { continue };
            held.written = true;
            let Some(waiting) = held.waiting.take() else { continue };
            held.until = until;
            match held.session {
                Some(session) => {
                    let lease = super::session::lease(waiting, *token, held.until);
                    ready.entry(session).or_default().push(lease);
                }
                None => self.give_back(*task),
            }
        }
        for (session, leases) in ready {
            self.say_leases(session, leases, effects);
        }
    }

    /// Leases that were let go while they were being recorded: the record may have come after whatever ended them.
    fn forget_vain(&mut self, leases: &[(Id, Id)], gone: &[Id]) {
        for (task, _) in leases {
            let is_here = self.shards.epoch(Shard::of_place(task.place())).is_some();
            if is_here && !self.held.contains_key(task) && !gone.contains(task) {
                self.records.give_back(*task);
            }
        }
    }

    /// They are told again; what waited for its record waits in its queue instead.
    pub(super) fn on_record_failed(&mut self, leases: &[(Id, Id)], given_back: Vec<Id>) {
        self.records.answered(leases.iter().map(|(task, _)| task).chain(&given_back));
        self.forget_vain(leases, &[]);
        let (held, shards) = (&self.held, &self.shards);
        let is_free =
            |task: &Id| !held.contains_key(task) && shards.epoch(Shard::of_place(task.place())).is_some();
        self.records.given_back.extend(given_back.into_iter().filter(is_free));
        for (task, token) in leases {
            let Some(held) = self.held.get(task).filter(|held| held.token == *token) else { continue };
            if held.waiting.is_some() {
                let session = held.session;
                self.give_back(*task);
                session.into_iter().for_each(|session| self.on_credits(session, 1));
            } else {
                self.records.young.push_front((Timestamp::default(), *task, *token));
            }
        }
    }

    /// Notes how far a task is, if whoever says so holds it.
    pub(super) fn on_progress(&mut self, progress: api::Progress) {
        let Some((task, token)) = super::held::lease(&progress.task_id, &progress.token) else { return };
        if self.held.get(&task).is_none_or(|held| held.token != token) {
            return;
        }
        let percent = (progress.percent >= 0.0).then(|| format!("{:.0} %", progress.percent));
        let words: Vec<String> =
            percent.into_iter().chain(Some(progress.note).filter(|note| !note.is_empty())).collect();
        let entry = self.records.progress.entry(task).or_insert_with(|| store::TaskProgress {
            task_id: progress.task_id,
            ..store::TaskProgress::default()
        });
        if !words.is_empty() {
            entry.progress = words.join(", ");
        }
        if !progress.checkpoint.is_empty() {
            entry.checkpoint = Some(progress.checkpoint);
        }
    }
}

/// What the store is told of a lease; none if it is over, ends now, or was told.
pub(super) fn to_record(held: &mut Held, token: Id) -> Option<store::RecordedLease> {
    if held.token != token || held.ending {
        return None;
    }
    held.recorded = true;
    Some(store::RecordedLease { attempt: Some(held.attempt()), token: token.to_string() })
}
