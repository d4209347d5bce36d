//! Limits that hold for all tenants together, and so across schedulers: what of them is this one's to use. The division
//! itself, and why it never gives away too much, is [`Division`]'s; here are the four rules that it asks of schedulers.
//!
//! The owner of one shard divides a limit, the shard that the hash of the limit's name says. Everybody asks it once in a second
//! for all limits that it divides, and at once when it took a shard over, or when tasks wait that the rest of a limit would
//! let start. A scheduler that nobody else can take shards from has every limit whole, and asks nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tidemill_kernel::{Shard, Timestamp};
use tidemill_policy::{Ask, Division, Limit, Rate, Scope, Share};

use super::{Effect, Engine, Epoch, Shards};

/// How often it asks.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How often it asks when something waits for the answer.
const ASK_SOON: Duration = Duration::from_millis(200);
/// When an answer is given up that nobody has given up before.
const LOST: Duration = Duration::from_secs(5);
/// So many times after it was used last, a rate is wanted still.
const IDLE: u32 = 3;

/// A question about limits to the scheduler that divides them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asks {
    /// Who asks.
    pub(crate) owner: String,
    /// Of all his questions.
    pub(crate) number: u64,
    /// What he runs.
    pub(crate) shards: Vec<Epoch>,
    /// How he stands under each limit.
    pub(crate) limits: Vec<Holding>,
}

/// How a scheduler stands under one limit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Holding {
    pub(crate) scope: Scope,
    pub(crate) holds: Share,
    pub(crate) running: u32,
    pub(crate) wants: Share,
    /// The epoch at which whoever is asked owns the shard that goes with dividing the limit.
    pub(crate) term: i64,
}

/// All of these limits.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) parts: BTreeMap<Scope, Part>,
    /// Of the last question.
    number: u64,
    /// The last question that each scheduler asked this one.
    heard: BTreeMap<String, u64>,
    /// Of the last reading of those that are stored, and of the last one that is in force; 0 before there was one.
    reading: u64,
    in_force: u64,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) limit: Limit,
    /// The shard whose owner divides it.
    divider: Shard,
    /// What may be used, once every shard was named.
    share: Share,
    /// The shards that the last answered question named, as far as they are run here still.
    named: BTreeSet<Epoch>,
    /// The question that is under way: its number, what it named, and when it was asked.
    asked: Option<(u64, BTreeSet<Epoch>, Timestamp)>,
    /// When to ask, and when if something waits for it.
    next: Timestamp,
    soon: Timestamp,
    /// What was told last.
    told: u32,
    slots: u32,
    idle: u32,
    /// The state of the division, if it is made here, since the divider's shard came at this epoch.
    division: Option<(i64, Division)>,
    /// Questions up to these numbers were asked before this limit was there.
    before: BTreeMap<String, u64>,
}

impl Shared {
    /// The number of a reading that begins.
    pub(super) fn read(&mut self) -> u64 {
        self.reading += 1;
        self.reading
    }

    /// Whether what was read is newer than what is in force. What was read with a shard, without a number, counts only while
    /// nothing was read before.
    pub(super) fn is_news(&mut self, reading: u64) -> bool {
        let is_news = if reading == 0 { self.in_force == 0 } else { reading > self.in_force };
        self.in_force = self.in_force.max(reading);
        is_news
    }

    /// One more limit. Nothing of it may be used yet.
    pub(super) fn begin(&mut self, scope: &Scope, limit: Limit) {
        let before = self.heard.clone();
        self.parts.insert(scope.clone(), Part { before, ..Part::new(scope, limit) });
    }

    /// What they apply to.
    pub(super) fn scopes(&self) -> impl Iterator<Item = &Scope> {
        self.parts.keys()
    }

    /// The clock was set back by this much.
    pub(super) fn set_back(&mut self, by: Duration) {
        for part in self.parts.values_mut() {
            (part.next, part.soon) = (part.next - by, part.soon - by);
            part.asked.iter_mut().for_each(|asked| asked.2 = asked.2 - by);
        }
    }
}

