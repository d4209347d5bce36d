//! What is known of the replicas, and which of them answers a read: a pure state machine.
//!
//! How far behind a replica is, is measured by places in the primary's log and one clock, ours. The primary is asked now
//! and then how far its log is; a replica that has replayed up to the place that it told shows everything that was
//! acknowledged before it was asked. So the time since the newest such question bounds what a read may miss, however
//! idle the primary is and whatever the clocks of the servers say; when the questions stop, so does every replica.
//!
//! Among the replicas that are fresh enough: the better of two picked at random by peak-EWMA latency, each behind a
//! breaker.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use rand::RngCore;
use tidemill_kernel::Timestamp;
use tidemill_kernel::breaker::{Breaker, BreakerConfig, Decision, Outcome, Permit};
use tidemill_kernel::ewma::PeakEwma;
use tidemill_kernel::p2c;

/// What a replica is believed to take before it has answered.
const INITIAL: Duration = Duration::from_millis(1);
/// How fast latencies are forgotten.
const DECAY: Duration = Duration::from_secs(10);
/// What a failed read counts as at least.
const PENALTY: Duration = Duration::from_secs(1);
/// How many answers of the primary are kept at most, however often it is asked.
const MAX_SAMPLES: usize = 1_024;

/// Which log it is that places are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Log {
    /// The number that the cluster got when it was made.
    pub(crate) system: i64,
    /// Rises with every promotion.
    pub(crate) timeline: i32,
}

/// What a replica says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Whether it follows another server.
    pub(crate) follows: bool,
    /// Whether it was told not to apply what comes.
    pub(crate) paused: bool,
    /// The place up to which it shows everything.
    pub(crate) replayed: u64,
    pub(crate) system: i64,
    /// The timeline that it receives, where this user may see it.
    pub(crate) timeline: Option<i32>,
}

/// Why a replica gets no reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Left {
    /// It was not asked yet.
    Unasked,
    /// It does not answer.
    Away(String),
    /// It takes writes: the primary itself, or promoted.
    NoReplica,
    /// It is a replica of something else.
    Elsewhere,
    /// It follows, or followed, another primary than the present one.
    OtherTimeline,
    /// It was told not to apply what comes.
    Paused,
    /// It has not applied what was acknowledged longer ago than is allowed.
    Behind,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unasked => f.write_str("it was not asked yet"),
            Self::Away(reason) => write!(f, "it does not answer: {reason}"),
            Self::NoReplica => f.write_str("it is no replica (the primary itself, or promoted)"),
            Self::Elsewhere => f.write_str("it is a replica of another cluster"),
            Self::OtherTimeline => f.write_str("it follows another timeline than the primary's"),
            Self::Paused => f.write_str("its replay is paused"),
            Self::Behind => f.write_str("it lags by more than max_replica_lag_ms"),
        }
    }
}

struct Member {
    seen: Result<Seen, Left>,
    /// When it had said that.
    answered_at: Timestamp,
    /// Whether it has replayed what the primary has not written.
    ahead: bool,
    latency: PeakEwma,
    breaker: Breaker,
    pending: usize,
}

/// The right to send one read to a replica. Hand it back with how it ended.
#[must_use]
pub(crate) struct Pick {
    pub(crate) index: usize,
    permit: Permit,
    begun: Timestamp,
}

/// What is known of the replicas of one primary.
pub(crate) struct Board {
    max_lag: Duration,
    log: Option<Log>,
    /// When the primary was asked, and how far its log was; the newest last.
    samples: VecDeque<(Timestamp, u64)>,
    members: Vec<Member>,
}

impl Board {
    /// So many replicas of which nothing is known.
    pub(crate) fn new(count: usize, max_lag: Duration, now: Timestamp) -> Self {
        let breaker = BreakerConfig { pause: Duration::from_secs(1), ..BreakerConfig::default() };
        let member = |_| Member {
            seen: Err(Left::Unasked),
            answered_at: now,
            ahead: false,
            latency: PeakEwma::new(INITIAL, DECAY, now),
            breaker: Breaker::new(breaker.clone()),
            pending: 0,
        };
        Self { max_lag, log: None, samples: VecDeque::new(), members: (0..count).map(member).collect() }
    }

