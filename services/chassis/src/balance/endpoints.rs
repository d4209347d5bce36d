//! The state of a part's endpoints, and which of them gets the next call: a pure state machine.
//!
//! The better of two picked at random, by peak-EWMA latency times (pending calls + 1), among those whose breaker is
//! closed. An endpoint whose pause is over gets one call as its probe before any other is considered, because its
//! estimate still speaks against it; once the probe succeeds the estimate starts anew.

use std::time::Duration;

use rand::RngCore;
use tidemill_kernel::Timestamp;
use tidemill_kernel::breaker::{Breaker, BreakerConfig, Decision, Outcome, Permit, State};
use tidemill_kernel::ewma::PeakEwma;
use tidemill_kernel::p2c;

/// What an endpoint is believed to take before it has answered.
const INITIAL: Duration = Duration::from_millis(1);
/// How fast latencies are forgotten.
const DECAY: Duration = Duration::from_secs(10);
/// What a failed call counts as at least.
const PENALTY: Duration = Duration::from_secs(1);

/// The endpoints of one part, told apart by keys.
#[derive(Debug)]
pub struct Endpoints<K> {
    breaker: BreakerConfig,
    all: Vec<Endpoint<K>>,
    next_serial: u64,
}

#[derive(Debug)]
struct Endpoint<K> {
    key: K,
    /// One that leaves and comes back is another one: calls of its former life say nothing about it.
    serial: u64,
    latency: PeakEwma,
    breaker: Breaker,
    pending: usize,
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

/// How a call ended, as far as it speaks about the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It answered, be it with a refusal.
    Answered,
    /// It is overloaded and said so: works, but is no good choice now.
    Overloaded,
    /// It cannot be reached or does not work.
    Failed,
    /// The caller gave up first.
    Abandoned,
}

impl<K: PartialEq> Endpoints<K> {
    /// No endpoints yet; each that comes gets a breaker of its own.
    pub fn new(breaker: BreakerConfig) -> Self {
        Self { breaker, all: Vec::new(), next_serial: 0 }
    }

    /// Makes these the endpoints. What is known of those that stay is kept, nothing is known of the others.
    pub fn replace(&mut self, keys: impl IntoIterator<Item = K>, now: Timestamp) {
        let mut before = std::mem::take(&mut self.all);
        for key in keys {
            let endpoint = match before.iter().position(|endpoint| endpoint.key == key) {
                Some(index) => before.swap_remove(index),
                None => self.fresh(key, now),
            };
            self.all.push(endpoint);
        }
    }

    fn fresh(&mut self, key: K, now: Timestamp) -> Endpoint<K> {
        self.next_serial += 1;
        Endpoint {
            key,
            serial: self.next_serial,
            latency: PeakEwma::new(INITIAL, DECAY, now),
            breaker: Breaker::new(self.breaker.clone()),
            pending: 0,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The endpoint of a pick; `None` if it has left since.
    pub fn key(&self, pick: &Pick) -> Option<&K> {
        self.all.get(self.place(pick)?).map(|endpoint| &endpoint.key)
    }

    /// Where the endpoint of a pick stands now.
    fn place(&self, pick: &Pick) -> Option<usize> {
        let is_it = |endpoint: &Endpoint<K>| endpoint.serial == pick.serial;
        if self.all.get(pick.index).is_some_and(is_it) {
            return Some(pick.index);
        }
        self.all.iter().position(is_it)
    }

    /// The endpoint for a call that begins now; if every breaker is open, the moment when asking again makes sense: now,
    /// if there is no endpoint at all.
    pub fn pick(&mut self, now: Timestamp, rng: &mut impl RngCore) -> Result<Pick, Timestamp> {
        if self.all.is_empty() {
            return Err(now);
        }
        let state = |index: &usize| self.all[*index].breaker.state(now);
        let closed: Vec<usize> = (0..self.all.len()).filter(|index| state(index) == State::Closed).collect();
        if closed.len() < self.all.len() {
            let others: Vec<usize> =
                (0..self.all.len()).filter(|index| state(index) != State::Closed).collect();
            let probe = self.first_allowed(&others, now);
            if probe.is_ok() || closed.is_empty() {
                return probe;
            }
        }
        let load = |place: usize| {
            let endpoint = &self.all[closed[place]];
            endpoint.latency.load(now, endpoint.pending)
        };
        let index = p2c::pick_by(closed.len(), load, rng).map_or(0, |place| closed[place]);
        self.first_allowed(&[index], now)
    }

    /// Takes in how a call ended; nothing, if its endpoint has left.
    pub fn finish(&mut self, pick: Pick, now: Timestamp, ending: Ending) {
        let Some(endpoint) = self.place(&pick).and_then(|index| self.all.get_mut(index)) else { return };
        endpoint.pending = endpoint.pending.saturating_sub(1);
        let latency = now.since(pick.begun);
        match ending {
            Ending::Answered => endpoint.latency.record(now, latency),
            Ending::Overloaded | Ending::Failed => endpoint.latency.record_failure(now, latency, PENALTY),
            // How long it would have taken is not known: only bad news is news.
            Ending::Abandoned if latency > endpoint.latency.estimate(now) => {
                endpoint.latency.record(now, latency);
            }
            Ending::Abandoned => {}
        }
        let was = endpoint.breaker.state(now);
        endpoint.breaker.record(now, pick.permit, ending.outcome());
        if was == State::HalfOpen && endpoint.breaker.state(now) == State::Closed {
            endpoint.latency = PeakEwma::new(latency, DECAY, now);
        }
    }

    /// The first of these whose breaker lets a call through, else the earliest moment at which one will.
    fn first_allowed(&mut self, indices: &[usize], now: Timestamp) -> Result<Pick, Timestamp> {
        let mut earliest: Option<Timestamp> = None;
        for &index in indices {
            let endpoint = &mut self.all[index];
            match endpoint.breaker.allow(now) {
                Decision::Allow(permit) => {
                    endpoint.pending += 1;
                    return Ok(Pick { index, serial: endpoint.serial, permit, begun: now });
                }
                Decision::Refuse(until) => {
                    earliest = Some(earliest.map_or(until, |moment| moment.min(until)));
                }
            }
        }
        Err(earliest.unwrap_or(now))
    }
}

impl Ending {
    fn outcome(self) -> Outcome {
        match self {
            Self::Answered => Outcome::Success,
            Self::Failed => Outcome::Failure,
            Self::Overloaded | Self::Abandoned => Outcome::Neutral,
        }
    }
}

#[cfg(test)]
mod tests;
