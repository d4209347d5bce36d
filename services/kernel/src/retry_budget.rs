//! Retry budget: retries may be a share of recent requests and no more, so that they cannot feed an overload.
//!
//! Within a sliding window, `retries <= ratio * requests + minimum per second * window`. The minimum lets a client with
//! little traffic retry at all. A count per call site would multiply through the layers of a system; a share does not.
//!
//! Source: Finagle's `RetryBudget` and linkerd's retry budgets; B. Beyer et al., "Site Reliability Engineering",
//! ch. 22, on why.

use std::time::Duration;

use crate::Timestamp;
use crate::window::SlidingCounts;

const REQUEST: usize = 0;
const RETRY: usize = 1;

/// What a budget allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryBudgetConfig {
    /// Retries allowed per hundred requests.
    pub percent: u32,
    /// Retries allowed per second whatever the traffic.
    pub minimum_per_second: u32,
    /// How long requests and retries count.
    pub window: Duration,
}

impl Default for RetryBudgetConfig {
    /// One retry for five requests plus ten a second, over ten seconds.
    fn default() -> Self {
        Self { percent: 20, minimum_per_second: 10, window: Duration::from_secs(10) }
    }
}

/// The requests and retries of the recent past, and what they leave.
#[derive(Debug, Clone)]
pub struct RetryBudget {
    percent: u128,
    /// The minimum over the whole window, in hundredths of a retry.
    floor: u128,
    counts: SlidingCounts,
}

impl RetryBudget {
    /// A budget with no history.
    pub fn new(config: &RetryBudgetConfig) -> Self {
        let floor = u128::from(config.minimum_per_second) * config.window.as_micros() / 10_000;
        Self { percent: config.percent.into(), floor, counts: SlidingCounts::new(config.window) }
    }

    /// Counts a request (a first try, not a retry).
    pub fn deposit(&mut self, now: Timestamp) {
        self.counts.add(now, REQUEST);
    }

    /// Whether one more retry fits; if so it is counted.
    pub fn withdraw(&mut self, now: Timestamp) -> bool {
        let [requests, retries] = self.counts.totals(now);
        let allowed = self.percent * u128::from(requests) + self.floor;
        let fits = (u128::from(retries) + 1) * 100 <= allowed;
        if fits {
            self.counts.add(now, RETRY);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The naive model keeps every event and counts the last ten slots of a second each time.
        #[test]
        fn a_retry_is_allowed_exactly_when_the_closed_form_has_room(
            percent in 0_u32..150, minimum_per_second in 0_u32..3,
            steps in prop::collection::vec((0_i64..2_000, any::<bool>()), 1..200),
        ) {
            let config = RetryBudgetConfig { percent, minimum_per_second, window: Duration::from_secs(10) };
            let mut budget = RetryBudget::new(&config);
            let (mut millis, mut requests, mut retries) = (0_i64, Vec::new(), Vec::new());
            for (advance, is_retry) in steps {
                millis += advance;
                let now = Timestamp::from_micros(millis * 1_000);
                let slot = millis / 1_000;
                let recent = |slots: &Vec<i64>| slots.iter().filter(|&&s| s > slot - 10).count() as u64;
                if is_retry {
                    let allowed = u64::from(percent) * recent(&requests) + u64::from(minimum_per_second) * 1_000;
                    let expected = (recent(&retries) + 1) * 100 <= allowed;
                    prop_assert_eq!(budget.withdraw(now), expected);
                    if expected {
                        retries.push(slot);
                    }
                } else {
                    budget.deposit(now);
                    requests.push(slot);
                }
            }
        }
    }

    #[test]
    fn an_outage_is_retried_for_a_fifth_of_the_traffic_only() {
        let config = RetryBudgetConfig { minimum_per_second: 0, ..RetryBudgetConfig::default() };
        let mut budget = RetryBudget::new(&config);
        let mut retries = 0;
        for call in 0..1_000 {
            let now = Timestamp::from_micros(call * 1_000);
            budget.deposit(now);
            retries += i32::from(budget.withdraw(now));
        }
        assert_eq!(retries, 200);
    }
}
