//! What the balancer promises, over endpoints made for the test.

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

pub(super) fn at(millis: i64) -> Timestamp {
    Timestamp::from_micros(millis * 1_000)
}

fn trips_after(failures: u32) -> BreakerConfig {
    BreakerConfig {
        consecutive_failures: failures,
        failure_ratio: 2.0,
        pause: Duration::from_secs(5),
        longest_pause: Duration::from_secs(5),
        ..BreakerConfig::default()
    }
}

pub(super) fn member(key: usize, weight: u32, zone: Option<&str>) -> Member<usize> {
    Member { key, weight, zone: zone.map(str::to_owned) }
}

pub(super) fn members(keys: impl IntoIterator<Item = usize>) -> Vec<Member<usize>> {
    keys.into_iter().map(|key| member(key, 1, None)).collect()
}

/// The default rules with breakers that open after so many failures.
pub(super) fn rules(failures: u32) -> Rules {
    Rules { breaker: trips_after(failures), ..Rules::default() }
}

/// Endpoints whose breakers open after so many failures.
fn endpoints_of(count: usize, failures: u32) -> Endpoints<usize> {
    let mut endpoints = Endpoints::new(rules(failures), 1);
    endpoints.replace(members(0..count), at(0));
    endpoints
}

/// Sends one call that takes a millisecond and ends like this; returns where it went.
pub(super) fn call(
    endpoints: &mut Endpoints<usize>,
    millis: i64,
    rng: &mut StdRng,
    ending: impl Fn(usize) -> Ending,
) -> usize {
    let pick = endpoints.pick(at(millis), rng, &[]).unwrap();
    let key = endpoints.key(&pick).copied().unwrap();
    endpoints.finish(pick, at(millis + 1), ending(key));
    key
}

proptest! {
    /// The model: calls under way per endpoint, and, for breakers that open at the first failure, until when.
    #[test]
    fn no_call_goes_to_an_open_endpoint_and_pending_calls_are_counted(
        count in 1_usize..6, seed: u64,
        steps in prop::collection::vec((0_i64..2_000, 0_usize..4), 1..100),
    ) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut endpoints = endpoints_of(count, 1);
        let (mut under_way, mut open_until) = (Vec::new(), vec![0_i64; count]);
        let mut now = 0;
        for (advance, step) in steps {
            now += advance;
            if step < 2 || under_way.is_empty() {
                match endpoints.pick(at(now), &mut rng, &[]) {
                    Ok(pick) => {
                        prop_assert!(open_until[pick.index] <= now);
                        under_way.push(pick);
                    }
                    Err(until) => {
                        prop_assert!(until > at(now));
                        prop_assert!(open_until.iter().all(|&until| until > 0), "a closed one was passed over");
                    }
                }
            } else {
                let pick = under_way.swap_remove(0);
                let index = pick.index;
                let was = endpoints.all[index].breaker.state(at(now));
                let ending = if step == 2 { Ending::Failed } else { Ending::Answered };
                endpoints.finish(pick, at(now), ending);
                let is = endpoints.all[index].breaker.state(at(now));
                if is == State::Open && was != State::Open {
                    open_until[index] = now + 5_000;
                } else if is == State::Closed {
                    open_until[index] = 0;
                }
            }
            for (index, endpoint) in endpoints.all.iter().enumerate() {
                prop_assert_eq!(endpoint.pending, under_way.iter().filter(|pick| pick.index == index).count());
            }
        }
    }
}

#[test]
fn one_failure_turns_the_next_calls_to_the_others() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut endpoints = endpoints_of(2, 5);
    let fails = |index| if index == 0 { Ending::Failed } else { Ending::Answered };
    let to_dead = (0..100).filter(|&call_at| call(&mut endpoints, call_at, &mut rng, fails) == 0).count();
    assert_eq!(to_dead, 1);
}

#[test]
fn an_overloaded_endpoint_is_avoided_but_not_cut_off() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut endpoints = endpoints_of(2, 1);
    let sheds = |index| if index == 0 { Ending::Overloaded } else { Ending::Answered };
    let to_busy = (0..100).filter(|&call_at| call(&mut endpoints, call_at, &mut rng, sheds) == 0).count();
    assert_eq!(to_busy, 1);
    assert_eq!(endpoints.all[0].breaker.state(at(200)), State::Closed);
}

#[test]
fn a_recovered_endpoint_is_probed_once_and_then_shares_the_load() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut endpoints = endpoints_of(2, 1);
    let fails = |index| if index == 0 { Ending::Failed } else { Ending::Answered };
    while call(&mut endpoints, 0, &mut rng, fails) != 0 {}
    assert_eq!(call(&mut endpoints, 4_000, &mut rng, fails), 1);
    assert_eq!(call(&mut endpoints, 5_002, &mut rng, |_| Ending::Answered), 0, "its probe comes first");
    let to_recovered =
        (0..100).filter(|turn| call(&mut endpoints, 5_100 + turn, &mut rng, |_| Ending::Answered) == 0);
    assert!(to_recovered.count() >= 20);
}

