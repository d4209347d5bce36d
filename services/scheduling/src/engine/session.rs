//! Workers' streams: who is there, what they take, what they are given.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use tidemill_kernel::{Id, Shard, TenantName, Timestamp};
use tidemill_policy::{Candidate, Kind, Worker};
use tidemill_proto::scheduling::v1 as api;
use tidemill_proto::scheduling::v1::work_response::Message as Say;
use tidemill_proto::storage::v1::RecordedLease;
use tidemill_proto::time::{duration, from_micros, to_micros};
use tidemill_proto::types::v1::{Lease, Task, TaskState};

use super::{Effect, Ended, Engine, Held, SessionId, record};
use crate::partition::partition;

/// The most tasks that one worker is given in one turn, so that several share what there is.
const TURN: u32 = 256;
/// About how many bytes of payload one message to a worker has.
const MESSAGE: usize = 2 << 20;
/// The most tasks that a worker takes as one.
const BATCH: usize = 64;

/// For so many affinities a worker counts as warm.
const WARM: usize = 16;

/// One worker's stream.
#[derive(Debug)]
pub(crate) struct Session {
    worker: Arc<str>,
    /// The worker as the policy sees it.
    pub(super) view: Worker,
    credits: u32,
    /// How many requests that tell the store of ended attempts are under way: others gather in `ended`.
    pub(super) settling: u32,
    pub(super) ended: VecDeque<Ended>,
}

/// What one round of picking makes.
#[derive(Default)]
struct Dealt {
    /// To be said at once, in the order of the sessions.
    leases: BTreeMap<SessionId, Vec<Lease>>,
    /// To be recorded first.
    careful: Vec<RecordedLease>,
    /// Not to be handed out now. They go back after the round: before its end they would be picked again, for ever.
    aside: Vec<(SessionId, Id, Box<Task>)>,
}

impl Session {
    /// The worker's name.
    pub(super) fn worker(&self) -> &str {
        &self.worker
    }
}

#[cfg(test)]
impl Session {
    pub(super) fn credits(&self) -> u32 {
        self.credits
    }
}

impl Engine {
    pub(super) fn on_joined(
        &mut self,
        session: SessionId,
        hello: api::Hello,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        if self.draining {
            // It would be given nothing; counted, it would keep a drained scheduler from ending.
            effects.push(Effect::Say { session, message: Say::Drain(api::Drain {}) });
            return;
        }
        let kinds: Vec<Kind> = hello.kinds.iter().map(|kind| self.words.kind(kind)).collect();
        let worker: Arc<str> = hello.worker.as_str().into();
        let view = Worker { id: session, ..view(&hello, &kinds) };
        let new = Session { worker, view, credits: 0, settling: 0, ended: VecDeque::new() };
        self.sessions.insert(session, new);
        let welcome = api::Welcome {
            lease_duration: Some(duration(self.config.lease())),
            keep_duration: Some(duration(self.config.keep())),
            scheduler: self.name.clone(),
        };
        effects.push(Effect::Say { session, message: Say::Welcome(welcome) });
        self.say_shards_to(session, effects);
        self.adopt(session, &hello.running, now, effects);
    }

    pub(super) fn on_credits(&mut self, session: SessionId, count: u32) {
        if let Some(session) = self.sessions.get_mut(&session) {
            session.credits = session.credits.saturating_add(count);
        }
    }

