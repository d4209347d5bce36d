//! Exponential backoff with a cap and jitter: how long to wait before the next try.
//!
//! The bound before attempt `n + 1` is `min(cap, base * 2^(n-1))`. Jitter spreads the tries of many clients that
//! failed together: *full* draws from zero to the bound (fewest calls in total), *equal* from half of it (never
//! almost nothing).
//!
//! Source: M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.

use std::time::Duration;

use rand::{Rng, RngCore};

/// How a delay is spread below its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jitter {
    /// The bound itself: for tests and for a single client.
    None,
    /// Uniform from zero to the bound.
    Full,
    /// Uniform from half the bound to the bound.
    Equal,
}

/// A rule for delays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backoff {
    /// The bound of the first delay.
    pub base: Duration,
    /// No delay is longer.
    pub cap: Duration,
    /// How the delay is spread below its bound.
    pub jitter: Jitter,
}

impl Default for Backoff {
    /// 1 s, doubling to 5 min, with equal jitter.
    fn default() -> Self {
        Self { base: Duration::from_secs(1), cap: Duration::from_secs(300), jitter: Jitter::Equal }
    }
}

impl Backoff {
    /// The longest wait after this many failed attempts (1 after the first failure; 0 counts as 1).
    pub fn bound(&self, attempt: u32) -> Duration {
        let factor = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.cap)
    }

    /// The wait after this many failed attempts, to the microsecond.
    pub fn delay(&self, attempt: u32, rng: &mut impl RngCore) -> Duration {
        let bound = u64::try_from(self.bound(attempt).as_micros()).unwrap_or(u64::MAX);
        let micros = match self.jitter {
            Jitter::None => bound,
            Jitter::Full => rng.random_range(0..=bound),
            Jitter::Equal => rng.random_range(bound.div_ceil(2)..=bound),
        };
        Duration::from_micros(micros)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    proptest! {
        #[test]
        fn a_delay_lies_below_the_closed_form(
            base in 1_u64..10_000_000, cap in 1_u64..100_000_000_000, attempt in 0_u32..200, seed: u64,
        ) {
            let exact = (u128::from(base) << attempt.saturating_sub(1).min(60)).min(u128::from(cap));
            let bound = Duration::from_micros(exact as u64);
            for (jitter, least) in [
                (Jitter::None, bound),
                (Jitter::Full, Duration::ZERO),
                (Jitter::Equal, bound / 2),
            ] {
                let (base, cap) = (Duration::from_micros(base), Duration::from_micros(cap));
                let backoff = Backoff { base, cap, jitter };
                prop_assert_eq!(backoff.bound(attempt), bound);
                let delay = backoff.delay(attempt, &mut StdRng::seed_from_u64(seed));
                prop_assert!(least <= delay && delay <= bound);
                prop_assert_eq!(backoff.delay(attempt, &mut StdRng::seed_from_u64(seed)), delay);
            }
        }
    }

    #[test]
    fn full_jitter_uses_the_whole_range() {
        let backoff = Backoff { jitter: Jitter::Full, ..Backoff::default() };
        let mut rng = StdRng::seed_from_u64(3);
        let total: Duration = (0..1_000).map(|_| backoff.delay(3, &mut rng)).sum();
        let mean = total / 1_000;
        assert!(mean.abs_diff(Duration::from_secs(2)) < Duration::from_millis(200), "{mean:?}");
    }
}
