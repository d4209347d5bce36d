//! What becomes of a task whose attempt failed: another try later, or none.

use std::time::Duration;

use rand::RngCore;
use tidemill_kernel::Timestamp;
use tidemill_kernel::backoff::Backoff;

/// A failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// Which attempt it was, 1 for the first.
    pub attempt: u32,
    /// How many attempts there may be.
    pub max_attempts: u32,
    /// Whether another attempt can help.
    pub retryable: bool,
    /// Not before this time has gone by, if the worker or its provider says so.
    pub retry_after: Option<Duration>,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The next attempt may start at this moment.
    At(Timestamp),
    /// No further attempt: the task is dead until somebody revives it.
    Dead,
}

/// Decides what follows a failure: the backoff's delay or `retry_after`, whichever is longer.
pub fn after_failure(failure: &Failure, backoff: &Backoff, now: Timestamp, rng: &mut impl RngCore) -> Retry {
    if !failure.retryable || failure.attempt >= failure.max_attempts {
        return Retry::Dead;
    }
    let delay = backoff.delay(failure.attempt, rng);
    Retry::At(now + failure.retry_after.map_or(delay, |wait| wait.max(delay)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    proptest! {
        #[test]
        fn a_task_is_tried_again_until_its_attempts_are_used_up(
            attempt in 1_u32..12, max_attempts in 0_u32..12, retryable: bool,
            retry_after in prop::option::of(0_u64..2_000), seed: u64,
        ) {
            let retry_after = retry_after.map(Duration::from_secs);
            let failure = Failure { attempt, max_attempts, retryable, retry_after };
            let (backoff, now) = (Backoff::default(), Timestamp::from_micros(5));
            match after_failure(&failure, &backoff, now, &mut StdRng::seed_from_u64(seed)) {
                Retry::Dead => prop_assert!(!retryable || attempt >= max_attempts),
                Retry::At(moment) => {
                    prop_assert!(retryable && attempt < max_attempts);
                    let (wait, least) = (moment.since(now), retry_after.unwrap_or_default());
                    prop_assert!(wait >= least && wait <= least.max(backoff.bound(attempt)));
                    prop_assert!(wait >= backoff.bound(attempt) / 2);
                }
            }
        }
    }
}