#[test]
fn when_all_are_open_the_earliest_reopening_is_told() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut endpoints = endpoints_of(2, 1);
    call(&mut endpoints, 0, &mut rng, |_| Ending::Failed);
    call(&mut endpoints, 1_000, &mut rng, |_| Ending::Failed);
    assert_eq!(endpoints.pick(at(2_000), &mut rng, &[]).unwrap_err(), at(5_001));
}

proptest! {
    /// The model: the keys that are there, and the calls under way by key and by the life of the key.
    #[test]
    fn endpoints_come_and_go_while_calls_run(
        seed: u64, steps in prop::collection::vec((0_usize..3, prop::collection::btree_set(0_usize..6, 0..6)), 1..80),
    ) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut endpoints = Endpoints::new(rules(1), 1);
        let mut lives = [0_u32; 6];
        let mut there = std::collections::BTreeSet::new();
        let mut under_way: Vec<(Pick, usize, u32)> = Vec::new();
        for (now, (step, keys)) in (0..).zip(steps) {
            match step {
                0 => {
                    keys.difference(&there).for_each(|key| lives[*key] += 1);
                    endpoints.replace(members(keys.iter().copied()), at(now));
                    there = keys;
                }
                1 if !under_way.is_empty() => {
                    let (pick, key, life) = under_way.remove(0);
                    let stays = there.contains(&key) && lives[key] == life;
                    prop_assert_eq!(endpoints.key(&pick).copied(), stays.then_some(key));
                    endpoints.finish(pick, at(now), Ending::Answered);
                }
                _ => if let Ok(pick) = endpoints.pick(at(now), &mut rng, &[]) {
                    let key = endpoints.key(&pick).copied().unwrap();
                    prop_assert!(there.contains(&key));
                    under_way.push((pick, key, lives[key]));
                } else {
                    prop_assert!(there.is_empty());
                },
            }
            prop_assert_eq!(endpoints.is_empty(), there.is_empty());
            for endpoint in &endpoints.all {
                let of_it = |call: &&(Pick, usize, u32)| (call.1, call.2) == (endpoint.member.key, lives[endpoint.member.key]);
                prop_assert_eq!(endpoint.pending, under_way.iter().filter(of_it).count());
            }
        }
    }
}

#[test]
fn the_breaker_of_an_endpoint_that_stays_is_kept_and_one_that_comes_back_starts_anew() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut endpoints = endpoints_of(2, 1);
    let fails = |index| if index == 0 { Ending::Failed } else { Ending::Answered };
    while call(&mut endpoints, 0, &mut rng, fails) != 0 {}
    endpoints.replace(members([1, 0, 2]), at(1));
    let state = |endpoints: &Endpoints<usize>, key| {
        let endpoint = endpoints.all.iter().find(|endpoint| endpoint.member.key == key);
        endpoint.map(|endpoint| endpoint.breaker.state(at(2)))
    };
    assert_eq!(state(&endpoints, 0), Some(State::Open));
    assert_eq!(state(&endpoints, 2), Some(State::Closed));
    endpoints.replace(members([1, 2]), at(2));
    endpoints.replace(members([0, 1, 2]), at(2));
    assert_eq!(state(&endpoints, 0), Some(State::Closed));
}

#[test]
fn a_call_goes_where_it_has_not_been_as_long_as_there_is_such_a_place() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut endpoints = endpoints_of(3, 5);
    for _ in 0..50 {
        let mut tried = Vec::new();
        for _ in 0..3 {
            let pick = endpoints.pick(at(0), &mut rng, &tried).unwrap();
            assert!(!tried.contains(&pick.serial()));
            tried.push(pick.serial());
            endpoints.finish(pick, at(1), Ending::Answered);
        }
        let pick = endpoints.pick(at(1), &mut rng, &tried).unwrap();
        endpoints.finish(pick, at(2), Ending::Answered);
    }
}

#[test]
fn a_probe_that_runs_into_its_deadline_has_failed_and_other_calls_that_do_have_not() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut endpoints = endpoints_of(1, 1);
    call(&mut endpoints, 0, &mut rng, |_| Ending::TimedOut);
    assert_eq!(endpoints.standing(at(1)), Standing { closed: 1, ..Standing::default() });
    call(&mut endpoints, 1, &mut rng, |_| Ending::Failed);
    assert_eq!(endpoints.standing(at(2)), Standing { open: 1, ..Standing::default() });
    assert_eq!(endpoints.standing(at(5_002)), Standing { half_open: 1, ..Standing::default() });
    call(&mut endpoints, 5_002, &mut rng, |_| Ending::TimedOut);
    assert_eq!(endpoints.standing(at(5_003)), Standing { open: 1, ..Standing::default() });
}
