//! Circuit breaker: stops calling what keeps failing, and finds out carefully when it has recovered.
//!
//! ```text
//!            too many failures                 pause over
//!   closed ---------------------> open ------------------------> half-open
//!     ^                             ^                              |    |
//!     |                             +------ a probe fails ---------+    |
//!     +-------------------- all probes succeed -------------------------+
//! ```
//! Too many: so many in a row, or a share of the calls in a sliding window that saw enough of them. Half-open lets a
//! few probes through; a probe whose outcome never comes is replaced after another pause, so nothing sticks. A
//! permit belongs to the state it was given in: outcomes of calls from before a change of state are ignored.
//!
//! Source: M. Nygard, "Release It!", 2007, ch. 5; the window follows Hystrix and resilience4j.

use std::time::Duration;

use crate::Timestamp;
use crate::window::SlidingCounts;

const SUCCESS: usize = 0;
const FAILURE: usize = 1;

/// When a breaker opens and how it closes again.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakerConfig {
    /// Opens after this many failures in a row; 0 turns this rule off.
    pub consecutive_failures: u32,
    /// Opens when at least this share (0 to 1) of the calls in the window failed; above 1 turns this rule off.
    pub failure_ratio: f64,
    /// How far back the share looks.
    pub window: Duration,
    /// The share counts only from this many calls in the window on.
    pub minimum_volume: u64,
    /// How long it stays open at first.
    pub pause: Duration,
    /// How long it stays open at most when one probe after the other fails; no more than `pause` means always `pause`.
    pub longest_pause: Duration,
    /// How many probes must succeed to close it, and how many may be under way at once (at least 1).
    pub probes: u32,
}

impl Default for BreakerConfig {
    /// Five in a row, or half of twenty and more within 10 s; open for 60 s each time, one probe.
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            failure_ratio: 0.5,
            window: Duration::from_secs(10),
            minimum_volume: 20,
            pause: Duration::from_secs(60),
            longest_pause: Duration::from_secs(60),
            probes: 1,
        }
    }
}

/// How a permitted call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The callee works (an answer that refuses the request is a success here).
    Success,
    /// The callee does not work.
    Failure,
    /// Says nothing about the callee: the call was cancelled, or never sent.
    Neutral,
}

/// The right to make one call. Hand it back with the outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Permit {
    generation: u64,
}

/// Whether a call may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Make it, then [`Breaker::record`] its outcome.
    Allow(Permit),
    /// Do not; asking again makes sense from this moment on.
    Refuse(Timestamp),
}

/// Where a breaker stands, for metrics and balancers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Calls pass.
    Closed,
    /// Calls are refused.
    Open,
    /// Probes pass.
    HalfOpen,
}

#[derive(Debug, Clone)]
enum Phase {
    Closed { failures_in_row: u32, counts: SlidingCounts },
    Open { until: Timestamp },
    HalfOpen { under_way: u32, succeeded: u32, last_probe: Timestamp },
}

/// The breaker of one callee.
#[derive(Debug, Clone)]
pub struct Breaker {
    config: BreakerConfig,
    phase: Phase,
    generation: u64,
    /// The pause of the next opening.
    pause: Duration,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(mut config: BreakerConfig) -> Self {
        config.probes = config.probes.max(1);
        let phase = Phase::Closed { failures_in_row: 0, counts: SlidingCounts::new(config.window) };
        let pause = config.pause;
        Self { config, phase, generation: 0, pause }
    }

    /// Whether a call may be made now; a probe is counted as under way.
    pub fn allow(&mut self, now: Timestamp) -> Decision {
        if let Phase::Open { until } = self.phase {
            if now < until {
                return Decision::Refuse(until);
            }
            self.enter(Phase::HalfOpen { under_way: 0, succeeded: 0, last_probe: now });
        }
        if let Phase::HalfOpen { under_way, succeeded, last_probe } = &mut self.phase {
            let replaced_at = *last_probe + self.config.pause;
            if *under_way + *succeeded >= self.config.probes {
                if now < replaced_at {
                    return Decision::Refuse(replaced_at);
                }
                *under_way = 0;
            }
            *under_way += 1;
            *last_probe = now;
        }
        Decision::Allow(Permit { generation: self.generation })
    }

    /// Takes in how the call of a permit ended.
    pub fn record(&mut self, now: Timestamp, permit: Permit, outcome: Outcome) {
        if permit.generation != self.generation {
            return;
        }
        let trips = match &mut self.phase {
            Phase::Closed { failures_in_row, counts } => {
                trips(&self.config, failures_in_row, counts, now, outcome)
            }
            Phase::Open { .. } => false,
            Phase::HalfOpen { under_way, succeeded, .. } => {
                *under_way = under_way.saturating_sub(1);
                *succeeded += u32::from(outcome == Outcome::Success);
                outcome == Outcome::Failure
            }
        };
        if trips {
            self.enter(Phase::Open { until: now + self.pause });
            self.pause = self.pause.saturating_mul(2).min(self.config.longest_pause).max(self.config.pause);
        } else if matches!(self.phase, Phase::HalfOpen { succeeded, .. } if succeeded >= self.config.probes) {
            let counts = SlidingCounts::new(self.config.window);
            self.enter(Phase::Closed { failures_in_row: 0, counts });
            self.pause = self.config.pause;
        }
    }

    /// Where it stands now; changes nothing.
    pub fn state(&self, now: Timestamp) -> State {
        match self.phase {
            Phase::Closed { .. } => State::Closed,
            Phase::Open { until } if now < until => State::Open,
            Phase::Open { .. } | Phase::HalfOpen { .. } => State::HalfOpen,
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.generation += 1;
    }
}

/// Counts an outcome in the closed state and tells whether it was one failure too many.
fn trips(
    config: &BreakerConfig,
    failures_in_row: &mut u32,
    counts: &mut SlidingCounts,
    now: Timestamp,
    outcome: Outcome,
) -> bool {
    match outcome {
        Outcome::Neutral => return false,
        Outcome::Success => {
            *failures_in_row = 0;
            counts.add(now, SUCCESS);
            return false;
        }
        Outcome::Failure => {
            *failures_in_row += 1;
            counts.add(now, FAILURE);
        }
    }
    let [succeeded, failed] = counts.totals(now);
    let volume = succeeded + failed;
    let in_row = config.consecutive_failures > 0 && *failures_in_row >= config.consecutive_failures;
    in_row || (volume >= config.minimum_volume && failed as f64 >= config.failure_ratio * volume as f64)
}

#[cfg(test)]
mod tests;
