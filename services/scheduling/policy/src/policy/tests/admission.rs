//! Who is refused, in which order, and when to come again.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::{Admit, Arrival, Limit, OnFull, Overload, Refusal, Traits};

fn moment(millis: i64) -> Timestamp {
    Timestamp::from_micros(millis * 1_000)
}

fn admit(policy: &Policy, tenant_number: usize, priority: Priority, count: usize, now: Timestamp) -> Admit {
    let (tenant, kind) = (tenant(tenant_number), kind(0));
    policy.admit(&Arrival { tenant: &tenant, kind: &kind, priority, traits: None, count }, now)
}

fn with(overload: Overload, window: usize) -> Policy {
    Policy::new(PolicyConfig { overload, window, ..PolicyConfig::default() }).unwrap()
}

#[test]
fn background_is_shed_before_normal_before_interactive() {
    let mut policy = with(Overload { queued: Some(100), ..Overload::default() }, 10);
    let refused = |policy: &Policy| {
        Priority::ALL.map(|priority| admit(policy, 1, priority, 1, moment(0)) != Admit::Queue)
    };
    // What is left to the store counts too: the window is ten.
    enqueue_each(&mut policy, 0..79);
    assert_eq!(refused(&policy), [false, false, false]);
    enqueue_each(&mut policy, 79..80);
    assert_eq!(refused(&policy), [false, false, true]);
    enqueue_each(&mut policy, 80..95);
    assert_eq!(refused(&policy), [false, true, true]);
    enqueue_each(&mut policy, 95..100);
    assert_eq!(refused(&policy), [true, true, true]);
}

fn enqueue_each(policy: &mut Policy, sequences: std::ops::Range<i64>) {
    sequences.for_each(|sequence| _ = policy.enqueue(normal(sequence, 0)));
}

#[test]
fn a_quota_is_one_tenants_and_its_retry_follows_the_measured_rate() {
    let mut policy = with(Overload { tenant_queued: Some(1_000), ..Overload::default() }, 5_000);
    policy.set_quota(&tenant(0), Some(300));
    enqueue_all(&mut policy, 0..1_000, 0);
    let refusal = |policy: &Policy, count, now| match admit(policy, 0, Priority::Normal, count, now) {
        Admit::Reject { why: Refusal::Quota { queued, quota }, retry_after } => (queued, quota, retry_after),
        other => panic!("{other:?}"),
    };
    assert_eq!(refusal(&policy, 1, moment(0)), (1_000, 300, Duration::from_secs(5)), "nothing is known yet");
    assert_eq!(admit(&policy, 1, Priority::Normal, 1_000, moment(0)), Admit::Queue);
    // A hundred a second for five seconds.
    for step in 0..500 {
        policy.take(&Worker::of_kinds(&[kind(0)], 1), moment(10_000 + step * 10));
    }
    let (queued, _, retry_after) = refusal(&policy, 1, moment(15_000));
    assert_eq!(queued, 500);
    assert!((retry_after.as_secs_f64() - 2.01).abs() < 0.1, "{retry_after:?}");
    policy.set_quota(&tenant(0), None);
    assert_eq!(admit(&policy, 0, Priority::Normal, 500, moment(15_000)), Admit::Queue);
}

#[test]
fn a_full_key_queues_refuses_or_replaces_the_oldest() {
    let mut policy = policy();
    let key: Arc<str> = "user:7".into();
    let traits = Arc::new(Traits { keys: vec![key.clone()], ..Traits::default() });
    let scope = Scope::TenantKey(tenant(0), key.clone());
    let set = |policy: &mut Policy, on_full| {
        let limit = Limit { concurrency: Some(2), on_full, ..Limit::default() };
        policy.set_limit(&scope, limit, moment(0));
    };
    let ask = |policy: &Policy| {
        let (tenant, kind) = (tenant(0), kind(0));
        let traits = Some(&*traits);
        let arrival = Arrival { tenant: &tenant, kind: &kind, priority: Priority::Normal, traits, count: 1 };
        policy.admit(&arrival, moment(0))
    };
    let submit = |policy: &mut Policy, sequence| {
        policy.enqueue(Candidate { traits: Some(traits.clone()), ..normal(sequence, 0) });
    };
    set(&mut policy, OnFull::Reject);
    submit(&mut policy, 1);
    assert_eq!(ask(&policy), Admit::Queue);
    submit(&mut policy, 2);
    let why = Refusal::Key { key, tasks: 2, cap: 2 };
    assert_eq!(ask(&policy), Admit::Reject { why, retry_after: Duration::from_secs(5) });
    set(&mut policy, OnFull::Queue);
    assert_eq!(ask(&policy), Admit::Queue);
    take(&mut policy, &[kind(0)], 1);
    set(&mut policy, OnFull::ReplaceOldest);
    assert_eq!(ask(&policy), Admit::Replace(id(1)), "the one that runs is the oldest");
    assert!(policy.finished(id(1)));
    submit(&mut policy, 3);
    assert_eq!(ask(&policy), Admit::Replace(id(2)));
    take(&mut policy, &[kind(0)], 1);
    assert!(policy.returned(id(2)) && policy.remove(id(2)));
    assert_eq!(ask(&policy), Admit::Queue);
}
