//! The policies one by one, through the endpoints that they choose from.

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::balance::endpoints::tests::{at, call, member, members, rules};
use crate::balance::endpoints::{Ending, Endpoints, Member, Rules};

fn endpoints(rules: Rules, members: Vec<Member<usize>>) -> Endpoints<usize> {
    let mut endpoints = Endpoints::new(rules, 1);
    endpoints.replace(members, at(0));
    endpoints
}

fn of(policy: Policy) -> Rules {
    Rules { policy, ..rules(1) }
}

/// How many of so many calls, a millisecond apart from `from` on, go to each endpoint.
fn spread(endpoints: &mut Endpoints<usize>, from: i64, calls: i64, rng: &mut StdRng) -> Vec<u32> {
    let mut spread = vec![0; 8];
    (from..from + calls).for_each(|now| spread[call(endpoints, now, rng, |_| Ending::Answered)] += 1);
    spread
}

proptest! {
    /// In every round of as many calls as all weigh together, each endpoint gets as many as it weighs, and no heavy one
    /// gets its calls in a row while others wait.
    #[test]
    fn each_round_gives_every_endpoint_its_weight(weights in prop::collection::vec(0_u32..7, 1..6), seed: u64) {
        prop_assume!(weights.iter().any(|&weight| weight > 0));
        let all = weights.iter().enumerate().map(|(key, &weight)| member(key, weight, None)).collect();
        let mut endpoints = endpoints(of(Policy::Weighted), all);
        let (mut rng, round) = (StdRng::seed_from_u64(seed), weights.iter().sum::<u32>());
        for turn in 0..4 {
            let counts = spread(&mut endpoints, turn * 100, round.into(), &mut rng);
            prop_assert_eq!(&counts[..weights.len()], &weights[..]);
        }
    }

    #[test]
    fn one_after_the_other_whatever_they_weigh(count in 1_usize..8, seed: u64) {
        let all = (0..count).map(|key| member(key, key as u32 * 3, None)).collect();
        let mut endpoints = endpoints(of(Policy::RoundRobin), all);
        let mut rng = StdRng::seed_from_u64(seed);
        let ways: Vec<usize> =
            (0..3 * count as i64).map(|now| call(&mut endpoints, now, &mut rng, |_| Ending::Answered)).collect();
        let mut first: Vec<usize> = ways[..count].to_vec();
        prop_assert!(ways.chunks(count).all(|round| round == &ways[..count]), "the same order in each round: {ways:?}");
        first.sort_unstable();
        prop_assert_eq!(first, (0..count).collect::<Vec<_>>());
    }

    /// The model: who has how many calls under way.
    #[test]
    fn the_fewest_pending_calls_win(
        count in 1_usize..6, seed: u64, steps in prop::collection::vec((any::<bool>(), 0_usize..50), 1..100),
    ) {
        let mut endpoints = endpoints(of(Policy::LeastRequests), members(0..count));
        let mut rng = StdRng::seed_from_u64(seed);
        let (mut under_way, mut pending) = (Vec::new(), vec![0_u32; count]);
        for (begins, which) in steps {
            if begins || under_way.is_empty() {
                let pick = endpoints.pick(at(0), &mut rng, &[]).unwrap();
                let key = *endpoints.key(&pick).unwrap();
                prop_assert_eq!(pending[key], pending.iter().copied().min().unwrap());
                pending[key] += 1;
                under_way.push((pick, key));
            } else {
                let (pick, key) = under_way.swap_remove(which % under_way.len());
                endpoints.finish(pick, at(0), Ending::Answered);
                pending[key] -= 1;
            }
        }
    }
}

#[test]
fn many_clients_do_not_begin_with_the_same_one() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..20 {
        for policy in [Policy::LeastRequests, Policy::RoundRobin] {
            let mut endpoints = Endpoints::new(of(policy), seed);
            endpoints.replace(members(0..2), at(0));
            let mut rng = StdRng::seed_from_u64(seed);
            seen.insert((format!("{policy:?}"), call(&mut endpoints, 0, &mut rng, |_| Ending::Answered)));
        }
    }
    assert_eq!(seen.len(), 4, "two policies, two first choices");
}