impl Part {
    fn new(scope: &Scope, limit: Limit) -> Self {
        let name = match scope {
            Scope::Kind(kind) => format!("kind:{}", kind.as_str()),
            Scope::Key(key) => format!("key:{key}"),
            _ => String::new(),
        };
        let (never, named) = (Timestamp::default(), BTreeSet::new());
        Self {
            limit,
            divider: Shard::of_name(&name),
            share: Share::NONE,
            named,
            asked: None,
            next: never,
            soon: never,
            told: 0,
            slots: 0,
            idle: IDLE,
            division: None,
            before: BTreeMap::new(),
        }
    }

    /// Another limit of the same scope. Of one that was lowered it keeps what runs, and no answer counts that is on its way.
    pub(super) fn change(&mut self, limit: Limit, running: u32) {
        let before = std::mem::replace(&mut self.limit, limit);
        if before.concurrency.zip(limit.concurrency).is_some_and(|(before, after)| after < before) {
            self.share.concurrency = self.share.concurrency.min(running);
            self.asked = None;
        }
        let is_slower = |(before, after): (Rate, Rate)| {
            after.per_second < before.per_second || after.burst < before.burst
        };
        if before.rate.zip(limit.rate).is_some_and(is_slower) {
            self.share.rate = Share::NONE.rate;
            self.asked = None;
        }
        self.next = Timestamp::default();
    }

    /// What may be used of it. Of what it does not limit that is anything, which matters to a divider that knows more of it.
    fn holds(&self) -> Share {
        let Share { concurrency, rate } = self.share;
        Share {
            concurrency: self.limit.concurrency.map_or(Share::ALL.concurrency, |_| concurrency),
            rate: self.limit.rate.map_or(Share::ALL.rate, |_| rate),
        }
    }

    /// What may be used now: nothing while a shard is run here that the divider may not know of.
    pub(super) fn in_force(&self, shards: &Shards) -> Share {
        let is_known = shards.loaded().all(|epoch| self.named.contains(&epoch));
        if shards.is_alone() {
            Share::ALL
        } else if is_known {
            self.share
        } else {
            Share::NONE
        }
    }
}

impl Engine {
    /// Asks the dividers that it is time to ask.
    pub(super) fn ask_shares(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.shared.parts.is_empty() || self.shards.is_alone() {
            return;
        }
        let named: BTreeSet<Epoch> = self.shards.loaded().collect();
        let due: Vec<Scope> = self
            .shared
            .parts
            .iter()
            .filter(|(scope, part)| self.is_due(scope, part, now))
            .map(|row| row.0.clone())
            .collect();
        if due.is_empty() || named.is_empty() {
            return;
        }
        let mut questions: BTreeMap<String, Vec<Holding>> = BTreeMap::new();
        for scope in due {
            let Some(part) = self.shared.parts.get_mut(&scope) else { continue };
            (part.next, part.soon) = (now + ASK_EVERY, now + ASK_SOON);
            // Where nobody runs it, or nobody knows where, what is held is held.
            let Some((term, address)) = self.shards.runner_of(part.divider, now) else { continue };
            let holding = self.holding(&scope, term);
            questions.entry(address).or_default().extend(holding);
        }
        for (address, limits) in questions {
            let asks = self.question(limits, &named, now);
            if address.is_empty() {
                let shares = self.divide(&asks, now);
                self.on_shares(asks.number, &shares, now);
            } else {
                effects.push(Effect::AskShares { address, asks });
            }
        }
    }

    fn question(&mut self, limits: Vec<Holding>, named: &BTreeSet<Epoch>, now: Timestamp) -> Asks {
        self.shared.number += 1;
        let number = self.shared.number;
        for holding in &limits {
            if let Some(part) = self.shared.parts.get_mut(&holding.scope) {
                part.asked = Some((number, named.clone(), now));
            }
        }
        let (owner, shards) = (self.shards.owner().to_owned(), named.iter().copied().collect());
        Asks { owner, number, shards, limits }
    }

    fn is_due(&self, scope: &Scope, part: &Part, now: Timestamp) -> bool {
        if part.asked.as_ref().is_some_and(|asked| now < asked.2 + LOST) {
            return false;
        }
        // What it was told to give up and has given up, others may have.
        let gave_up = || part.told > part.share.concurrency && self.policy.running_under(scope) < part.told;
        now >= part.next || (now >= part.soon && (self.policy.is_short(scope) || gave_up()))
    }

