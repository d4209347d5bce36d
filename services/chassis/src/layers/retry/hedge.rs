//! Hedged calls: a call that takes longer than usual is sent a second time, to another endpoint; the first good answer
//! counts, and the other call is cancelled. It buys the tail of the latencies for a few more calls.
//!
//! Invariants: only methods that change nothing; never without the retry budget, so that a part that is slow because it
//! is overloaded does not get twice the calls; one hedge a try.
//!
//! Source: J. Dean, L. A. Barroso, "The Tail at Scale", 2013; gRPC's proposal A6 on hedging.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::future::{self, Either};
use http::Response;
use tidemill_kernel::quantile::SlidingQuantile;
use tidemill_kernel::{Clock, Timestamp};
use tonic::body::Body;
use tracing::debug;

use super::{Call, Inner, judge};
use crate::balance::endpoints::Ending;
use crate::clock::Stopwatch;
use crate::{SystemClock, sleep};

/// How long latencies are collected until a quantile is taken of them.
const WINDOW: Duration = Duration::from_secs(30);
/// From how many calls of a method on its quantile is believed.
const MINIMUM: u64 = 100;

/// Which calls are sent a second time, and when.
#[derive(Debug, Clone)]
pub struct HedgePolicy {
    /// Whether the method at this gRPC path is unary and changes nothing.
    pub safe: fn(&str) -> bool,
    /// How long the first call may take.
    pub delay: Delay,
}

/// How long a call may take before it is sent a second time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Delay {
    /// This long.
    Fixed(Duration),
    /// As long as this share (0 to 1) of the recent calls of its method took, and `least` at least; until enough calls
    /// have been seen, no call is sent twice.
    Quantile {
        /// The share.
        quantile: f64,
        /// The shortest delay.
        least: Duration,
    },
}

/// How long the recent calls took, by gRPC path. Only paths that the policy names come in here, so they are few.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<HashMap<String, SlidingQuantile>>);

impl Seen {
    fn record(&self, path: &str, now: Timestamp, latency: Duration) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.get_mut(path) {
            Some(latencies) => latencies.record(now, latency),
            None => {
                let mut latencies = SlidingQuantile::new(WINDOW, MINIMUM);
                latencies.record(now, latency);
                seen.insert(path.to_owned(), latencies);
            }
        }
    }

    fn quantile(&self, path: &str, now: Timestamp, quantile: f64) -> Option<Duration> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get_mut(path)?.value(now, quantile)
    }
}

impl<S: Inner + Clone> Call<S> {
    /// Sends it, and a second time if the policy says so and the first takes long.
    pub(super) async fn once_or_hedged(&self, again: bool) -> Result<Response<Body>, Infallible> {
        let (shared, path) = (&self.shared, self.parts.uri.path());
        let Some(hedge) = shared.policy.hedge.as_ref().filter(|hedge| (hedge.safe)(path)) else {
            return self.send(again).await;
        };
        let delay = match hedge.delay {
            Delay::Fixed(delay) => Some(delay),
            Delay::Quantile { quantile, least } => {
                shared.seen.quantile(path, SystemClock.now(), quantile).map(|seen| seen.max(least))
            }
        };
        let Some(delay) = delay else { return self.timed(hedge, again).await };
        let first = pin!(self.timed(hedge, again));
        let first = match future::select(first, pin!(sleep(delay))).await {
            Either::Left((answer, _)) => return answer,
            Either::Right(((), first)) => first,
        };
        if !shared.lock().0.withdraw(SystemClock.now()) {
            return first.await;
        }
        debug!(path, ?delay, "sending a call a second time");
        shared.hedges.add(1, &shared.part);
        // Whoever answers first without having failed; what is dropped is cancelled.
        let second = pin!(self.timed(hedge, true));
        let (answer, other) = match future::select(first, second).await {
            Either::Left((answer, other)) => (answer, Either::Left(other)),
            Either::Right((answer, other)) => (answer, Either::Right(other)),
        };
        let answer = answer?;
        match judge(&answer) {
            Ending::Failed | Ending::Overloaded => other.await,
            _ => Ok(answer),
        }
    }

    /// Sends it, and remembers how long it took if the delay is to follow that.
    async fn timed(&self, hedge: &HedgePolicy, again: bool) -> Result<Response<Body>, Infallible> {
        let begun = Stopwatch::start();
        let answer = self.send(again).await?;
        if matches!(hedge.delay, Delay::Quantile { .. }) && judge(&answer) == Ending::Answered {
            self.shared.seen.record(self.parts.uri.path(), SystemClock.now(), begun.elapsed());
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests;
