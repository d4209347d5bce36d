//! Power of two choices: look at two endpoints picked at random and take the less loaded one.
//!
//! With one random choice the fullest of n bins holds about `ln n / ln ln n` balls more than the mean; with the better
//! of two it is `ln ln n`, and unlike "take the least loaded" it does not send every client to the same endpoint when
//! loads are known late.
//!
//! Source: M. Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 1996/2001.

use rand::{Rng, RngCore};

/// The index of the endpoint to use, `None` if there is none. On equal loads the first of the two picked wins, which
/// is random too.
pub fn pick(loads: &[f64], rng: &mut impl RngCore) -> Option<usize> {
    pick_by(loads.len(), |index| loads[index], rng)
}

/// The same over `count` endpoints whose load is worked out only for the two that were picked.
pub fn pick_by(count: usize, load: impl Fn(usize) -> f64, rng: &mut impl RngCore) -> Option<usize> {
    let Some((first, second)) = pair(count, rng) else {
        return (count == 1).then_some(0);
    };
    Some(if load(second) < load(first) { second } else { first })
}

/// Two different indices below `count`, every ordered pair equally likely; `None` if there are fewer than two.
pub fn pair(count: usize, rng: &mut impl RngCore) -> Option<(usize, usize)> {
    if count < 2 {
        return None;
    }
    let first = rng.random_range(0..count);
    let second = rng.random_range(0..count - 1);
    // The second is drawn from the others: those from `first` on are shifted by one.
    Some((first, if second >= first { second + 1 } else { second }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    proptest! {
        #[test]
        fn the_two_are_different_and_the_less_loaded_is_taken(
            loads in prop::collection::vec(0.0_f64..10.0, 2..20), seed: u64,
        ) {
            let (first, second) = pair(loads.len(), &mut StdRng::seed_from_u64(seed)).unwrap();
            prop_assert!(first != second && first < loads.len() && second < loads.len());
            let picked = pick(&loads, &mut StdRng::seed_from_u64(seed)).unwrap();
            prop_assert!(picked == first || picked == second);
            prop_assert_eq!(loads[picked], loads[first].min(loads[second]));
            prop_assert_eq!(pick(&loads, &mut StdRng::seed_from_u64(seed)), Some(picked));
        }
    }

    #[test]
    fn every_ordered_pair_is_equally_likely() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut seen = [[0_i32; 4]; 4];
        for _ in 0..12_000 {
            let (first, second) = pair(4, &mut rng).unwrap();
            seen[first][second] += 1;
        }
        for (first, row) in seen.iter().enumerate() {
            for (second, &count) in row.iter().enumerate() {
                let expected = if first == second { 0 } else { 1_000 };
                assert!((count - expected).abs() < 150, "{first},{second}: {count}");
            }
        }
    }

    #[test]
    fn few_endpoints_and_even_spread() {
        let mut rng = StdRng::seed_from_u64(2);
        assert_eq!(pick(&[], &mut rng), None);
        assert_eq!(pick(&[3.0], &mut rng), Some(0));
        let mut bins = vec![0.0; 1_000];
        for _ in 0..1_000 {
            let index = pick(&bins, &mut rng).unwrap();
            bins[index] += 1.0;
        }
        // ln ln 1000 is about 2; one choice alone gives 5 to 6.
        assert!(bins.iter().all(|&balls| balls <= 4.0));
    }
}
