//! What is said about a task that waits.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::{Lack, Limit, LimitStatus, Rate, Reason, Traits, Verdict};

fn second(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn reasons(policy: &mut Policy, sequence: i64, now: Timestamp) -> Vec<Reason> {
    let workers = [Worker::of_kinds(&[kind(0)], 1)];
    policy.explain(id(sequence), &workers, now).unwrap().reasons
}

#[test]
fn it_says_whose_turn_it_is_and_when_the_task_should_start() {
    let mut policy = policy();
    enqueue_all(&mut policy, 0..1_000, 0);
    enqueue_all(&mut policy, 2_000..2_010, 1);
    // Each tenant is given a task a tenth of a second, until the second has none left.
    for step in 0..60 {
        policy.take(&Worker::of_kinds(&[kind(0)], 1), second(1) + Duration::from_millis(step * 50));
    }
    let told = policy.explain(id(900), [], second(4)).unwrap();
    assert_eq!(told.reasons, [Reason::Turn { ahead: 850, rivals: 0 }]);
    let starts_in = told.starts_in.unwrap().as_secs_f64();
    // 50 of them in three seconds.
    assert!((starts_in - 851.0 * 3.0 / 50.0).abs() < 3.0, "{starts_in}");
    assert_eq!(reasons(&mut policy, 0, second(4)), [Reason::Runs]);
    assert!(policy.postponed(id(0)));
    assert_eq!(reasons(&mut policy, 0, second(4)), [Reason::Postponed]);
    assert_eq!(policy.explain(id(99_999), [], second(4)), None);
}

#[test]
fn it_names_every_limit_that_holds_a_task_back() {
    let mut policy = policy();
    let key: Arc<str> = "model:large".into();
    let traits = Some(Arc::new(Traits { keys: vec![key.clone()], ..Traits::default() }));
    for sequence in 1..=3 {
        policy.enqueue(Candidate { traits: traits.clone(), cost: 5, ..normal(sequence, 0) });
    }
    let scope = Scope::TenantKey(tenant(0), key);
    let rate = Some(Rate { per_second: 1, burst: 5 });
    policy.set_limit(&scope, Limit { rate, ..Limit::default() }, second(0));
    policy.set_limit(&Scope::Kind(kind(0)), Limit { concurrency: Some(1), ..Limit::default() }, second(0));
    assert_eq!(policy.take(&Worker::of_kinds(&[kind(0)], 9), second(0)).len(), 1);
    let full =
        Reason::Limit { scope: Scope::Kind(kind(0)), verdict: Verdict::Concurrency { running: 1, cap: 1 } };
    let slow = Reason::Limit { scope: scope.clone(), verdict: Verdict::Rate { until: second(5) } };
    assert_eq!(reasons(&mut policy, 2, second(0)), [slow, full.clone()]);
    policy.close(&scope, second(100), second(0));
    policy.pause(&Scope::Tenant(tenant(0)));
    let closed = Reason::Limit { scope: scope.clone(), verdict: Verdict::Closed { until: second(100) } };
    let paused = Reason::Limit { scope: Scope::Tenant(tenant(0)), verdict: Verdict::Paused };
    assert_eq!(reasons(&mut policy, 2, second(9)), [closed, full, paused]);
    let told = policy.limit(&scope).unwrap();
    let verdict = Some(Verdict::Closed { until: second(100) });
    let limit = Limit { rate, ..Limit::default() };
    let share = crate::Share::ALL;
    assert_eq!(told, LimitStatus { scope, limit, share, queued: 2, running: 1, verdict, held_back: 2 });
    assert_eq!(policy.limits().count(), 3);
    assert_eq!(policy.next_moment(), Some(second(100)));
}

#[test]
fn it_names_the_order_key_and_what_no_worker_has() {
    let mut policy = policy();
    let order_key: Arc<str> = "document-7".into();
    let traits = Traits { order_key: Some(order_key.clone()), ..Traits::default() };
    let ordered = Some(Arc::new(traits));
    for sequence in 1..=3 {
        policy.enqueue(Candidate { traits: ordered.clone(), ..normal(sequence, 0) });
    }
    take(&mut policy, &[kind(0)], 9);
    let behind = Reason::OrderKey { key: order_key, first: id(1), ahead: 2 };
    assert_eq!(reasons(&mut policy, 3, second(0)), [behind]);
    let needs = Traits { labels: vec!["gpu".into()], ..Traits::default() };
    policy.enqueue(Candidate { traits: Some(Arc::new(needs)), ..normal(9, 1) });
    let lack = Reason::NoWorker(vec![Lack::Labels(vec!["gpu".into()])]);
    assert_eq!(reasons(&mut policy, 9, second(0)), [lack]);
    assert_eq!(policy.explain(id(9), [], second(0)).unwrap().reasons, [], "no worker is known");
    let worker = [Worker::of_kinds(&[kind(0)], 1)];
    assert_eq!(policy.explain(id(9), &worker, second(0)).unwrap().starts_in, None);
}