    /// How it stands under a limit. Whoever did not use up what he had wants little more than he used.
    fn holding(&mut self, scope: &Scope, term: i64) -> Option<Holding> {
        let used = self.policy.take_use(scope)?;
        let part = self.shared.parts.get_mut(scope)?;
        let queued = u32::try_from(used.queued).unwrap_or(u32::MAX);
        let most = if used.was_full { u32::MAX } else { used.peak.saturating_add(1) };
        let slots = used.peak.max(used.running.saturating_add(queued)).min(most);
        let is_idle = used.queued == 0 && used.started == 0;
        part.idle = if is_idle { part.idle.saturating_add(1) } else { 0 };
        // What comes and goes is wanted a while longer.
        part.slots = slots.max(part.slots / 2);
        part.told = used.running;
        let rate = if part.idle < IDLE { Share::ALL.rate } else { Share::NONE.rate };
        let wants = Share { concurrency: part.slots, rate };
        let wants = if self.draining { Share::NONE } else { wants };
        let holds = part.holds();
        Some(Holding { scope: scope.clone(), holds, running: used.running, wants, term })
    }

    /// Says what another scheduler, or this one, may use of the limits that are divided here.
    pub(super) fn divide(&mut self, asks: &Asks, now: Timestamp) -> Vec<(Scope, Share)> {
        let Self { shared, shards, .. } = self;
        let mut shares = Vec::with_capacity(asks.limits.len());
        let heard = shared.heard.entry(asks.owner.clone()).or_default();
        *heard = asks.number.max(*heard);
        for Holding { scope, holds, running, wants, term } in &asks.limits {
            let Some(part) = shared.parts.get_mut(scope) else { continue };
            if part.before.get(&asks.owner).is_some_and(|before| asks.number <= *before) {
                continue;
            }
            let epoch = shards.epoch(part.divider).filter(|_| shards.is_held(part.divider, now));
            let Some(epoch) = epoch.filter(|epoch| epoch == term) else { continue };
            if part.division.as_ref().is_none_or(|division| division.0 != epoch) {
                part.division = Some((epoch, Division::default()));
            }
            let ask = Ask {
                owner: asks.owner.clone(),
                number: asks.number,
                shards: asks.shards.clone(),
                holds: *holds,
                running: *running,
                wants: *wants,
            };
            let division = part.division.as_mut().map(|division| &mut division.1);
            shares.extend(division.map(|division| (scope.clone(), division.ask(&ask, part.limit, now))));
        }
        shares
    }

    /// Takes in what may be used from now on. An answer to a question that is not the last one counts for nothing.
    pub(super) fn on_shares(&mut self, number: u64, shares: &[(Scope, Share)], now: Timestamp) {
        let Self { shared, shards, policy, .. } = self;
        for (scope, part) in &mut shared.parts {
            let Some((_, named, _)) = part.asked.take_if(|asked| asked.0 == number) else { continue };
            let Some((_, share)) = shares.iter().find(|share| share.0 == *scope) else { continue };
            (part.share, part.named) = (*share, named);
            policy.set_share(scope, part.in_force(shards), now);
        }
    }

    /// A shard came: nothing more starts under these limits until their dividers know of it, so they are asked at once.
    pub(super) fn gain_shares(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        for (scope, part) in &mut self.shared.parts {
            part.next = Timestamp::default();
            self.policy.set_share(scope, part.in_force(&self.shards), now);
        }
        self.ask_shares(now, effects);
    }

    /// How many tasks run under each of these limits.
    pub(super) fn shared_running(&self) -> Vec<u32> {
        self.shared.scopes().map(|scope| self.policy.running_under(scope)).collect()
    }

    /// A shard is lost: what ran of it goes with it, from what may be used. `before`: how much ran with it.
    pub(super) fn lose_shares(&mut self, before: &[u32], now: Timestamp) {
        let Self { shared, shards, policy, .. } = self;
        for ((scope, part), before) in shared.parts.iter_mut().zip(before) {
            let ran = before.saturating_sub(policy.running_under(scope));
            part.share.concurrency = part.share.concurrency.saturating_sub(ran);
            part.named = shards.loaded().filter(|epoch| part.named.contains(epoch)).collect();
            if part.named.is_empty() {
                part.share = Share::NONE;
            }
            (part.asked, part.next) = (None, Timestamp::default());
            policy.set_share(scope, part.in_force(shards), now);
        }
    }
}
