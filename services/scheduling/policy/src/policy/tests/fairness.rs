//! Fairness and waiting bounds of the whole policy, with several pools of workers at once.

use proptest::prelude::*;

use super::*;

/// The kinds that each pool of workers asks for.
const POOLS: [&[usize]; 3] = [&[0], &[1], &[0, 1]];

const MAX_COST: u32 = 5;

const MAX_SLOTS: usize = 3;

fn names(pool: usize) -> Vec<Kind> {
    POOLS[pool].iter().map(|&number| kind(number)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// Tenants 0 and 1 always have both kinds waiting, tenants 2 and 3 only sometimes.
    #[test]
    fn in_every_pool_backlogged_tenants_are_served_by_weight(
        weights in prop::collection::vec(1_u32..12, 4),
        rounds in prop::collection::vec((0_usize..3, 1..=MAX_SLOTS, 0_usize..4, 0_usize..2, 1..=MAX_COST), 1..120),
    ) {
        let mut policy = policy();
        for (number, &weight) in weights.iter().enumerate() {
            policy.set_tenant(&tenant(number), TenantLimits { weight, concurrency: None });
        }
        let mut last = 0;
        let mut submit = |policy: &mut Policy, tenant: usize, kind: usize, cost: u32| {
            last += 1;
            policy.enqueue(Candidate { cost, ..candidate(last, tenant, Priority::Normal, kind) });
        };
        // What a `take` takes is put back only afterwards, so more than its slots must wait of each kind.
        for round in 0..4 * (rounds.len() + MAX_SLOTS) {
            submit(&mut policy, round % 2, round / 2 % 2, 1 + round as u32 % MAX_COST);
        }
        let mut served = [[0_f64; 4]; 3];
        let mut drifts = [(0_f64, 0_f64); 3];
        for (pool, slots, guest, guest_kind, cost) in rounds {
            submit(&mut policy, guest, guest_kind, cost);
            for pick in take(&mut policy, &names(pool), slots) {
                let number = (0..4).find(|&number| tenant(number) == pick.tenant).unwrap();
                served[pool][number] += f64::from(pick.cost) / f64::from(weights[number]);
                // What was taken from the two is put back at the end of the queue.
                if number < 2 {
                    let kind_number = usize::from(pick.kind == kind(1));
                    submit(&mut policy, number, kind_number, pick.cost);
                }
                let drift = served[pool][0] - served[pool][1];
                drifts[pool] = (drifts[pool].0.min(drift), drifts[pool].1.max(drift));
            }
        }
        let bound: f64 = weights[..2].iter().map(|&weight| f64::from(MAX_COST) / f64::from(weight)).sum();
        for (least, most) in drifts {
            prop_assert!(most - least <= bound + 1e-6, "{} over {}", most - least, bound);
        }
    }
}

#[test]
fn a_busy_pool_does_not_bend_the_weights_of_a_quiet_one() {
    let mut policy = policy();
    policy.set_tenant(&tenant(1), TenantLimits { weight: 4, concurrency: None });
    for sequence in 0..2_000 {
        // Both tenants have kind 0; tenant 0 has kind 1 as well.
        policy.enqueue(candidate(sequence, sequence as usize % 2, Priority::Normal, 0));
        policy.enqueue(candidate(10_000 + sequence, 0, Priority::Normal, 1));
    }
    let mut of_quiet_pool = Vec::new();
    for _ in 0..100 {
        take(&mut policy, &names(1), 10);
        of_quiet_pool.extend(take(&mut policy, &names(0), 1));
    }
    let second = of_quiet_pool.iter().filter(|pick| pick.tenant == tenant(1)).count();
    assert_eq!((of_quiet_pool.len(), second), (100, 80));
}

#[test]
fn many_kinds_bring_no_advantage() {
    let mut policy = policy();
    for sequence in 0..1_000 {
        policy.enqueue(candidate(sequence, 0, Priority::Normal, sequence as usize % 2));
        policy.enqueue(candidate(10_000 + sequence, 1, Priority::Normal, 0));
    }
    let picked = take(&mut policy, &names(2), 500);
    assert_eq!(picked.iter().filter(|pick| pick.tenant == tenant(0)).count(), 250);
}

#[test]
fn a_newcomer_waits_for_nobodys_past() {
    let mut policy = policy();
    enqueue_all(&mut policy, 0..1_000, 0);
    take(&mut policy, &names(0), 500);
    enqueue_all(&mut policy, 5_000..5_100, 1);
    let picked = take(&mut policy, &names(0), 20);
    assert_eq!(picked.iter().filter(|pick| pick.tenant == tenant(1)).count(), 10);
}

#[test]
fn background_work_waits_at_most_23_dispatches_under_any_load() {
    let mut policy = policy();
    policy.enqueue(candidate(1, 0, Priority::Background, 0));
    for sequence in 2..200 {
        policy.enqueue(candidate(sequence, 1, Priority::ALL[sequence as usize % 2], 0));
    }
    assert!(sequences(&take(&mut policy, &[kind(0)], 23)).contains(&1));
}
