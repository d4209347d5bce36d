//! What the balancer promises, over endpoints made for the test.

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_micros(millis * 1_000)
}

fn trips_after(failures: u32) -> BreakerConfig {
    BreakerConfig {
        consecutive_failures: failures,
        failure_ratio: 2.0,
        pause: Duration::from_secs(5),
        ..BreakerConfig::default()
    }
}

/// Sends one call that takes a millisecond and ends like this; returns where it went.
fn call(endpoints: &mut Endpoints, millis: i64, rng: &mut StdRng, ending: impl Fn(usize) -> Ending) -> usize {
    let pick = endpoints.pick(at(millis), rng).unwrap();
    let index = pick.index;
    endpoints.finish(pick, at(millis + 1), ending(index));
    index
}

proptest! {
    /// The model: calls under way per endpoint, and, for breakers that open at the first failure, until when.
    #[test]
    fn no_call_goes_to_an_open_endpoint_and_pending_calls_are_counted(
        count in 1_usize..6, seed: u64,
        steps in prop::collection::vec((0_i64..2_000, 0_usize..4), 1..100),
    ) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut endpoints = Endpoints::new(count, &trips_after(1), at(0));
        let (mut under_way, mut open_until) = (Vec::new(), vec![0_i64; count]);
        let mut now = 0;
        for (advance, step) in steps {
            now += advance;
            if step < 2 || under_way.is_empty() {
                match endpoints.pick(at(now), &mut rng) {
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
                let was = endpoints.0[index].breaker.state(at(now));
                let ending = if step == 2 { Ending::Failed } else { Ending::Answered };
                endpoints.finish(pick, at(now), ending);
                let is = endpoints.0[index].breaker.state(at(now));
                if is == State::Open && was != State::Open {
                    open_until[index] = now + 5_000;
                } else if is == State::Closed {
                    open_until[index] = 0;
                }
            }
            for (index, endpoint) in endpoints.0.iter().enumerate() {
                prop_assert_eq!(endpoint.pending, under_way.iter().filter(|pick| pick.index == index).count());
            }
        }
    }
}

#[test]
fn one_failure_turns_the_next_calls_to_the_others() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut endpoints = Endpoints::new(2, &trips_after(5), at(0));
    let fails = |index| if index == 0 { Ending::Failed } else { Ending::Answered };
    let to_dead = (0..100).filter(|&call_at| call(&mut endpoints, call_at, &mut rng, fails) == 0).count();
    assert_eq!(to_dead, 1);
}

#[test]
fn an_overloaded_endpoint_is_avoided_but_not_cut_off() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut endpoints = Endpoints::new(2, &trips_after(1), at(0));
    let sheds = |index| if index == 0 { Ending::Overloaded } else { Ending::Answered };
    let to_busy = (0..100).filter(|&call_at| call(&mut endpoints, call_at, &mut rng, sheds) == 0).count();
    assert_eq!(to_busy, 1);
    assert_eq!(endpoints.0[0].breaker.state(at(200)), State::Closed);
}

#[test]
fn a_recovered_endpoint_is_probed_once_and_then_shares_the_load() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut endpoints = Endpoints::new(2, &trips_after(1), at(0));
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
    let mut endpoints = Endpoints::new(2, &trips_after(1), at(0));
    call(&mut endpoints, 0, &mut rng, |_| Ending::Failed);
    call(&mut endpoints, 1_000, &mut rng, |_| Ending::Failed);
    assert_eq!(endpoints.pick(at(2_000), &mut rng).unwrap_err(), at(5_001));
}
