//! The state of a part's endpoints, and which of them gets the next call: a pure state machine.
//!
//! Who gets a call, step by step:
//! 1. An endpoint whose breaker is half-open gets it as a probe, because its figures still speak against it.
//! 2. Out of the question are those whose breaker is open, those that are ejected ([`ejection`]), and, as long as others
//!    are left, those that the call has tried already.
//! 3. Where a zone of one's own is set, its endpoints get the share that [`zone`] gives them.
//! 4. Among the rest the [`policy`] chooses, with the share of those that are new or light made smaller ([`share`]).

pub mod ejection;
pub mod ending;
pub mod policy;
pub mod share;
pub mod zone;

use std::time::Duration;

use rand::RngCore;
use tidemill_kernel::Timestamp;
use tidemill_kernel::breaker::{Breaker, BreakerConfig, Decision, Permit, State};
use tidemill_kernel::ewma::PeakEwma;

pub use ejection::EjectionConfig;
pub use ending::Ending;
pub use policy::Policy;

/// What an endpoint is believed to take before it has answered.
const INITIAL: Duration = Duration::from_millis(1);
/// How fast latencies are forgotten.
const DECAY: Duration = Duration::from_secs(10);
/// What a failed call counts as at least.
const PENALTY: Duration = Duration::from_secs(1);

/// How calls are spread.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rules {
    /// Who of those that work gets a call.
    pub policy: Policy,
    /// The own zone, whose endpoints are preferred; none: zones do not matter.
    pub zone: Option<String>,
    /// When an endpoint is left alone for a while.
    pub breaker: BreakerConfig,
    /// When an endpoint that is worse than the others is left out for a while.
    pub ejection: EjectionConfig,
    /// How long the share of a new or recovered endpoint grows until it is whole; zero: it is whole at once.
    pub slow_start: Duration,
}

/// An endpoint as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<K> {
    /// What tells it apart.
    pub key: K,
    /// Where it runs, if that is known.
    pub zone: Option<String>,
    /// Its share of the calls relative to the others'.
    pub weight: u32,
}

/// The endpoints of one part, told apart by keys.
#[derive(Debug)]
pub struct Endpoints<K> {
    rules: Rules,
    seed: u64,
    all: Vec<Endpoint<K>>,
    next_serial: u64,
    /// When the endpoints are compared next; not before there are any.
    reviewed_at: Option<Timestamp>,
    /// Kept between calls for its memory only.
    candidates: Vec<usize>,
}

#[derive(Debug)]
struct Endpoint<K> {
    member: Member<K>,
    /// One that leaves and comes back is another one: calls of its former life say nothing about it.
    serial: u64,
    /// When it came, or had recovered.
    since: Timestamp,
    latency: PeakEwma,
    breaker: Breaker,
    pending: usize,
    /// Its place in the round of the policies that go round, and who of equals comes first.
    turn: f64,
    rank: u64,
    record: ejection::Record,
}

/// One call on its way to an endpoint. Hand it back with how it ended.
#[derive(Debug)]
#[must_use]
pub struct Pick {
    /// Which endpoint, until the next [`Endpoints::replace`].
    index: usize,
    serial: u64,
    permit: Permit,
    begun: Timestamp,
}

impl Pick {
    /// The endpoint's number, which no other endpoint ever has: for the list of those that a call has tried.
    pub fn serial(&self) -> u64 {
        self.serial
    }
}

/// How many endpoints stand how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// In use.
    pub closed: usize,
    /// Their breaker is open.
    pub open: usize,
    /// Their breaker lets probes through.
    pub half_open: usize,
    /// In use no more than the ceiling on ejections demands, because they are worse than the others.
    pub ejected: usize,
}

impl<K> Endpoint<K> {
    /// Since when calls go to it again, for slow start: since it came, recovered, or was ejected.
    fn in_use_since(&self) -> Timestamp {
        self.record.out_until().map_or(self.since, |until| until.max(self.since))
    }
}

impl<K: PartialEq> Endpoints<K> {
    /// No endpoints yet; each that comes gets a breaker of its own. The seed tells clients apart that go round.
    pub fn new(rules: Rules, seed: u64) -> Self {
        Self { rules, seed, all: Vec::new(), next_serial: 0, reviewed_at: None, candidates: Vec::new() }
    }

    /// Makes these the endpoints. What is known of those that stay is kept, nothing is known of the others.
    pub fn replace(&mut self, members: impl IntoIterator<Item = Member<K>>, now: Timestamp) {
        let mut before = std::mem::take(&mut self.all);
        for member in members {
            let endpoint = match before.iter().position(|endpoint| endpoint.member.key == member.key) {
                Some(index) => Endpoint { member, ..before.swap_remove(index) },
                None => self.fresh(member, now),
            };
            self.all.push(endpoint);
        }
    }

