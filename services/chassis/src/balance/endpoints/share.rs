//! Shares smaller than a whole one: those of new endpoints, which grow (slow start), and those of light ones.
//!
//! Slow start: an endpoint that has just come or recovered has cold caches and empty pools; its share grows in a
//! straight line from a tenth. All that are equally new have the same share, so a fresh start of everything slows nobody.
//!
//! Policies that go round take shares as their steps. Policies that choose by load get `thin`: an endpoint takes part
//! in a choice with its share relative to the largest one, and then the load decides, so that no share outweighs a load.
//!
//! Source: Envoy's slow start mode (linear, at least 10 % of the weight).

use std::time::Duration;

use rand::{Rng, RngCore};
use tidemill_kernel::Timestamp;

/// The share of an endpoint that has come just now.
const LEAST: f64 = 0.1;

/// The share of an endpoint that is there since then, from [`LEAST`] to one.
pub(super) fn ramp(since: Timestamp, slow_start: Duration, now: Timestamp) -> f64 {
    if slow_start.is_zero() {
        return 1.0;
    }
    (now.since(since).as_secs_f64() / slow_start.as_secs_f64()).clamp(LEAST, 1.0)
}

/// Keeps each candidate with the probability of its share relative to the largest; that one always, so one is left.
pub(super) fn thin(candidates: &mut Vec<usize>, share: impl Fn(usize) -> f64, rng: &mut impl RngCore) {
    let largest = candidates.iter().map(|&index| share(index)).fold(0.0, f64::max);
    candidates.retain(|&index| {
        let share = share(index);
        share >= largest || rng.random::<f64>() * largest < share
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    proptest! {
        #[test]
        fn a_share_grows_in_a_straight_line_from_a_tenth_to_one(slow_start in 1_u64..100_000, age in 0_u64..200_000) {
            let start = Timestamp::from_micros(5);
            let [slow_start, age] = [slow_start, age].map(Duration::from_millis);
            let exact = (age.as_secs_f64() / slow_start.as_secs_f64()).clamp(0.1, 1.0);
            prop_assert!((ramp(start, slow_start, start + age) - exact).abs() < 1e-9);
            prop_assert_eq!(ramp(start, Duration::ZERO, start), 1.0);
        }

        #[test]
        fn the_largest_share_always_stays(shares in prop::collection::vec(0.0_f64..9.0, 1..9), seed: u64) {
            let mut candidates: Vec<usize> = (0..shares.len()).collect();
            thin(&mut candidates, |index| shares[index], &mut StdRng::seed_from_u64(seed));
            let largest = shares.iter().copied().fold(0.0, f64::max);
            let kept = shares.iter().enumerate().filter(|share| *share.1 == largest).map(|share| share.0);
            prop_assert!(kept.into_iter().all(|index| candidates.contains(&index)));
        }
    }

    #[test]
    fn a_candidate_stays_as_often_as_its_share_says() {
        let (shares, mut rng, mut stayed) = ([2.0, 1.0, 0.2, 0.0], StdRng::seed_from_u64(1), [0; 4]);
        for _ in 0..10_000 {
            let mut candidates = vec![0, 1, 2, 3];
            thin(&mut candidates, |index| shares[index], &mut rng);
            candidates.iter().for_each(|&index| stayed[index] += 1);
        }
        assert_eq!((stayed[0], stayed[3]), (10_000, 0));
        assert!((4_800..5_200).contains(&stayed[1]) && (850..1_150).contains(&stayed[2]), "{stayed:?}");
    }
}