    pub(super) fn on_withdraw(&mut self, id: SessionId, count: u32, effects: &mut Vec<Effect>) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let count = count.min(session.credits);
        session.credits -= count;
        effects.push(Effect::Say { session: id, message: Say::Withdrawn(api::Withdrawn { count }) });
    }

    /// Picks for the workers that have credits, a turn each, until nobody takes more. What is in memory whole goes out at once;
    /// the rest is read first.
    pub(super) fn grant(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let mut dealt = Dealt::default();
        loop {
            let mut any = false;
            let open: Vec<SessionId> =
                self.sessions.iter().filter(|(_, one)| one.credits > 0).map(|(id, _)| *id).collect();
            for id in open {
                let Some(session) = self.sessions.get_mut(&id) else { continue };
                let slots = session.credits.min(TURN);
                session.view.slots = usize::try_from(slots).unwrap_or(1);
                let picked = self.policy.take(&session.view, now);
                session.credits -= u32::try_from(picked.len()).unwrap_or(slots).min(session.credits);
                any |= !picked.is_empty();
                self.deal(id, picked, now, &mut dealt, effects);
            }
            if !any {
                break;
            }
        }
        self.send_dealt(dealt, effects);
    }

    /// Makes leases of what was picked for a worker, as far as it is in memory.
    fn deal(
        &mut self,
        session: SessionId,
        picked: Vec<Candidate>,
        now: Timestamp,
        dealt: &mut Dealt,
        effects: &mut Vec<Effect>,
    ) {
        let mut absent = Vec::new();
        for candidate in picked {
            match self.bodies.take(candidate.id) {
                Some(task) => self.hand_out(session, candidate, task, now, dealt),
                None => absent.push(candidate),
            }
        }
        if !absent.is_empty() {
            self.fetching += absent.len();
            effects.push(Effect::Fetch { session, picked: absent });
        }
    }

    /// Says what was dealt; what must not be handed out now waits again at its old place.
    fn send_dealt(&mut self, dealt: Dealt, effects: &mut Vec<Effect>) {
        self.send_records(dealt.careful, Vec::new(), effects);
        for (session, leases) in dealt.leases {
            self.say_leases(session, leases, effects);
        }
        for (session, id, task) in dealt.aside {
            self.policy.returned(id);
            self.bodies.keep(id, task);
            self.on_credits(session, 1);
        }
    }

    /// Makes the lease of a picked task. In a shard that is run with care it is recorded before it goes out.
    fn hand_out(
        &mut self,
        session: SessionId,
        candidate: Candidate,
        mut task: Box<Task>,
        now: Timestamp,
        dealt: &mut Dealt,
    ) {
        let id = candidate.id;
        let shard = Shard::of_place(id.place());
        let worker = self.sessions.get(&session).map(|session| session.worker.clone());
        let (Some(worker), true) = (worker, self.shards.is_held(shard, now)) else {
            dealt.aside.push((session, id, task));
            return;
        };
        if task.attempt == 0 {
            let ready = task.run_at.as_ref().map_or(0, to_micros).max(id.moment().as_micros());
            let wait = u64::try_from(now.as_micros().saturating_sub(ready)).unwrap_or(0);
            self.waits.push((candidate.tenant.clone(), candidate.priority, Duration::from_micros(wait)));
        }
        let token = Id::new(now, &mut self.rng);
        let until = now + self.config.lease();
        // A lease that was given back, and that the store has still: its attempt has not begun. Or one that is being recorded
        // although it is over.
        let was_recorded = self.records.may_be_there(id) || task.state() == TaskState::Running;
        if task.state() != TaskState::Running {
            task.attempt += 1;
        }
        task.state = TaskState::Running.into();
        task.started_at = Some(from_micros(now.as_micros()));
        task.worker = worker.to_string();
        let is_careful = self.shards.is_careful(shard, now);
        let mut held = Held {
            candidate,
            token,
            worker,
            session: Some(session),
            until,
            started_at: now,
            attempt: u32::try_from(task.attempt).unwrap_or(1),
            max_attempts: u32::try_from(task.max_attempts).unwrap_or(1),
            retry: task.options.as_ref().and_then(|options| options.retry.clone()).map(Box::new),
            group: task.group.clone(),
            recorded: was_recorded,
            written: false,
            ending: false,
            unheard: false,
            waiting: None,
        };
        if is_careful {
            dealt.careful.extend(record::to_record(&mut held, token));
            held.waiting = Some(task);
        } else {
            self.records.note(now, id, token);
            dealt.leases.entry(session).or_default().push(lease(task, token, until));
        }
        self.burden(session, &held);
        self.held.insert(id, held);
    }

    /// Notes what a lease takes of its worker, and what the worker will be warm for.
    fn burden(&mut self, session: SessionId, held: &Held) {
        let session = self.sessions.get_mut(&session);
        let (Some(session), Some(traits)) = (session, held.candidate.traits.as_deref()) else { return };
        session.view.free_memory = session.view.free_memory.saturating_sub(traits.reserved_memory());
        if let Some(affinity) = &traits.affinity {
            session.view.recent.retain(|known| known != affinity);
            session.view.recent.insert(0, affinity.clone());
            session.view.recent.truncate(WARM);
        }
    }

    /// Hands out what was read; what is not there any more is finished, and its credit is free again.
    pub(super) fn on_fetched(
        &mut self,
        session: SessionId,
        picked: Vec<Candidate>,
        tasks: Vec<Task>,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        self.fetching = self.fetching.saturating_sub(picked.len());
        let mut found: HashMap<Id, Box<Task>> =
            tasks.into_iter().filter_map(|task| Some((task.id.parse().ok()?, Box::new(task)))).collect();
        let mut dealt = Dealt::default();
        for candidate in picked {
            let id = candidate.id;
            match found.remove(&id) {
                // Lost and picked again meanwhile, it may have been handed out already.
                Some(task) if self.policy.runs(id) && !self.held.contains_key(&id) => {
                    self.hand_out(session, candidate, task, now, &mut dealt);
                }
                found => {
                    if found.is_none() {
                        self.policy.finished(id);
                        self.note_group_end(id);
                        self.forget_task(id);
                    }
                    self.on_credits(session, 1);
                }
            }
        }
        self.send_dealt(dealt, effects);
        self.read_later(effects);
    }

    pub(super) fn on_fetch_failed(
        &mut self,
        session: SessionId,
        picked: &[Candidate],
        effects: &mut Vec<Effect>,
    ) {
        self.fetching = self.fetching.saturating_sub(picked.len());
        for candidate in picked {
            // Lost and picked again meanwhile, it may have been handed out.
            if !self.held.contains_key(&candidate.id) {
                self.policy.returned(candidate.id);
            }
        }
        self.read_later(effects);
        self.on_credits(session, u32::try_from(picked.len()).unwrap_or(0));
    }

    /// What a worker held that closed its stream is given back. One that was lost may come again: its leases stand for a
    /// while.
    pub(super) fn on_left(
        &mut self,
        session: SessionId,
        lost: bool,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let Some(left) = self.sessions.remove(&session) else { return };
        self.policy.worker_left(session);
        self.settle(Some(session), left.ended.into(), effects);
        let keep = now + self.config.keep();
        let mut over = Vec::new();
        for held in self.held.values_mut().filter(|held| held.session == Some(session)) {
            held.session = None;
            if held.ending {
                continue;
            }
            if lost && held.waiting.is_none() {
                held.until = held.until.min(keep);
            } else {
                over.push(held.candidate.id);
            }
        }
        over.sort_unstable();
        over.into_iter().for_each(|task| self.give_back(task));
    }

    /// Says leases to a worker, in messages of a size that every client takes; similar tasks of a message as batches.
    pub(super) fn say_leases(&self, session: SessionId, leases: Vec<Lease>, effects: &mut Vec<Effect>) {
        let size =
            |lease: &Lease| lease.task.as_ref().map_or(0, |task| task.payload.len()) + lease.checkpoint.len();
        let is_alike = self.sessions.get(&session).is_some_and(|session| !session.view.recent.is_empty());
        let (mut message, mut bytes) = (Vec::new(), 0);
        let mut say = |leases: Vec<Lease>| {
            let (leases, batches) = if is_alike {
                partition(leases, BATCH, |lease| self.likeness(lease))
            } else {
                (leases, Vec::new())
            };
            let leases = api::Leases { leases, batches };
            effects.push(Effect::Say { session, message: Say::Leases(leases) });
        };
        for lease in leases {
            bytes += size(&lease);
            message.push(lease);
            if bytes > MESSAGE {
                bytes = 0;
                say(std::mem::take(&mut message));
            }
        }
        if !message.is_empty() {
            say(message);
        }
    }

    /// What a leased task has in common with others that a worker may run with it as one: tenant, kind, affinity.
    fn likeness(&self, lease: &Lease) -> Option<(TenantName, Kind, Arc<str>)> {
        let candidate = &self.held.get(&lease.task.as_ref()?.id.parse::<Id>().ok()?)?.candidate;
        let affinity = candidate.traits.as_ref()?.affinity.clone()?;
        Some((candidate.tenant.clone(), candidate.kind.clone(), affinity))
    }
}

/// A worker as it describes itself.
fn view(hello: &api::Hello, kinds: &[Kind]) -> Worker {
    let memory = if hello.memory_bytes == 0 { u64::MAX } else { hello.memory_bytes };
    let label = |(name, value): (&String, &String)| Arc::from(format!("{name}={value}"));
    let mut labels: Vec<Arc<str>> = hello.labels.iter().map(label).collect();
    labels.sort();
    let zone = Some(hello.zone.as_str()).filter(|zone| !zone.is_empty()).map(Arc::from);
    Worker { memory, free_memory: memory, labels, zone, ..Worker::of_kinds(kinds, 0) }
}

/// The message of a lease.
pub(super) fn lease(mut task: Box<Task>, token: Id, until: Timestamp) -> Lease {
    let checkpoint = std::mem::take(&mut task.checkpoint);
    let expires_at = Some(from_micros(until.as_micros()));
    Lease { token: token.to_string(), expires_at, checkpoint, task: Some(task) }
}