    fn fresh(&mut self, member: Member<K>, now: Timestamp) -> Endpoint<K> {
        self.next_serial += 1;
        Endpoint {
            member,
            serial: self.next_serial,
            since: now,
            latency: PeakEwma::new(INITIAL, DECAY, now),
            breaker: Breaker::new(self.rules.breaker.clone()),
            pending: 0,
            turn: 0.0,
            rank: policy::rank(self.seed, self.next_serial),
            record: ejection::Record::default(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The endpoint of a pick; `None` if it has left since.
    pub fn key(&self, pick: &Pick) -> Option<&K> {
        self.all.get(self.place(pick)?).map(|endpoint| &endpoint.member.key)
    }

    /// How many stand how now.
    pub fn standing(&self, now: Timestamp) -> Standing {
        let mut standing = Standing::default();
        for endpoint in &self.all {
            *match endpoint.breaker.state(now) {
                State::Closed if endpoint.record.is_ejected(now) => &mut standing.ejected,
                State::Closed => &mut standing.closed,
                State::Open => &mut standing.open,
                State::HalfOpen => &mut standing.half_open,
            } += 1;
        }
        standing
    }

    /// Where the endpoint of a pick stands now.
    fn place(&self, pick: &Pick) -> Option<usize> {
        let is_it = |endpoint: &Endpoint<K>| endpoint.serial == pick.serial;
        if self.all.get(pick.index).is_some_and(is_it) {
            return Some(pick.index);
        }
        self.all.iter().position(is_it)
    }

    /// The endpoint for a call that begins now and has tried these (by [`Pick::serial`]) already; if every breaker is
    /// open, the moment when asking again makes sense: now, if there is no endpoint at all.
    pub fn pick(&mut self, now: Timestamp, rng: &mut impl RngCore, tried: &[u64]) -> Result<Pick, Timestamp> {
        ejection::review(&self.rules.ejection, &mut self.reviewed_at, &mut self.all, now);
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.clear();
        let probe = self.probe_or_collect(now, tried, &mut candidates);
        let pick = probe.or_else(|reopens| {
            let is_untried = |index: &usize| !tried.contains(&self.all[*index].serial);
            if !tried.is_empty() && candidates.iter().any(is_untried) {
                candidates.retain(is_untried);
            }
            if let Some(own) = &self.rules.zone {
                zone::keep(own, &self.all, &mut candidates, rng);
            }
            let (policy, slow_start) = (self.rules.policy, self.rules.slow_start);
            let index = policy.choose(&mut self.all, &mut candidates, slow_start, now, rng);
            index.map_or(Err(reopens), |index| self.take(index, now))
        });
        self.candidates = candidates;
        pick
    }

    /// A probe, if one is due; else collects those that are in use, and tells the earliest moment at which a breaker
    /// opens its door.
    fn probe_or_collect(
        &mut self,
        now: Timestamp,
        tried: &[u64],
        candidates: &mut Vec<usize>,
    ) -> Result<Pick, Timestamp> {
        let mut ejected = Vec::new();
        let mut reopens: Option<Timestamp> = None;
        for index in 0..self.all.len() {
            let endpoint = &self.all[index];
            if endpoint.breaker.state(now) == State::Closed {
                if endpoint.record.is_ejected(now) { &mut ejected } else { &mut *candidates }.push(index);
            } else if !tried.contains(&endpoint.serial) {
                match self.take(index, now) {
                    Ok(pick) => return Ok(pick),
                    Err(until) => reopens = Some(reopens.map_or(until, |earliest| earliest.min(until))),
                }
            }
        }
        if !ejected.is_empty() {
            let max_share = self.rules.ejection.max_share;
            ejection::readmit(max_share, &self.all, candidates, ejected);
        }
        Err(reopens.unwrap_or(now))
    }

    /// The call of this endpoint, if its breaker lets it through; else when it will.
    fn take(&mut self, index: usize, now: Timestamp) -> Result<Pick, Timestamp> {
        let endpoint = &mut self.all[index];
        match endpoint.breaker.allow(now) {
            Decision::Allow(permit) => {
                endpoint.pending += 1;
                Ok(Pick { index, serial: endpoint.serial, permit, begun: now })
            }
            Decision::Refuse(until) => Err(until),
        }
    }

    /// Takes in how a call ended; nothing, if its endpoint has left.
    pub fn finish(&mut self, pick: Pick, now: Timestamp, ending: Ending) {
        let Some(index) = self.place(&pick) else { return };
        let endpoint = &mut self.all[index];
        endpoint.pending = endpoint.pending.saturating_sub(1);
        endpoint.record.count(ending);
        let latency = now.since(pick.begun);
        match ending {
            Ending::Answered | Ending::Faulty => endpoint.latency.record(now, latency),
            Ending::Overloaded | Ending::Failed => endpoint.latency.record_failure(now, latency, PENALTY),
            // How long it would have taken is not known: only bad news is news.
            Ending::TimedOut | Ending::Abandoned if latency > endpoint.latency.estimate(now) => {
                endpoint.latency.record(now, latency);
            }
            Ending::TimedOut | Ending::Abandoned => {}
        }
        let was = endpoint.breaker.state(now);
        endpoint.breaker.record(now, pick.permit, ending.outcome(was));
        if was == State::HalfOpen && endpoint.breaker.state(now) == State::Closed {
            endpoint.latency = PeakEwma::new(latency, DECAY, now);
            endpoint.since = now;
        }
        ejection::notice(&self.rules.ejection, &mut self.all, index, now);
    }
}

#[cfg(test)]
mod tests;
