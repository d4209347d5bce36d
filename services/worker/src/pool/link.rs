//! The worker's side of each scheduler: whether it is there, what it may give, which shards it runs.

use tidemill_proto::scheduling::v1::work_request::Message as Say;
use tidemill_proto::scheduling::v1::{Credits, Hello, Welcome, Withdraw};
use tidemill_proto::time::length;
use tokio::time::{Duration, Instant};
use tracing::debug;

use super::{Effect, LinkId, Pool};
use crate::balance::{Load, divide, withdraw};

/// How many results may be without an answer before they count as slots, besides four for each slot: a store that is slow to
/// commit must not make memory grow.
const UNANSWERED: u32 = 1_024;

/// How long a lease lasts where the scheduler does not say.
const LEASE: Duration = Duration::from_secs(10);

/// How far the stream of a link has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not open, until it is due again.
    Away,
    /// Hello was said.
    Opening,
    /// The worker is welcome.
    Open,
    /// It takes no more credits; it is closed when nothing is left for it.
    Draining,
    /// It was closed from here.
    Closed,
}

/// One scheduler.
#[derive(Debug)]
pub(super) struct Link {
    phase: Phase,
    /// Whether it is opened again when it ends.
    is_listed: bool,
    scheduler: String,
    /// Credits that it has not spent.
    pub(super) credits: u32,
    /// Credits that it was asked to give back.
    pub(super) withdrawing: u32,
    /// Leases that it gave since the last tick.
    pub(super) spent: u32,
    pub(super) lease: Duration,
    pub(super) keep: Duration,
    /// Whether it told which shards it runs.
    pub(super) tells_shards: bool,
    next_beat: Option<Instant>,
}

impl Link {
    fn new() -> Self {
        Self {
            phase: Phase::Away,
            is_listed: true,
            scheduler: String::new(),
            credits: 0,
            withdrawing: 0,
            spent: 0,
            lease: LEASE,
            keep: Duration::ZERO,
            tells_shards: false,
            next_beat: None,
        }
    }

    /// Whether it may be given credits.
    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Whether it hears what is said.
    pub(super) fn hears(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Draining)
    }

    /// Whether it is time for a heartbeat.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.hears() && self.next_beat.is_some_and(|next| next <= now)
    }

    fn load(&self) -> Load {
        Load { credits: self.credits, withdrawing: self.withdrawing, spent: self.spent }
    }

    /// A heartbeat is said now.
    pub(super) fn beaten(&mut self, now: Instant) {
        self.next_beat = Some(now + (self.lease / 3).max(Duration::from_millis(10)));
    }
}

impl Pool {
    /// A scheduler is found; it is to be opened.
    pub(crate) fn found(&mut self, id: LinkId) {
        self.links.entry(id).or_insert_with(Link::new).is_listed = true;
        self.due(id);
    }

    /// A scheduler is no longer listed: its stream, while it lasts, is used.
    pub(crate) fn gone(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.is_listed = false;
        if link.phase == Phase::Away {
            self.links.remove(&id);
        }
    }

    /// The pause before a scheduler is tried again is over.
    pub(crate) fn due(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if self.draining || !link.is_listed || link.phase != Phase::Away {
            return;
        }
        link.phase = Phase::Opening;
        let running = self.held.iter().map(|(task, held)| held.named(*task)).collect();
        let hello = Hello { running, slots: self.slots, ..self.hello.clone() };
        self.effects.push(Effect::Open(id, hello));
    }

