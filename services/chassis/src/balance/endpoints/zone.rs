//! Zone first: calls stay in the own zone as long as enough of it works, and spill over to the others as it falls.
//!
//! The rule: with `own` and `other` as the shares of endpoints in use in the own zone and elsewhere, the own zone is
//! good for `min(1, 1.4 * own)` of the calls and the others for `min(1, 1.4 * other)`. The own zone gets all that it is
//! good for, the others the rest; if both together are good for less than everything, each gets its proportion. So the
//! own zone keeps everything until less than 71 % of it works. Endpoints whose zone is not known are elsewhere. How large
//! the zones are does not matter: who prefers his own zone must give it the capacity for the calls that begin in it.
//!
//! Source: Envoy's priority levels with their overprovisioning factor of 140 %, the own zone as the first level.

use rand::{Rng, RngCore};

use super::Endpoint;

/// How much more than its share a zone can bear.
const OVERPROVISIONING: f64 = 1.4;

/// Leaves only the candidates of one side, drawn by the rule.
pub(super) fn keep<K>(own: &str, all: &[Endpoint<K>], candidates: &mut Vec<usize>, rng: &mut impl RngCore) {
    let is_own = |index: usize| all[index].member.zone.as_deref() == Some(own);
    let own_all = (0..all.len()).filter(|&index| is_own(index)).count();
    let own_used = candidates.iter().filter(|&&index| is_own(index)).count();
    let others = (candidates.len() - own_used, all.len() - own_all);
    let stays = rng.random::<f64>() < own_share((own_used, own_all), others);
    candidates.retain(|&index| is_own(index) == stays);
}

/// The share of the calls that stays in the own zone, given how many endpoints are in use of how many, here and
/// elsewhere. Zero or one where only one side has any in use.
fn own_share(own: (usize, usize), others: (usize, usize)) -> f64 {
    let good_for = |(used, all): (usize, usize)| {
        if used == 0 { 0.0 } else { (OVERPROVISIONING * used as f64 / all as f64).min(1.0) }
    };
    let (own, others) = (good_for(own), good_for(others));
    if own + others == 0.0 { 0.0 } else { own / (own + others).min(1.0) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_own_zone_keeps_everything_until_too_little_of_it_works() {
        for (own_used, share) in [(10, 1.0), (8, 1.0), (7, 0.98), (5, 0.7), (1, 0.14), (0, 0.0)] {
            assert!((own_share((own_used, 10), (10, 10)) - share).abs() < 1e-9, "{own_used} of 10");
        }
        assert!((own_share((1, 10), (2, 10)) - 1.0 / 3.0).abs() < 1e-9, "both sides are down: in proportion");
        assert_eq!(own_share((0, 0), (3, 3)), 0.0);
        assert_eq!(own_share((1, 9), (0, 0)), 1.0);
    }

    proptest! {
        #[test]
        fn the_share_falls_with_the_own_zone_and_never_leaves_its_bounds(
            own_all in 1_usize..30, own in 0_usize..30, others_all in 1_usize..30, others in 0_usize..30,
        ) {
            let (own, others) = (own.min(own_all), (others.min(others_all), others_all));
            let share = own_share((own, own_all), others);
            prop_assert!((0.0..=1.0).contains(&share));
            if own > 0 {
                prop_assert!(own_share((own - 1, own_all), others) <= share);
                prop_assert!(others.0 > 0 || share == 1.0);
            }
        }
    }
}
