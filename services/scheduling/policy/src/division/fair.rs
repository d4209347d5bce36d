//! Max-min fairness in whole units: nobody gets more than it wants, and whoever gets less than it wants gets as much as
//! anybody does, but for one unit, which goes around.
//!
//! Source: D. Bertsekas and R. Gallager, "Data Networks", 1992, 6.5.2, by filling all to one level.

/// What the one at `place` gets of the whole; `turn` says to whom the units go that are left over.
pub(super) fn part(wants: &[u64], whole: u64, turn: u64, place: usize) -> u64 {
    let Some(&own) = wants.get(place) else { return 0 };
    let (level, left) = fill(wants, whole);
    if own <= level {
        return own;
    }
    let thirsty: Vec<usize> = (0..wants.len()).filter(|&one| wants[one] > level).collect();
    let count = thirsty.len() as u64;
    let own_turn = thirsty.iter().position(|&one| one == place).unwrap_or(0) as u64;
    level + u64::from((own_turn + count - turn % count) % count < left)
}

/// The highest level to which all can be filled, and what is left over then: less than one unit for each that wants more.
fn fill(wants: &[u64], whole: u64) -> (u64, u64) {
    let mut sorted = wants.to_vec();
    sorted.sort_unstable();
    let mut left = whole;
    for (index, &want) in sorted.iter().enumerate() {
        let rest = (sorted.len() - index) as u64;
        if want.saturating_mul(rest) > left {
            return (left / rest, left % rest);
        }
        left -= want;
    }
    (u64::MAX, 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One unit after the other to whoever has least of those that want more.
    fn naive(wants: &[u64], whole: u64) -> Vec<u64> {
        let mut parts = vec![0; wants.len()];
        for _ in 0..whole {
            let open = (0..wants.len()).filter(|&one| parts[one] < wants[one]);
            let Some(least) = open.min_by_key(|&one| parts[one]) else { break };
            parts[least] += 1;
        }
        parts
    }

    proptest! {
        #[test]
        fn it_is_what_handing_out_unit_by_unit_comes_to_but_for_whose_turn_it_is(
            wants in prop::collection::vec(0_u64..12, 1..7), whole in 0_u64..40, turn in 0_u64..20,
        ) {
            let parts: Vec<u64> = (0..wants.len()).map(|place| part(&wants, whole, turn, place)).collect();
            let (mut sorted, mut other) = (parts.clone(), naive(&wants, whole));
            sorted.sort_unstable();
            other.sort_unstable();
            prop_assert_eq!(sorted, other);
            prop_assert!(parts.iter().zip(&wants).all(|(part, want)| part <= want));
        }

        #[test]
        fn over_a_round_of_turns_equals_get_the_same(whole in 0_u64..30, count in 1_usize..7) {
            let wants = vec![100; count];
            let sum = |place| (0..count as u64).map(|turn| part(&wants, whole, turn, place)).sum::<u64>();
            prop_assert!((0..count).all(|place| sum(place) == whole));
        }
    }
}
