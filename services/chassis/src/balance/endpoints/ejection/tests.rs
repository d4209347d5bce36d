//! Who is ejected, for how long, and how many at most.

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::balance::endpoints::tests::{at, call, members, rules};
use crate::balance::endpoints::{Endpoints, Policy, Rules, Standing};

/// Endpoints in a round whose breakers open at the first failed call; faulty answers trip none.
fn endpoints(count: usize, ejection: EjectionConfig) -> Endpoints<usize> {
    let rules = Rules { policy: Policy::RoundRobin, ejection, ..rules(1) };
    let mut endpoints = Endpoints::new(rules, 1);
    endpoints.replace(members(0..count), at(0));
    endpoints
}

/// Without the rule for failures in a row.
fn compared() -> EjectionConfig {
    EjectionConfig { consecutive_failures: 0, ..EjectionConfig::default() }
}

/// An interval of ten calls a second and endpoint, of which those of the bad ones fail in the given share.
fn interval(
    endpoints: &mut Endpoints<usize>,
    second: i64,
    calls: i64,
    fails: impl Fn(usize, i64) -> bool,
) -> Vec<u32> {
    let (mut rng, mut spread) = (StdRng::seed_from_u64(1), vec![0; 8]);
    for turn in 0..calls {
        let millis = second * 1_000 + turn * 9_000 / calls;
        let ending = |key| if fails(key, turn) { Ending::Faulty } else { Ending::Answered };
        spread[call(endpoints, millis, &mut rng, ending)] += 1;
    }
    spread
}

#[test]
fn one_of_two_that_fails_more_often_is_left_out_for_a_pause_that_grows() {
    let mut endpoints = endpoints(2, compared());
    let is_bad = |key: usize, turn: i64| key == 0 && turn % 4 < 2;
    interval(&mut endpoints, 0, 200, is_bad);
    // Reviewed at 10 s: out until 40 s, then in use and bad again; reviewed at 50 s: out until 110 s.
    for (second, is_out) in
        [(10, true), (20, true), (30, true), (40, false), (50, true), (60, true), (100, true)]
    {
        let spread = interval(&mut endpoints, second, 200, is_bad);
        assert_eq!(spread[0] == 0, is_out, "at {second} s: {spread:?}");
        assert_eq!(endpoints.standing(at(second * 1_000 + 1)).ejected, usize::from(is_out));
    }
    assert!(interval(&mut endpoints, 110, 200, |_, _| false)[0] > 0);
}

#[test]
fn no_more_than_the_ceiling_is_out_and_those_over_it_are_used_on() {
    // Three of five are bad, two may be out: the worst two are.
    let mut endpoints = endpoints(5, compared());
    let is_bad = |key: usize, turn: i64| turn / 5 % 10 < [9, 8, 7, 0, 0][key];
    interval(&mut endpoints, 0, 1_000, is_bad);
    let spread = interval(&mut endpoints, 10, 1_000, is_bad);
    assert_eq!((spread[0], spread[1]), (0, 0), "{spread:?}");
    assert!(spread[2..5].iter().all(|&calls| calls > 300), "{spread:?}");
}

#[test]
fn the_least_bad_are_used_again_when_others_die() {
    let mut endpoints = endpoints(4, compared());
    let is_bad = |key: usize, turn: i64| turn / 4 % 10 < [9, 5, 0, 0][key];
    interval(&mut endpoints, 0, 1_000, is_bad);
    assert_eq!(interval(&mut endpoints, 10, 100, |_, _| false)[..2], [0, 0]);
    // One of the two good ones dies.
    let mut rng = StdRng::seed_from_u64(1);
    call(&mut endpoints, 20_000, &mut rng, |_| Ending::Failed);
    assert_eq!(
        endpoints.standing(at(20_001)),
        Standing { closed: 1, open: 1, ejected: 2, ..Standing::default() }
    );
    let spread = interval(&mut endpoints, 20, 10, |_, _| false);
    assert_eq!(spread[0], 0, "the worst stays out: {spread:?}");
    assert!(spread[1] > 0, "the less bad one is used again: {spread:?}");
}

#[test]
fn one_that_falls_silent_is_left_after_a_few_calls_unless_all_do() {
    for (silent, left) in [(1, true), (4, false)] {
        let mut endpoints = endpoints(4, EjectionConfig::default());
        let mut rng = StdRng::seed_from_u64(1);
        let ending = |key| if key < silent { Ending::TimedOut } else { Ending::Answered };
        let ways: Vec<usize> = (0..400).map(|now| call(&mut endpoints, now, &mut rng, ending)).collect();
        let to_first = ways.iter().filter(|&&key| key == 0).count();
        assert_eq!(to_first, if left { 5 } else { 100 }, "{silent} are silent");
        assert_eq!(endpoints.standing(at(400)).ejected, usize::from(left));
    }
}

#[test]
fn one_alone_is_never_ejected_and_none_where_it_is_off() {
    let off = EjectionConfig { max_share: 0.0, ..EjectionConfig::default() };
    for (count, config) in [(1, EjectionConfig::default()), (3, off)] {
        let mut endpoints = endpoints(count, config);
        interval(&mut endpoints, 0, 300, |key, _| key == 0);
        assert!(interval(&mut endpoints, 10, 300, |_, _| false)[0] > 0);
    }
}

proptest! {
    /// What all suffer from alike ejects nobody: the same share of failures everywhere, at random.
    #[test]
    fn chance_ejects_hardly_anybody(percent in 0_u32..100, seed: u64) {
        use rand::Rng;
        let mut endpoints = endpoints(4, EjectionConfig::default());
        let mut rng = StdRng::seed_from_u64(seed);
        let fate: Vec<bool> = (0..800).map(|_| rng.random_ratio(percent, 100)).collect();
        interval(&mut endpoints, 0, 800, |_, turn| fate[turn as usize]);
        interval(&mut endpoints, 10, 8, |_, _| false);
        // Three standard errors are passed by one in 700; four endpoints, and a margin on top.
        prop_assert!(endpoints.standing(at(12_000)).ejected <= 1);
    }

    /// The model: the textbook's z-test, written out.
    #[test]
    fn an_outlier_is_one_by_margin_and_by_significance(
        own in (0_u64..200, 0_u64..200), others in (0_u64..600, 0_u64..600),
    ) {
        let config = EjectionConfig::default();
        let (n, m) = ((own.0 + own.1) as f64, (others.0 + others.1) as f64);
        let expected = n >= 20.0 && m >= 20.0 && {
            let (p, q) = (own.0 as f64 / n, others.0 as f64 / m);
            let pooled = (p * n + q * m) / (n + m);
            let z = (p - q) / (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
            p - q >= 0.1 && z >= 3.0
        };
        prop_assert_eq!(is_outlier(&config, own, others), expected);
    }
}
