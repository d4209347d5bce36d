//! Between tenants: start-time fair queueing by weight.
//!
//! Each tenant that is ready has a start tag in virtual time. The least tag is served; that sets virtual time to it
//! and moves it on by `cost / weight`. A tenant that becomes ready starts at virtual time, or at its old tag if that is
//! still ahead: what it did not use is not saved up, what it had in advance is not forgotten. When nobody is ready,
//! virtual time moves past all tags and everything may be forgotten.
//!
//! Bound: over any run of dispatches in which `f` and `g` are ready throughout,
//! `|W_f/w_f - W_g/w_g| <= c_f/w_f + c_g/w_g`, with `W` the cost served, `w` the weight and `c` the greatest cost of one
//! task. A tag never leads virtual time by more than `c/w`, so no past makes anybody wait for longer than that.
//!
//! Source: P. Goyal, H. Vin, H. Cheng, "Start-time Fair Queuing", SIGCOMM 1996. Tags are integers in units of 2^-32, so
//! that every machine decides alike; among equal tags the lower tenant number goes first.

use std::collections::{BTreeMap, BTreeSet};

/// Virtual time in units of 2^-32 of a cost over a weight.
type Tag = u128;

/// Who is served next; tenants by number.
#[derive(Debug, Default)]
pub(crate) struct FairOrder {
    virtual_time: Tag,
    /// Of those that are ready, and of those that are ahead of virtual time.
    tags: BTreeMap<u32, Tag>,
    ready: BTreeSet<(Tag, u32)>,
    /// Not ready, and ahead of virtual time.
    ahead: BTreeSet<(Tag, u32)>,
}

impl FairOrder {
    /// Who is next, if anybody is ready.
    pub(crate) fn first(&self) -> Option<u32> {
        self.ready.first().map(|entry| entry.1)
    }

    /// Lets a tenant take part, or not.
    pub(crate) fn set_ready(&mut self, tenant: u32, ready: bool) {
        let known = self.tags.get(&tenant).copied();
        let was_ready = known.is_some_and(|tag| self.ready.contains(&(tag, tenant)));
        if was_ready == ready {
            return;
        }
        let tag = known.unwrap_or(self.virtual_time);
        if ready {
            self.ahead.remove(&(tag, tenant));
            self.tags.insert(tenant, tag);
            self.ready.insert((tag, tenant));
        } else {
            self.ready.remove(&(tag, tenant));
            self.ahead.insert((tag, tenant));
            if self.ready.is_empty() {
                self.virtual_time = self.ahead.last().map_or(tag, |last| last.0);
            }
            self.forget_caught_up();
        }
    }

    /// Charges a tenant that is ready for a task of this cost.
    pub(crate) fn serve(&mut self, tenant: u32, cost: u32, weight: u32) {
        let Some(tag) = self.tags.get_mut(&tenant) else { return };
        self.ready.remove(&(*tag, tenant));
        self.virtual_time = self.virtual_time.max(*tag);
        *tag += (Tag::from(cost.max(1)) << 32) / Tag::from(weight.max(1));
        self.ready.insert((*tag, tenant));
        self.forget_caught_up();
    }

    /// Whether anything is remembered of a tenant.
    pub(crate) fn knows(&self, tenant: u32) -> bool {
        self.tags.contains_key(&tenant)
    }

    fn forget_caught_up(&mut self) {
        while let Some(&(tag, tenant)) = self.ahead.first()
            && tag <= self.virtual_time
        {
            self.ahead.pop_first();
            self.tags.remove(&tenant);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Tenants 0 and 1 are ready throughout, the others come and go.
    fn fluctuation() -> impl Strategy<Value = Vec<(u32, bool, u32)>> {
        prop::collection::vec((2_u32..6, any::<bool>(), 1_u32..20), 1..300)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]
        #[test]
        fn two_ready_tenants_never_drift_apart_by_more_than_the_bound(
            weights in prop::collection::vec(1_u32..20, 6), before in fluctuation(), during in fluctuation(),
        ) {
            let mut order = FairOrder::default();
            for (tenant, ready, cost) in before {
                order.set_ready(tenant - 2, ready);
                if let Some(first) = order.first() {
                    order.serve(first, cost, weights[first as usize]);
                }
            }
            order.set_ready(0, true);
            order.set_ready(1, true);
            let mut served = [0_f64; 6];
            let (mut least, mut most) = (0_f64, 0_f64);
            for (tenant, ready, cost) in during {
                order.set_ready(tenant, ready);
                let first = order.first().unwrap() as usize;
                order.serve(first as u32, cost, weights[first]);
                served[first] += f64::from(cost) / f64::from(weights[first]);
                let drift = served[0] - served[1];
                (least, most) = (least.min(drift), most.max(drift));
            }
            // The drift over any stretch is at most the range of the drift from the start.
            let bound = 19.0 / f64::from(weights[0]) + 19.0 / f64::from(weights[1]);
            prop_assert!(most - least <= bound + 1e-6, "{} over {}", most - least, bound);
        }

        #[test]
        fn tags_stay_between_virtual_time_and_one_task_ahead(steps in fluctuation()) {
            let mut order = FairOrder::default();
            for (tenant, ready, cost) in steps {
                order.set_ready(tenant, ready);
                let earlier = order.virtual_time;
                if let Some(first) = order.first() {
                    order.serve(first, cost, 1);
                }
                prop_assert!(order.virtual_time >= earlier);
                let range = order.virtual_time..=order.virtual_time + (19 << 32);
                prop_assert!(order.tags.values().all(|tag| range.contains(tag)));
                prop_assert_eq!(order.tags.len(), order.ready.len() + order.ahead.len());
            }
            (2..6).for_each(|tenant| order.set_ready(tenant, false));
            prop_assert!(order.tags.is_empty() && order.first().is_none());
        }
    }

    #[test]
    fn a_tenant_that_comes_and_goes_does_not_lose_what_it_had_in_advance() {
        let mut order = FairOrder::default();
        order.set_ready(0, true);
        let mut served = [0; 2];
        for _ in 0..100 {
            order.set_ready(1, true);
            let first = order.first().unwrap();
            order.serve(first, 1, 1);
            served[first as usize] += 1;
            order.set_ready(1, false);
        }
        assert_eq!(served, [50, 50]);
    }

    #[test]
    fn weights_divide_the_service() {
        let mut order = FairOrder::default();
        let weights = [1, 4, 16];
        (0..3).for_each(|tenant| order.set_ready(tenant, true));
        let mut served = [0; 3];
        for _ in 0..2_100 {
            let first = order.first().unwrap();
            order.serve(first, 1, weights[first as usize]);
            served[first as usize] += 1;
        }
        assert_eq!(served, [100, 400, 1_600]);
    }
}
