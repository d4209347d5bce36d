//! The bound of start-time fair queueing, and what ranks do to it.

use proptest::prelude::*;

use super::*;

const MAX_COST: u32 = 20;

/// Tenants 0 and 1 are ready throughout, the others come and go.
fn fluctuation() -> impl Strategy<Value = Vec<(u32, bool, u32)>> {
    prop::collection::vec((2_u32..6, any::<bool>(), 1..=MAX_COST), 1..300)
}

fn serve(order: &mut FairOrder, cost: u32, weights: &[u32]) -> Option<u32> {
    let turn = order.next(|_| true)?;
    order.serve(turn, 0..order.ranks.len(), cost, weights[turn.tenant as usize]);
    Some(turn.tenant)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn two_ready_tenants_never_drift_apart_by_more_than_the_bound(
        weights in prop::collection::vec(1_u32..20, 6), before in fluctuation(), during in fluctuation(),
        near_the_end: bool,
    ) {
        let mut order = FairOrder::default();
        if near_the_end {
            order.virtual_time = REBASE_AT - 40 * UNIT;
        }
        for (tenant, ready, cost) in before {
            order.set_ready(0, tenant - 2, ready);
            serve(&mut order, cost, &weights);
        }
        order.set_ready(0, 0, true);
        order.set_ready(0, 1, true);
        let mut served = [0_f64; 6];
        let (mut least, mut most) = (0_f64, 0_f64);
        for (tenant, ready, cost) in during {
            order.set_ready(0, tenant, ready);
            let first = serve(&mut order, cost, &weights).unwrap() as usize;
            served[first] += f64::from(cost) / f64::from(weights[first]);
            let drift = served[0] - served[1];
            (least, most) = (least.min(drift), most.max(drift));
        }
        // The drift over any stretch is at most the range of the drift from the start.
        let bound = f64::from(MAX_COST) / f64::from(weights[0]) + f64::from(MAX_COST) / f64::from(weights[1]);
        prop_assert!(most - least <= bound + 1e-6, "{} over {}", most - least, bound);
    }

    #[test]
    fn tags_stay_between_virtual_time_and_one_task_ahead(steps in fluctuation()) {
        let mut order = FairOrder::default();
        for (tenant, ready, cost) in steps {
            order.set_ready(0, tenant, ready);
            let earlier = order.virtual_time;
            serve(&mut order, cost, &[1; 6]);
            prop_assert!(order.virtual_time >= earlier);
            let range = order.virtual_time..=order.virtual_time + u64::from(MAX_COST) * UNIT;
            for tenant in order.ranks[0].heap.items() {
                let tag = order.ranks[0].heap.key(order.ranks[0].at[tenant as usize]).unwrap();
                prop_assert!(range.contains(&tag));
            }
            prop_assert!(order.latest <= *range.end());
        }
        (2..6).for_each(|tenant| order.set_ready(0, tenant, false));
        prop_assert!(order.is_empty() && (2..6).all(|tenant| !order.remembers(tenant)));
    }

    /// Tenants 0 and 1 have work of both shapes; tenant 2 only of the second, which is passed over now and then.
    #[test]
    fn a_rank_that_is_passed_over_brings_nobody_an_advantage(
        steps in prop::collection::vec((any::<bool>(), 1..=MAX_COST), 1..300),
    ) {
        let mut order = FairOrder::default();
        for (rank, tenant) in [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)] {
            order.set_ready(rank, tenant, true);
        }
        let mut served = [0_i64; 3];
        // What tenant 2 has had more than tenant 0 since its rank came back.
        let (mut was_open, mut lead, mut worst) = (true, 0, 0);
        for (open, cost) in steps {
            let turn = order.next(|rank| open || rank == 0).unwrap();
            prop_assert!(open || turn.tenant != 2);
            order.serve(turn, 0..2, cost, 1);
            served[turn.tenant as usize] += i64::from(cost);
            lead = if open && was_open { lead } else { 0 };
            match turn.tenant {
                2 => lead += i64::from(cost),
                0 => lead -= i64::from(cost),
                _ => {}
            }
            worst = worst.max(lead);
            was_open = open;
            prop_assert!((served[0] - served[1]).abs() <= 2 * i64::from(MAX_COST));
        }
        prop_assert!(worst <= 2 * i64::from(MAX_COST), "{}", worst);
    }
}

#[test]
fn a_tenant_that_comes_and_goes_does_not_lose_what_it_had_in_advance() {
    let mut order = FairOrder::default();
    order.set_ready(0, 0, true);
    let mut served = [0; 2];
    for _ in 0..100 {
        order.set_ready(0, 1, true);
        served[serve(&mut order, 1, &[1, 1]).unwrap() as usize] += 1;
        order.set_ready(0, 1, false);
    }
    assert_eq!(served, [50, 50]);
}

#[test]
fn weights_divide_the_service() {
    let mut order = FairOrder::default();
    let weights = [1, 4, 16];
    (0..3).for_each(|tenant| order.set_ready(0, tenant, true));
    let mut served = [0; 3];
    for _ in 0..2_100 {
        served[serve(&mut order, 1, &weights).unwrap() as usize] += 1;
    }
    assert_eq!(served, [100, 400, 1_600]);
}