#[test]
fn a_slow_endpoint_gets_few_calls_by_load_and_its_turn_in_a_round() {
    let mut rng = StdRng::seed_from_u64(1);
    for (policy, least, most) in [(Policy::P2c, 1, 30), (Policy::RoundRobin, 250, 250)] {
        let mut endpoints = endpoints(of(policy), members(0..4));
        let mut to_slow = 0;
        for turn in 0..1_000 {
            let pick = endpoints.pick(at(turn * 100), &mut rng, &[]).unwrap();
            let is_slow = endpoints.key(&pick) == Some(&3);
            to_slow += i32::from(is_slow);
            endpoints.finish(pick, at(turn * 100 + if is_slow { 40 } else { 2 }), Ending::Answered);
        }
        assert!((least..=most).contains(&to_slow), "{policy:?}: {to_slow}");
    }
}

#[test]
fn weights_count_where_the_load_decides_too() {
    let mut rng = StdRng::seed_from_u64(1);
    for policy in [Policy::P2c, Policy::LeastRequests] {
        let mut endpoints = endpoints(of(policy), vec![member(0, 10, None), member(1, 1, None)]);
        let spread = spread(&mut endpoints, 0, 10_000, &mut rng);
        assert!((200..1_200).contains(&spread[1]), "{policy:?}: {spread:?}");
    }
}

#[test]
fn a_newcomer_gets_a_tenth_at_first_and_its_whole_share_in_the_end() {
    let slow_start = Duration::from_secs(10);
    for policy in [Policy::P2c, Policy::LeastRequests, Policy::RoundRobin, Policy::Weighted] {
        let mut rng = StdRng::seed_from_u64(1);
        let mut endpoints = endpoints(Rules { slow_start, ..of(policy) }, members(0..3));
        let even = spread(&mut endpoints, 0, 900, &mut rng);
        assert!(even[..3].iter().all(|&calls| calls > 200), "all are equally new: {even:?}");
        endpoints.replace(members(0..4), at(20_000));
        let early = spread(&mut endpoints, 20_000, 1_000, &mut rng)[3];
        // A tenth beside three whole shares, and twice that at most where the less loaded of two is taken.
        assert!((10..=70).contains(&early), "{policy:?}: {early} of 1000 at first");
        let late = spread(&mut endpoints, 40_000, 1_000, &mut rng)[3];
        assert!((150..=500).contains(&late), "{policy:?}: {late} of 1000 in the end");
    }
}

#[test]
fn a_recovered_endpoint_starts_slowly_too() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut endpoints =
        endpoints(Rules { slow_start: Duration::from_secs(10), ..of(Policy::RoundRobin) }, members(0..2));
    while call(
        &mut endpoints,
        20_000,
        &mut rng,
        |key| if key == 0 { Ending::Failed } else { Ending::Answered },
    ) != 0
    {}
    assert_eq!(call(&mut endpoints, 26_000, &mut rng, |_| Ending::Answered), 0, "its probe");
    let spread = spread(&mut endpoints, 26_001, 1_000, &mut rng);
    assert!((50..150).contains(&spread[0]), "{spread:?}");
}

#[test]
fn calls_stay_in_the_own_zone_until_too_little_of_it_works() {
    let rules = Rules { zone: Some("a".to_owned()), ..of(Policy::RoundRobin) };
    let zones = [Some("a"), Some("a"), Some("b"), None];
    let all = zones.iter().enumerate().map(|(key, zone)| member(key, 1, *zone)).collect();
    let (mut rng, mut endpoints) = (StdRng::seed_from_u64(1), endpoints(rules, all));
    let whole = spread(&mut endpoints, 0, 1_000, &mut rng);
    assert_eq!((whole[0], whole[1]), (500, 500));
    // Half of the own zone is down: it keeps 1.4 times a half.
    while call(
        &mut endpoints,
        1_000,
        &mut rng,
        |key| if key == 0 { Ending::Failed } else { Ending::Answered },
    ) != 0
    {}
    let half = spread(&mut endpoints, 2_000, 1_000, &mut rng);
    assert!((650..750).contains(&half[1]) && half[0] == 0 && half[2].abs_diff(half[3]) <= 1, "{half:?}");
    while call(
        &mut endpoints,
        3_000,
        &mut rng,
        |key| if key == 1 { Ending::Failed } else { Ending::Answered },
    ) != 1
    {}
    let none = spread(&mut endpoints, 3_100, 1_000, &mut rng);
    assert_eq!((none[0], none[1], none[2], none[3]), (0, 0, 500, 500));
}