    /// The stream of a scheduler ended.
    pub(crate) fn lost(&mut self, id: LinkId, now: Instant) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let keep = link.keep;
        let again = Link { is_listed: link.is_listed, ..Link::new() };
        let is_listed = link.is_listed;
        self.orphan(id, keep, now);
        self.owners.values_mut().for_each(|owners| owners.retain(|owner| *owner != id));
        if is_listed {
            self.links.insert(id, again);
            self.effects.push(Effect::Retry(id));
        } else {
            self.links.remove(&id);
        }
        // Another scheduler may run the shards by now.
        self.send_held_back();
        self.spread();
    }

    pub(super) fn on_welcome(&mut self, id: LinkId, welcome: &Welcome, now: Instant) {
        let name = &welcome.scheduler;
        let is_double = !name.is_empty()
            && self.links.iter().any(|(other, link)| *other != id && link.hears() && link.scheduler == *name);
        let Some(link) = self.links.get_mut(&id) else { return };
        if is_double {
            debug!(scheduler = name, "a second address of the same scheduler: its stream is closed");
            link.phase = Phase::Closed;
            self.effects.push(Effect::Close(id));
            return;
        }
        link.phase = Phase::Open;
        link.scheduler.clone_from(name);
        link.lease = welcome.lease_duration.as_ref().map_or(LEASE, length);
        link.keep = welcome.keep_duration.as_ref().map_or(Duration::ZERO, length);
        link.beaten(now);
        if self.draining {
            // It hears what is left to say, and gets no credits.
            link.phase = Phase::Draining;
        }
        self.send_held_back();
    }

    pub(super) fn on_shards(&mut self, id: LinkId, numbers: Vec<u32>, now: Instant) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.tells_shards = true;
        for (number, owners) in &mut self.owners {
            if !numbers.contains(number) {
                owners.retain(|owner| *owner != id);
            }
        }
        let mut is_new = false;
        for number in numbers {
            let owners = self.owners.entry(number).or_default();
            if !owners.contains(&id) {
                owners.push(id);
                is_new = true;
            }
        }
        if is_new {
            // What a shard's new owner is told in time, it does not give to others.
            if self.held.values().any(|held| self.owner(held) == Some(id)) {
                self.beat(id, now);
            }
            self.send_held_back();
        }
        self.close_drained();
    }

    pub(super) fn on_withdrawn(&mut self, id: LinkId, count: u32) {
        if let Some(link) = self.links.get_mut(&id) {
            link.credits = link.credits.saturating_sub(count);
            link.withdrawing = 0;
        }
    }

    pub(super) fn on_drain(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(&id)
            && matches!(link.phase, Phase::Opening | Phase::Open)
        {
            link.phase = Phase::Draining;
            (link.credits, link.withdrawing) = (0, 0);
        }
        self.close_drained();
    }

    /// Closes the streams of schedulers that are to stop and have nothing left to hear.
    pub(super) fn close_drained(&mut self) {
        if self.draining {
            // The whole worker ends in a moment.
            return;
        }
        let is_draining = |link: &Link| link.phase == Phase::Draining;
        let draining: Vec<LinkId> =
            self.links.iter().filter(|(_, link)| is_draining(link)).map(|(id, _)| *id).collect();
        for id in draining {
            if self.held.values().all(|held| self.owner(held) != Some(id)) {
                self.links.entry(id).and_modify(|link| link.phase = Phase::Closed);
                self.effects.push(Effect::Close(id));
            }
        }
    }

    /// Gives out the credits that are free.
    pub(super) fn spread(&mut self) {
        if self.draining {
            return;
        }
        let unanswered = u32::try_from(self.unanswered()).unwrap_or(u32::MAX);
        let over = unanswered.saturating_sub(UNANSWERED.saturating_add(self.slots.saturating_mul(4)));
        let free = self.slots.saturating_sub(self.committed()).saturating_sub(over);
        if free == 0 {
            return;
        }
        let open = || self.links.iter().filter(|(_, link)| link.is_open());
        let ids: Vec<LinkId> = open().map(|(id, _)| *id).collect();
        let given = divide(free, &open().map(|(_, link)| link.load()).collect::<Vec<_>>());
        for (id, count) in ids.into_iter().zip(given).filter(|(_, count)| *count > 0) {
            self.links.entry(id).and_modify(|link| link.credits += count);
            self.effects.push(Effect::Say(id, Say::Credits(Credits { count })));
        }
    }

    /// Asks schedulers whose credits lie idle to give some back, if another one has none.
    pub(super) fn rebalance(&mut self) {
        if self.draining {
            return;
        }
        let open = || self.links.iter().filter(|(_, link)| link.is_open());
        let ids: Vec<LinkId> = open().map(|(id, _)| *id).collect();
        let taken = withdraw(self.slots, &open().map(|(_, link)| link.load()).collect::<Vec<_>>());
        for (id, count) in ids.into_iter().zip(taken).filter(|(_, count)| *count > 0) {
            self.links.entry(id).and_modify(|link| link.withdrawing = count);
            self.effects.push(Effect::Say(id, Say::Withdraw(Withdraw { count })));
        }
    }
}