    /// The primary, asked at this moment, has written its log up to this place.
    pub(crate) fn primary(&mut self, asked_at: Timestamp, log: Log, place: u64) {
        if self.log != Some(log) {
            // Places of another log say nothing.
            self.samples.clear();
            self.log = Some(log);
        }
        self.samples.retain(|(at, _)| asked_at.since(*at) <= self.max_lag);
        if self.samples.len() >= MAX_SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back((asked_at, place));
        for member in &mut self.members {
            if let Ok(seen) = member.seen {
                // What it had replayed before this question had been written before it.
                member.ahead = seen.replayed > place && member.answered_at <= asked_at;
            }
        }
    }

    /// A replica has just said this, or nothing. Whether its standing changed, and to what.
    pub(crate) fn answered(
        &mut self,
        index: usize,
        seen: Result<Seen, String>,
        now: Timestamp,
    ) -> Option<Result<(), Left>> {
        let before = self.standing(index, now);
        let member = &mut self.members[index];
        member.seen = seen.map_err(Left::Away);
        member.answered_at = now;
        let after = self.standing(index, now);
        let is_new = before.is_ok() != after.is_ok() || (after.is_err() && before == Err(Left::Unasked));
        is_new.then_some(after)
    }

    /// Whether a new connection to a replica shows at least what the replica showed before: not if it was restarted and
    /// has to apply again what it had applied, or if it was promoted.
    pub(crate) fn still_shows(&self, index: usize, now: &Seen) -> bool {
        let before = self.members[index].seen.as_ref().map_or(0, |seen| seen.replayed);
        now.follows && now.replayed >= before
    }

    /// Whether a replica may answer reads now, or why not.
    pub(crate) fn standing(&self, index: usize, now: Timestamp) -> Result<(), Left> {
        let member = &self.members[index];
        let seen = member.seen.clone()?;
        let Some(log) = self.log else { return Err(Left::Behind) };
        let fresh =
            |(at, place): &(Timestamp, u64)| *place <= seen.replayed && now.since(*at) <= self.max_lag;
        if !seen.follows {
            Err(Left::NoReplica)
        } else if seen.system != log.system {
            Err(Left::Elsewhere)
        } else if member.ahead || seen.timeline.is_some_and(|timeline| timeline != log.timeline) {
            Err(Left::OtherTimeline)
        } else if seen.paused {
            Err(Left::Paused)
        } else if self.samples.iter().any(fresh) {
            Ok(())
        } else {
            Err(Left::Behind)
        }
    }

    /// The replica that answers a read now which must show everything up to `place`, but for those that were tried.
    pub(crate) fn pick(
        &mut self,
        place: u64,
        tried: &[usize],
        now: Timestamp,
        rng: &mut impl RngCore,
    ) -> Option<Pick> {
        let shows = |member: &Member| member.seen.as_ref().is_ok_and(|seen| seen.replayed >= place);
        let is_fit = |index: &usize| {
            !tried.contains(index) && shows(&self.members[*index]) && self.standing(*index, now).is_ok()
        };
        let mut fit: Vec<usize> = (0..self.members.len()).filter(is_fit).collect();
        loop {
            let load = |choice: usize| {
                let member = &self.members[fit[choice]];
                member.latency.load(now, member.pending)
            };
            let index = fit.swap_remove(p2c::pick_by(fit.len(), load, rng)?);
            let member = &mut self.members[index];
            if let Decision::Allow(permit) = member.breaker.allow(now) {
                member.pending += 1;
                return Some(Pick { index, permit, begun: now });
            }
        }
    }

    /// Takes in how a read ended.
    pub(crate) fn ended(&mut self, pick: &Pick, outcome: Outcome, now: Timestamp) {
        let member = &mut self.members[pick.index];
        member.pending = member.pending.saturating_sub(1);
        member.breaker.record(now, pick.permit, outcome);
        let latency = now.since(pick.begun);
        match outcome {
            Outcome::Success => member.latency.record(now, latency),
            Outcome::Failure => member.latency.record_failure(now, latency, PENALTY),
            Outcome::Neutral => {}
        }
    }
}

#[cfg(test)]
mod tests;
