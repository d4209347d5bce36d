//! A worker as a state machine: what schedulers and attempts say goes in, what is to be done comes out. It opens no
//! stream, runs nothing and reads no clock itself.
//!
//! Invariants:
//! - Attempts that run and credits that are given, over all schedulers, are never more than the slots.
//! - A result is kept until a scheduler has answered it, and sent to the task's owner as often as that changes.
//! - What a scheduler leased goes on when its stream ends, until nobody renews it for as long as a lease lasts.
//!
//! The protocol itself is told in `proto/tidemill/scheduling/v1/worker.proto`.

mod attempts;
mod link;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use tidemill_kernel::Id;
use tidemill_proto::scheduling::v1::work_request::Message as Say;
use tidemill_proto::scheduling::v1::work_response::Message as Hear;
use tidemill_proto::scheduling::v1::{Hello, Withdraw};
use tidemill_proto::types::v1::Task;
use tokio::task::AbortHandle;
use tokio::time::{Duration, Instant};

use crate::handler::{Done, Failed};
use crate::report::Report;
use crate::vitals::Vitals;

use attempts::Held;
use link::Link;

/// A scheduler, in the order in which they were found.
pub(crate) type LinkId = u32;

/// How often what changes slowly is looked at: idle credits, leases that end.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// How often an attempt's progress is sent at most.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// One attempt in this worker. Another attempt of the same task has another number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ticket {
    pub(crate) task: Id,
    pub(crate) serial: u64,
}

/// An attempt to be run.
#[derive(Debug, PartialEq)]
pub(crate) struct Job {
    pub(crate) ticket: Ticket,
    pub(crate) task: Box<Task>,
    pub(crate) checkpoint: Vec<u8>,
}

/// News of an attempt from who runs it.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are ends; a box each would cost more than the room"
)]
pub(crate) enum Ran {
    /// It will take a while, and can be stopped by this.
    Begun(Ticket, AbortHandle),
    /// It ended.
    Ended(Ticket, Result<Done, Failed>),
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Open a stream with this hello.
    Open(LinkId, Hello),
    /// Ask for it to be opened again, after a pause.
    Retry(LinkId),
    /// Say something.
    Say(LinkId, Say),
    /// Close the stream.
    Close(LinkId),
    /// Run attempts; the numbers say how many of them in a row are alike.
    Run(Vec<Job>, Vec<u32>),
    /// Stop an attempt, which has been begun if it has a handle.
    Stop(Ticket, Option<AbortHandle>),
}

/// The state.
#[derive(Debug)]
pub(crate) struct Pool {
    hello: Hello,
    slots: u32,
    links: BTreeMap<LinkId, Link>,
    /// Who said to run each shard, the latest last: the word of one that it does so no more may come after that of another.
    owners: HashMap<u32, Vec<LinkId>>,
    held: HashMap<Id, Held>,
    /// How many of `held` run.
    busy: u32,
    serial: u64,
    /// Attempts with progress that was not sent.
    news: Vec<Ticket>,
    next_news: Option<Instant>,
    vitals: Vitals,
    draining: bool,
    effects: Vec<Effect>,
}

impl Pool {
    /// A worker that knows no scheduler yet; `hello` is what it says of itself.
    pub(crate) fn new(hello: Hello) -> Self {
        Self {
            slots: hello.slots,
            hello,
            links: BTreeMap::new(),
            owners: HashMap::new(),
            held: HashMap::new(),
            busy: 0,
            serial: 0,
            news: Vec::new(),
            next_news: None,
            vitals: Vitals::default(),
            draining: false,
            effects: Vec::new(),
        }
    }

    /// What is to be done since it was asked last.
    pub(crate) fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// How many attempts run.
    pub(crate) fn busy(&self) -> u32 {
        self.busy
    }

    /// How many results have no answer yet.
    pub(crate) fn unanswered(&self) -> usize {
        self.held.len().saturating_sub(usize::try_from(self.busy).unwrap_or(usize::MAX))
    }

    /// How many slots schedulers may fill: none while no scheduler is there.
    pub(crate) fn open_slots(&self) -> u32 {
        if self.draining || !self.links.values().any(Link::is_open) { self.busy } else { self.slots }
    }

    /// Whether it takes no more tasks.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining
    }

    /// Whether the scheduler behind a link welcomed the worker.
    pub(crate) fn is_open(&self, link: LinkId) -> bool {
        self.links.get(&link).is_some_and(Link::is_open)
    }

    /// What a scheduler said.
    pub(crate) fn heard(&mut self, link: LinkId, message: Hear, now: Instant) {
        match message {
            Hear::Welcome(welcome) => self.on_welcome(link, &welcome, now),
            Hear::Shards(shards) => self.on_shards(link, shards.numbers, now),
            Hear::Leases(leases) => self.on_leases(link, leases, now),
            Hear::Outcomes(outcomes) => self.on_outcomes(link, outcomes.outcomes),
            Hear::Withdrawn(withdrawn) => self.on_withdrawn(link, withdrawn.count),
            Hear::Cancel(cancel) => self.on_cancel(&cancel),
            Hear::Drain(_) => self.on_drain(link),
        }
        self.spread();
    }

    /// What runs has got on.
    pub(crate) fn ran(&mut self, news: Vec<Ran>) {
        let mut ended = Vec::with_capacity(news.len());
        for news in news {
            match news {
                Ran::Begun(ticket, handle) => self.on_begun(ticket, handle),
                Ran::Ended(ticket, result) => ended.extend(self.on_ended(ticket, result)),
            }
        }
        self.send(&ended);
        self.spread();
        self.close_drained();
    }

    /// What an attempt said.
    pub(crate) fn reported(&mut self, report: Report) {
        self.on_report(report);
    }

    /// Time went by.
    pub(crate) fn tick(&mut self, now: Instant, vitals: impl FnOnce() -> Vitals) {
        let due: Vec<LinkId> =
            self.links.iter().filter(|(_, link)| link.is_due(now)).map(|(id, _)| *id).collect();
        if !due.is_empty() {
            self.vitals = vitals();
        }
        due.into_iter().for_each(|link| self.beat(link, now));
        if self.next_news.is_none_or(|next| next <= now) {
            self.next_news = Some(now + PROGRESS_EVERY);
            self.send_news();
        }
        self.expire(now);
        self.rebalance();
        self.links.values_mut().for_each(|link| link.spent = 0);
        self.spread();
        self.close_drained();
    }

    /// So many slots from now on.
    pub(crate) fn resize(&mut self, slots: u32) {
        self.slots = slots;
        let over = self.committed().saturating_sub(slots);
        self.withdraw(over);
        self.spread();
    }

    /// Takes no more tasks.
    pub(crate) fn drain(&mut self) {
        self.draining = true;
        self.withdraw(u32::MAX);
    }

    /// Attempts that run and credits that are given.
    fn committed(&self) -> u32 {
        self.busy + self.links.values().map(|link| link.credits).sum::<u32>()
    }

    /// Takes back up to so many credits.
    fn withdraw(&mut self, count: u32) {
        let mut left = count;
        for (id, link) in &mut self.links {
            let count = link.credits.saturating_sub(link.withdrawing).min(left);
            if count > 0 {
                left -= count;
                link.withdrawing += count;
                self.effects.push(Effect::Say(*id, Say::Withdraw(Withdraw { count })));
            }
        }
    }
}
