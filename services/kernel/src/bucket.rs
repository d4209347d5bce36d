//! Token bucket: a rate with a burst, exact in integers.
//!
//! The bucket starts full with `burst` tokens and gains `tokens` every `per`. Over any time `d` it grants at most
//! `burst + tokens * d / per`. The level is kept in units of one token divided by `per` in microseconds, so nothing
//! is ever rounded.
//!
//! Source: ITU-T I.371 (generic cell rate algorithm) in its token form; RFC 2697 §3 for the terms.

use std::time::Duration;

use crate::Timestamp;

/// Why tokens were not granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortfall {
    /// They will be there after this time if nobody else takes any before.
    Wait(Duration),
    /// More than the bucket ever holds, or a rate of nothing.
    Never,
}

/// A bucket of tokens.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    tokens: u64,
    per_micros: u128,
    burst: u64,
    level: u128,
    stamp: Timestamp,
}

impl TokenBucket {
    /// A full bucket that gains `tokens` every `per` (at least a microsecond) and holds at most `burst`.
    pub fn new(tokens: u64, per: Duration, burst: u64, now: Timestamp) -> Self {
        let per_micros = per.as_micros().clamp(1, u128::from(u64::MAX));
        Self { tokens, per_micros, burst, level: u128::from(burst) * per_micros, stamp: now }
    }

    /// A full bucket with a rate per second.
    pub fn per_second(rate: u64, burst: u64, now: Timestamp) -> Self {
        Self::new(rate, Duration::from_secs(1), burst, now)
    }

    /// Takes `count` tokens, all or none.
    pub fn take(&mut self, count: u64, now: Timestamp) -> Result<(), Shortfall> {
        self.level = self.level_at(now);
        self.stamp = self.stamp.max(now);
        let need = u128::from(count) * self.per_micros;
        if let Some(rest) = self.level.checked_sub(need) {
            self.level = rest;
            return Ok(());
        }
        if count > self.burst || self.tokens == 0 {
            return Err(Shortfall::Never);
        }
        let micros = (need - self.level).div_ceil(u128::from(self.tokens));
        Err(Shortfall::Wait(Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))))
    }

    /// Whole tokens there now.
    pub fn available(&self, now: Timestamp) -> u64 {
        u64::try_from(self.level_at(now) / self.per_micros).unwrap_or(u64::MAX)
    }

    /// The most tokens it holds.
    pub fn burst(&self) -> u64 {
        self.burst
    }

    fn level_at(&self, now: Timestamp) -> u128 {
        let gain = now.since(self.stamp).as_micros().saturating_mul(u128::from(self.tokens));
        self.level.saturating_add(gain).min(u128::from(self.burst) * self.per_micros)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_interval_grants_more_than_burst_plus_rate_times_time(
            rate in 1_u64..1_000, per in 1_u64..2_000_000, burst in 1_u64..50,
            calls in prop::collection::vec((0_u64..100_000, 1_u64..60), 1..60),
        ) {
            let mut bucket = TokenBucket::new(rate, Duration::from_micros(per), burst, Timestamp::default());
            let (mut now, mut grants) = (0_u64, Vec::new());
            for (advance, count) in calls {
                now += advance;
                if bucket.take(count, Timestamp::from_micros(now as i64)).is_ok() {
                    grants.push((now, u128::from(count)));
                }
            }
            for from in 0..grants.len() {
                let mut granted = 0;
                for &(at, count) in &grants[from..] {
                    granted += count;
                    let elapsed = u128::from(at - grants[from].0);
                    let bound = u128::from(burst) * u128::from(per) + u128::from(rate) * elapsed;
                    prop_assert!(granted * u128::from(per) <= bound);
                }
            }
        }

        #[test]
        fn the_wait_is_exact_to_the_microsecond(
            rate in 1_u64..1_000_000, per in 1_u64..100_000_000, burst in 1_u64..50, first in 1_u64..50, second in 1_u64..50,
        ) {
            let start = Timestamp::from_micros(77);
            let mut bucket = TokenBucket::new(rate, Duration::from_micros(per), burst, start);
            let _ = bucket.take(first, start);
            match bucket.take(second, start) {
                Ok(()) => prop_assert!(first > burst || first + second <= burst),
                Err(Shortfall::Never) => prop_assert!(second > burst),
                Err(Shortfall::Wait(wait)) => {
                    let just_before = start + wait - Duration::from_micros(1);
                    prop_assert!(bucket.clone().take(second, just_before).is_err());
                    prop_assert_eq!(bucket.take(second, start + wait), Ok(()));
                }
            }
        }
    }

    #[test]
    fn it_fills_to_the_burst_and_no_further() {
        let mut bucket = TokenBucket::per_second(10, 5, Timestamp::default());
        let later = Timestamp::from_micros(3_600_000_000);
        assert_eq!((bucket.available(later), bucket.burst()), (5, 5));
        assert_eq!(bucket.take(6, later), Err(Shortfall::Never));
        assert_eq!(bucket.take(5, later), Ok(()));
        // A clock that steps back gains nothing and loses nothing.
        assert_eq!(bucket.take(1, Timestamp::default()), Err(Shortfall::Wait(Duration::from_millis(100))));
        assert_eq!(bucket.take(1, later + Duration::from_millis(100)), Ok(()));
    }

    #[test]
    fn a_rate_of_nothing_grants_the_burst_once() {
        let mut bucket = TokenBucket::per_second(0, 1, Timestamp::default());
        assert_eq!(bucket.take(1, Timestamp::default()), Ok(()));
        assert_eq!(bucket.take(1, Timestamp::from_micros(i64::MAX)), Err(Shortfall::Never));
    }
}
