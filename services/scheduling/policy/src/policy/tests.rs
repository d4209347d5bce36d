//! The policy's promises one by one; random histories are in the modules below.

mod admission;
mod explain;
mod fairness;
mod history;
mod limits;
mod memory;
mod refills;
mod waiting;

use super::*;
use crate::{QueueKey, Worker};

fn tenant(number: usize) -> TenantName {
    format!("t{number}").parse().unwrap()
}

fn kind(number: usize) -> Kind {
    Kind::new(&format!("kind-{number}"))
}

fn id(sequence: i64) -> Id {
    Id::from_bytes(u128::try_from(sequence).unwrap().to_be_bytes())
}

/// A candidate whose id is its sequence.
fn candidate(sequence: i64, tenant_number: usize, priority: Priority, kind_number: usize) -> Candidate {
    let (tenant, kind) = (tenant(tenant_number), kind(kind_number));
    Candidate { id: id(sequence), tenant, kind, priority, sequence, cost: 1, traits: None }
}

fn normal(sequence: i64, tenant_number: usize) -> Candidate {
    candidate(sequence, tenant_number, Priority::Normal, 0)
}

fn enqueue_all(policy: &mut Policy, sequences: std::ops::Range<i64>, tenant_number: usize) {
    for sequence in sequences {
        assert_eq!(policy.enqueue(normal(sequence, tenant_number)), Enqueued::Queued);
    }
}

fn policy() -> Policy {
    Policy::new(PolicyConfig::default()).unwrap()
}

fn take(policy: &mut Policy, kinds: &[Kind], slots: usize) -> Vec<Candidate> {
    policy.take(&Worker::of_kinds(kinds, slots), Timestamp::default())
}

fn sequences(picked: &[Candidate]) -> Vec<i64> {
    picked.iter().map(|candidate| candidate.sequence).collect()
}

#[test]
fn priorities_get_their_shares_and_the_rest_goes_to_the_most_urgent() {
    let mut policy = policy();
    for sequence in 0..3_000 {
        let priority = Priority::ALL[sequence as usize % 3];
        policy.enqueue(candidate(sequence, 0, priority, 0));
    }
    let picked = take(&mut policy, &[kind(0)], 1_000);
    let count = |priority| picked.iter().filter(|candidate| candidate.priority == priority).count();
    // When two are due at once, the less urgent one comes a dispatch later: here after the thousandth.
    assert_eq!(Priority::ALL.map(count), [751, 200, 49]);
}

#[test]
fn a_tenant_at_its_cap_is_passed_over_and_comes_back() {
    let mut policy = policy();
    policy.set_tenant(&tenant(0), TenantLimits { weight: 1_000, concurrency: Some(2) });
    for sequence in 0..10 {
        policy.enqueue(normal(sequence, 0));
        policy.enqueue(normal(100 + sequence, 1));
    }
    let picked = take(&mut policy, &[kind(0)], 6);
    assert_eq!(sequences(&picked), [0, 100, 1, 101, 102, 103]);
    assert!(policy.finished(id(0)));
    assert_eq!(sequences(&take(&mut policy, &[kind(0)], 1)), [2]);
    policy.set_tenant(&tenant(0), TenantLimits { weight: 1_000, concurrency: Some(0) });
    policy.finished(id(1));
    assert_eq!(sequences(&take(&mut policy, &[kind(0)], 1)), [104]);
}

#[test]
fn a_task_that_comes_back_goes_first() {
    let mut policy = policy();
    enqueue_all(&mut policy, 0..4, 0);
    assert_eq!(sequences(&take(&mut policy, &[kind(0)], 2)), [0, 1]);
    assert!(policy.returned(id(1)) && !policy.returned(id(1)) && !policy.returned(id(3)));
    assert_eq!(sequences(&take(&mut policy, &[kind(0)], 2)), [1, 2]);
}

#[test]
fn a_tenants_kinds_are_served_oldest_first() {
    let mut policy = policy();
    for (sequence, kind_number) in [(1, 1), (2, 0), (3, 0), (4, 2), (5, 1)] {
        policy.enqueue(candidate(sequence, 0, Priority::Normal, kind_number));
    }
    assert_eq!(sequences(&take(&mut policy, &[kind(0), kind(1)], 9)), [1, 2, 3, 5]);
}

#[test]
fn what_is_known_is_not_taken_in_again() {
    let mut policy = policy();
    assert_eq!(policy.enqueue(normal(1, 0)), Enqueued::Queued);
    assert_eq!(policy.enqueue(normal(1, 0)), Enqueued::Known);
    take(&mut policy, &[kind(0)], 1);
    assert_eq!(policy.enqueue(normal(1, 0)), Enqueued::Known);
    assert!(!policy.remove(id(1)), "it runs, so it does not wait");
    assert!(policy.finished(id(1)) && !policy.finished(id(1)));
    assert_eq!(policy.enqueue(normal(1, 0)), Enqueued::Queued);
    policy.started(&normal(1, 0));
    assert_eq!((policy.running(&tenant(0)), policy.len()), (1, 0));
}

#[test]
fn depths_name_every_queue() {
    let mut policy = policy();
    policy.enqueue(candidate(1, 0, Priority::Background, 1));
    policy.enqueue(candidate(2, 0, Priority::Background, 1));
    policy.enqueue(candidate(3, 1, Priority::Interactive, 0));
    let depths: Vec<_> = policy.depths().collect();
    let key = |tenant_number, priority, kind_number| QueueKey {
        tenant: tenant(tenant_number),
        priority,
        kind: kind(kind_number),
    };
    assert_eq!(depths, [(key(1, Priority::Interactive, 0), 1), (key(0, Priority::Background, 1), 2)]);
    assert_eq!(policy.queued(&tenant(0), Priority::Background, &kind(1)), 2);
    assert_eq!((policy.len(), policy.is_empty()), (3, false));
}

#[test]
fn names_that_are_not_in_use_are_forgotten() {
    let mut policy = policy();
    policy.enqueue(normal(1, 0));
    for number in 0..6_000 {
        policy.enqueue(candidate(2, 1 + number, Priority::Interactive, 1 + number % 5_000));
        assert_eq!(take(&mut policy, &[kind(1 + number % 5_000)], 1).len(), 1);
        assert!(policy.finished(id(2)));
    }
    assert!(policy.names.len() <= 2 * sweep::MINIMUM, "{}", policy.names.len());
    assert!(policy.kinds.len() <= 2 * sweep::MINIMUM, "{}", policy.kinds.len());
    assert_eq!(sequences(&take(&mut policy, &[kind(0)], 1)), [1]);
}
