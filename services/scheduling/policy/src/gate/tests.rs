//! The bounds of a gate: over every stretch of random histories.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn moment(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn gate(limit: Limit, share: Share) -> Gate {
    let mut gate = Gate::new(Scope::Key("k".into()), moment(0));
    gate.set_share(share, moment(0));
    gate.set_limit(limit, moment(0));
    gate.judge(moment(0));
    gate
}

/// Lets a task in if that is allowed now.
fn try_enter(gate: &mut Gate, cost: u32, now: Timestamp) -> bool {
    gate.judge(now);
    let enters = !gate.shut && gate.reserve(cost, now);
    if enters {
        gate.enter(0, cost, now);
    }
    gate.judge(now);
    enters
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn no_stretch_of_time_sees_more_than_the_rate_and_the_burst(
        per_second in 1_u64..2_000, burst in 1_u64..50, of in 1_u32..4,
        steps in prop::collection::vec((0_i64..60_000, 1_u32..50), 1..150),
    ) {
        let rate = Some(Rate { per_second, burst });
        let limit = Limit { rate, ..Limit::default() };
        let part = |whole: u64, index: u32| whole * u64::from(index + 1) / u64::from(of) - whole * u64::from(index) / u64::from(of);
        let shares = (0..of).map(|index| Share {
            rate: Rate { per_second: part(per_second, index), burst: part(burst, index) },
            ..Share::ALL
        });
        // Each scheduler asks for everything it can get: together they stay below the whole.
        let mut gates: Vec<Gate> = shares.map(|share| gate(limit, share)).collect();
        let mut entered: Vec<(i64, u64)> = Vec::new();
        let mut now = 0;
        for (wait, cost) in steps {
            now += wait;
            for gate in &mut gates {
                let cost = u64::from(cost).min(gate.rate().unwrap().burst);
                if cost > 0 && try_enter(gate, u32::try_from(cost).unwrap(), moment(now)) {
                    entered.push((now, cost));
                }
            }
        }
        for (first, &(from, _)) in entered.iter().enumerate() {
            let mut tokens = 0;
            for &(to, cost) in &entered[first..] {
                tokens += cost;
                let most = u128::from(burst) * 1_000_000 + u128::from(per_second) * u128::try_from(to - from).unwrap();
                prop_assert!(u128::from(tokens) * 1_000_000 <= most);
            }
        }
    }

    #[test]
    fn what_was_refused_is_let_in_at_the_moment_that_was_told(
        per_second in 1_u64..2_000, burst in 1_u64..50, costs in prop::collection::vec(1_u32..200, 1..40),
    ) {
        let rate = Some(Rate { per_second, burst });
        let mut gate = gate(Limit { rate, ..Limit::default() }, Share::ALL);
        let mut now = moment(0);
        for cost in costs {
            if !try_enter(&mut gate, cost, now) {
                let wake = gate.wake.unwrap();
                prop_assert!(wake > now);
                prop_assert!(!try_enter(&mut gate, cost, wake - Duration::from_micros(1)));
                // A gate that was shut for the debt of the one before may find that this one needs more.
                now = wake;
                if !try_enter(&mut gate, cost, now) {
                    now = gate.wake.unwrap();
                    prop_assert!(try_enter(&mut gate, cost, now));
                }
            }
        }
    }

    #[test]
    fn a_share_that_moves_with_what_is_given_up_first_never_gives_more_than_the_rate_and_the_burst(
        per_second in 1_u64..2_000, burst in 1_u64..50,
        steps in prop::collection::vec((0_i64..60_000, 0_usize..2, 0_u8..8), 1..150),
    ) {
        let limit = Limit { rate: Some(Rate { per_second, burst }), ..Limit::default() };
        let mut gates = [gate(limit, Share::ALL), gate(limit, Share::NONE)];
        let (mut entered, mut now): (Vec<i64>, i64) = (Vec::new(), 0);
        for (wait, which, step) in steps {
            now += wait;
            if step == 0 {
                gates[which].set_share(Share::NONE, moment(now));
                gates[1 - which].set_share(Share::ALL, moment(now));
            } else if try_enter(&mut gates[which], 1, moment(now)) {
                entered.push(now);
            }
        }
        for (first, &from) in entered.iter().enumerate() {
            for (count, &to) in (1_u64..).zip(&entered[first..]) {
                let most = u128::from(burst) * 1_000_000 + u128::from(per_second) * u128::try_from(to - from).unwrap();
                prop_assert!(u128::from(count) * 1_000_000 <= most);
            }
        }
    }
}

#[test]
fn a_gate_that_is_divided_says_so_and_tells_how_it_was_used() {
    let limit =
        Limit { concurrency: Some(5), rate: Some(Rate { per_second: 10, burst: 10 }), ..Limit::default() };
    let mut gate = gate(limit, Share { concurrency: 2, ..Share::ALL });
    assert!(try_enter(&mut gate, 1, moment(0)) && try_enter(&mut gate, 1, moment(0)));
    assert_eq!(gate.verdict(), Some(Verdict::Part { running: 2, part: 2, whole: 5 }));
    gate.leave(0);
    let used = gate.take_use();
    assert_eq!((used.running, used.peak, used.started, used.was_full), (1, 2, 2, true));
    let used = gate.take_use();
    assert_eq!((used.running, used.peak, used.started, used.was_full), (1, 1, 0, false));
    gate.set_share(Share { concurrency: 2, ..Share::NONE }, moment(0));
    gate.judge(moment(0));
    assert_eq!(gate.verdict(), Some(Verdict::PartOfRate { until: None, part: 0, whole: 10 }));
}

#[test]
fn a_closed_gate_opens_at_its_moment_and_a_pause_outlasts_it() {
    let mut gate = gate(Limit::default(), Share::ALL);
    gate.close(moment(50));
    assert!(gate.judge(moment(10)) && gate.shut);
    assert_eq!((gate.wake, gate.verdict()), (Some(moment(50)), Some(Verdict::Closed { until: moment(50) })));
    assert!(!gate.set_paused(true));
    gate.judge(moment(50));
    assert_eq!((gate.shut, gate.verdict()), (true, Some(Verdict::Paused)));
    assert!(gate.set_paused(false) && gate.judge(moment(51)) && !gate.shut && gate.is_idle());
}

#[test]
fn a_rate_without_tokens_lets_nothing_in_and_one_without_a_burst_pays_off() {
    let rate = |per_second, burst| Limit { rate: Some(Rate { per_second, burst }), ..Limit::default() };
    let mut never = gate(rate(0, 0), Share::ALL);
    assert!(!try_enter(&mut never, 1, moment(1_000_000_000)));
    let mut slow = gate(rate(10, 0), Share::ALL);
    assert!(try_enter(&mut slow, 5, moment(0)) && !try_enter(&mut slow, 1, moment(499_999)));
    assert!(try_enter(&mut slow, 1, moment(500_000)));
}
