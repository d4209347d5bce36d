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
        let shares = (0..of).map(|from| Share { from, to: from + 1, of });
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
    fn shares_that_are_given_up_first_never_add_up_to_more_than_the_concurrency(
        cap in 0_u32..9,
        steps in prop::collection::vec((0_usize..2, 0_u8..4, 0_u32..=6), 1..120),
    ) {
        let limit = Limit { concurrency: Some(cap), ..Limit::default() };
        let now = moment(0);
        let mut gates = [
            gate(limit, Share { from: 0, to: 3, of: 6 }),
            gate(limit, Share { from: 3, to: 6, of: 6 }),
        ];
        let in_use = |gate: &Gate| gate.concurrency().unwrap().max(gate.running);
        for (which, step, cut) in steps {
            match step {
                0 => {
                    try_enter(&mut gates[which], 1, now);
                }
                1 => {
                    gates[which].leave(0);
                    gates[which].judge(now);
                }
                // The cut between the two moves only as far as the one that loses has nothing running there.
                _ => {
                    let (losing, gaining) = (which, 1 - which);
                    let shares = [Share { from: 0, to: cut, of: 6 }, Share { from: cut, to: 6, of: 6 }];
                    if shares[losing].of(u64::from(cap)) > u64::from(gates[losing].concurrency().unwrap()) {
                        continue;
                    }
                    let before = gates[losing].share;
                    gates[losing].set_share(shares[losing], now);
                    if u64::from(in_use(&gates[losing])) == shares[losing].of(u64::from(cap)) {
                        gates[gaining].set_share(shares[gaining], now);
                    } else {
                        gates[losing].set_share(before, now);
                    }
                }
            }
            prop_assert!(gates[0].running + gates[1].running <= cap);
        }
    }
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
