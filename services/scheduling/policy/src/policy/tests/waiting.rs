//! How long a task can wait, and how exact the shares are: the stated bounds against random loads.

use proptest::prelude::*;

use super::*;

const MAX_COST: u32 = 5;

/// Dispatches of the pool for one of a lane, with the shares that are the default.
const TURNS: [u64; 3] = [2, 5, 23];

fn now() -> Timestamp {
    Timestamp::default()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// Tenant 0 has a task behind others of its own; all other tenants have more work than can be done, in every lane.
    #[test]
    fn no_task_waits_for_more_dispatches_than_stated(
        weights in prop::collection::vec(1_u32..6, 2..6),
        own in prop::collection::vec(1..=MAX_COST, 1..6), lane in 0_usize..3, warm in 0_usize..60,
    ) {
        let mut policy = policy();
        for (number, &weight) in weights.iter().enumerate() {
            policy.set_tenant(&tenant(number), TenantLimits { weight, concurrency: None });
        }
        let own_cost: u32 = own.iter().sum();
        let least = f64::from(weights[0]);
        let rivals: f64 = weights[1..].iter()
            .map(|&weight| f64::from(weight) / least * f64::from(own_cost) + f64::from(MAX_COST)).sum();
        // Rivals' tasks cost one each, so cost counts dispatches.
        let turns = f64::from(own_cost) + rivals;
        let most = (turns.ceil() as u64 + 1) * TURNS[lane];
        let mut last = 1_000;
        for _ in 0..most + 100 {
            for number in 1..weights.len() {
                for priority in Priority::ALL {
                    last += 1;
                    policy.enqueue(candidate(last, number, priority, 0));
                }
            }
        }
        take(&mut policy, &[kind(0)], warm);
        for (sequence, &cost) in (0_i64..).zip(&own) {
            policy.enqueue(Candidate { cost, ..candidate(sequence, 0, Priority::ALL[lane], 0) });
        }
        let wanted = i64::try_from(own.len()).unwrap() - 1;
        let picked = take(&mut policy, &[kind(0)], usize::try_from(most).unwrap());
        prop_assert!(sequences(&picked).contains(&wanted), "it waits after {} dispatches", most);
    }

    /// Arrivals that a leaky bucket lets through, more slowly than they are served: the wait is the longest busy period,
    /// for every priority and tenant (R. Cruz, "A calculus for network delay", 1991).
    #[test]
    fn without_overload_no_task_waits_longer_than_the_burst_takes_to_work_off(
        burst in 1_u32..60, (served, arriving) in (2_u32..9).prop_flat_map(|served| (Just(served), 1..served)),
        loads in prop::collection::vec((0_u32..40, 0_usize..5, 0_usize..3), 1..200),
    ) {
        let mut policy = policy();
        let (mut tokens, mut last) = (burst, 0);
        let mut arrived = std::collections::BTreeMap::new();
        let longest = i64::from(burst.div_ceil(served - arriving)) + 1;
        let mut tick = 0;
        let serve = |policy: &mut Policy, arrived: &mut std::collections::BTreeMap<i64, i64>, tick: i64| {
            for pick in take(policy, &[kind(0)], served as usize) {
                let waited = tick - arrived.remove(&pick.sequence).unwrap();
                assert!(waited <= longest, "it has waited {waited} of {longest}");
                policy.finished(pick.id);
            }
        };
        for (wanted, tenant, priority) in loads {
            tokens = (tokens + arriving).min(burst.max(arriving));
            let count = wanted.min(tokens);
            tokens -= count;
            for _ in 0..count {
                last += 1;
                arrived.insert(last, tick);
                policy.enqueue(candidate(last, tenant, Priority::ALL[priority], 0));
            }
            serve(&mut policy, &mut arrived, tick);
            tick += 1;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn shares_are_within_two_percent_and_one_task_of_the_ideal(
        weights in prop::collection::vec(1_u32..20, 2..6), costs in prop::collection::vec(1..=MAX_COST, 6),
    ) {
        const DISPATCHES: usize = 6_000;
        let mut policy = policy();
        let mut last = 0;
        for (number, &weight) in weights.iter().enumerate() {
            policy.set_tenant(&tenant(number), TenantLimits { weight, concurrency: None });
            for _ in 0..4 {
                last += 1;
                policy.enqueue(Candidate { cost: costs[number], ..normal(last, number) });
            }
        }
        let mut served = vec![0.0; weights.len()];
        let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
        for _ in 0..DISPATCHES {
            let pick = take(&mut policy, &[kind(0)], 1).remove(0);
            policy.finished(pick.id);
            let number = (0..weights.len()).find(|&number| tenant(number) == pick.tenant).unwrap();
            served[number] += f64::from(pick.cost);
            last += 1;
            policy.enqueue(Candidate { sequence: last, id: id(last), ..pick });
            let all: f64 = served.iter().sum();
            for (number, served) in served.iter().enumerate() {
                let part = f64::from(weights[number]) / total;
                // Against each other tenant by start-time fair queueing's bound, so against all of them by its mean.
                let bound: f64 = (0..weights.len())
                    .map(|other| part * (f64::from(costs[other])
                        + f64::from(weights[other]) * f64::from(costs[number]) / f64::from(weights[number])))
                    .sum();
                prop_assert!((served - part * all).abs() <= bound + 1e-6, "{} of {}", served, part * all);
                if part * all >= 50.0 * bound {
                    prop_assert!((served / (part * all) - 1.0).abs() <= 0.02);
                }
            }
        }
    }
}

#[test]
fn deadlines_go_first_but_not_before_what_has_waited_out_its_patience() {
    let mut policy = policy();
    let made = |sequence: i64, millis: u64| {
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        bytes[8..].copy_from_slice(&sequence.to_be_bytes());
        Candidate { id: Id::from_bytes(bytes), ..normal(sequence, 0) }
    };
    let with_deadline = |sequence: i64, seconds: i64| {
        let deadline = Some(Timestamp::from_micros(seconds * 1_000_000));
        let traits = Some(std::sync::Arc::new(crate::Traits { deadline, ..Default::default() }));
        Candidate { traits, ..made(sequence, 0) }
    };
    policy.enqueue(made(1, 0));
    policy.enqueue(made(2, 50_000));
    // Due at 60 and 110 seconds by the default patience.
    for (sequence, seconds) in [(3, 200), (4, 100), (5, 30), (6, 31)] {
        policy.enqueue(with_deadline(sequence, seconds));
    }
    let worker = Worker::of_kinds(&[kind(0)], 9);
    assert_eq!(sequences(&policy.take(&worker, now())), [5, 6, 1, 4, 2, 3]);
}
