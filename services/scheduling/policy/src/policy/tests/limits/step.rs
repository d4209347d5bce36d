//! What happens in a random history of limits.

use proptest::prelude::*;

use super::{KINDS, TENANTS, scopes};

#[derive(Debug, Clone)]
pub(super) enum Step {
    Enqueue { tenant: usize, kind: usize, priority: usize, cost: u32, asks: Asks },
    Take { mask: usize, slots: usize, labels: u8, memory: u64, zone: u8 },
    Finish(usize),
    Return(usize),
    Postpone(usize),
    Again(usize),
    Remove(usize),
    Move(usize, usize),
    Limit(usize, Option<u32>, Option<(u64, u64)>),
    Cap(usize, Option<u32>),
    Close(usize, i64),
    Pause(usize),
    Resume(usize),
    Wait(i64),
    Forget(usize),
}

/// What a task asks for, as bits and small numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asks {
    pub(super) keys: u8,
    pub(super) label: bool,
    pub(super) memory: u64,
    pub(super) zone: u8,
    pub(super) order: u8,
    pub(super) deadline: u8,
}

fn asks() -> impl Strategy<Value = Asks> {
    (0_u8..8, prop::bool::weighted(0.2), 0_u64..4, 0_u8..6, 0_u8..6, 0_u8..4).prop_map(
        |(keys, label, memory, zone, order, deadline)| Asks { keys, label, memory, zone, order, deadline },
    )
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let scope = || 0_usize..scopes().len();
    let enqueue = (0..TENANTS, 0..KINDS, 0..3_usize, 0_u32..5, asks()).prop_map(
        |(tenant, kind, priority, cost, asks)| Step::Enqueue { tenant, kind, priority, cost, asks },
    );
    let take = (0_usize..4, 0_usize..5, 0_u8..2, 0_u64..5, 0_u8..3)
        .prop_map(|(mask, slots, labels, memory, zone)| Step::Take { mask, slots, labels, memory, zone });
    let limit = (scope(), prop::option::of(0_u32..4), prop::option::of((0_u64..200, 0_u64..9)));
    prop_oneof![
        12 => enqueue,
        10 => take,
        6 => (0_usize..50).prop_map(Step::Finish),
        2 => (0_usize..50).prop_map(Step::Return),
        2 => (0_usize..50).prop_map(Step::Postpone),
        2 => (0_usize..50).prop_map(Step::Again),
        1 => (0_usize..50).prop_map(Step::Remove),
        1 => (0_usize..50, 0_usize..3).prop_map(|(task, priority)| Step::Move(task, priority)),
        3 => limit.prop_map(|(scope, cap, rate)| Step::Limit(scope, cap, rate)),
        1 => (0..TENANTS, prop::option::of(0_u32..4)).prop_map(|(tenant, cap)| Step::Cap(tenant, cap)),
        1 => (scope(), 0_i64..60_000).prop_map(|(scope, micros)| Step::Close(scope, micros)),
        1 => scope().prop_map(Step::Pause),
        1 => scope().prop_map(Step::Resume),
        4 => (0_i64..30_000).prop_map(Step::Wait),
        1 => (0..4 * TENANTS).prop_map(Step::Forget),
    ]
}
