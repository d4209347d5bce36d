//! The engine's promises, by histories of events.

use std::time::Duration;

use rand::SeedableRng;
use tidemill_kernel::Priority;
use tidemill_proto::types::v1::{Failure, Task};

use super::*;

mod hidden;

const START: Timestamp = Timestamp::from_micros(1_000_000_000);

fn waiting(sequence: i64) -> Waiting {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&sequence.to_be_bytes());
    let candidate = Candidate {
        id: Id::from_bytes(bytes),
        tenant: "acme".parse().unwrap(),
        kind: Kind::new("demo"),
        priority: Priority::Normal,
        sequence,
        cost: 1,
        traits: None,
    };
    Waiting { candidate, run_at: START }
}

/// An engine with one worker that has this many credits, and one new task.
fn engine(credits: u32) -> (Engine, Vec<Effect>) {
    engine_with(Config::default(), credits)
}

fn engine_with(config: Config, credits: u32) -> (Engine, Vec<Effect>) {
    let mut engine = Engine::new(config, StdRng::seed_from_u64(1)).unwrap();
    let joined = Event::Joined { session: 1, worker: "w".into(), kinds: vec![Kind::new("demo")] };
    let _ = engine.handle(joined, START);
    let _ = engine.handle(Event::Credits { session: 1, credits: Credits { count: credits } }, START);
    let _ = engine.handle(Event::Wake, START);
    let effects = engine.handle(Event::New { tasks: vec![waiting(1)], through: 1, more: false }, START);
    (engine, effects)
}

/// The leases that the effects ask for.
fn asked(effects: &[Effect]) -> Vec<Grant> {
    let grants = effects.iter().filter_map(|effect| match effect {
        Effect::Lease { grants, .. } => Some(grants.clone()),
        _ => None,
    });
    grants.flatten().collect()
}

fn lease(grant: &Grant) -> Lease {
    let task = Task { id: grant.candidate.id.to_string(), attempt: 1, max_attempts: 2, ..Task::default() };
    Lease { task: Some(task), token: grant.token.to_string(), ..Lease::default() }
}

/// A sign of life from a worker that runs the task.
fn beat(grant: &Grant) -> Event {
    Event::Heartbeat { session: 1, tasks: vec![grant.candidate.id] }
}

/// An engine whose worker holds the task.
fn holding() -> (Engine, Grant) {
    holding_with(Config::default())
}

fn holding_with(config: Config) -> (Engine, Grant) {
    let (mut engine, effects) = engine_with(config, 1);
    let grants = asked(&effects);
    let (grant, until) = (grants[0].clone(), START + Duration::from_secs(10));
    let leased = Event::Leased { session: 1, leases: vec![lease(&grant)], grants, until };
    let said = engine.handle(leased, START);
    assert!(
        said.iter().any(|effect| matches!(effect, Effect::Say { message: Say::Leases(_), .. })),
        "{said:?}"
    );
    (engine, grant)
}

fn failed(grant: &Grant, token: Id) -> Event {
    let failure = Failure {
        task_id: grant.candidate.id.to_string(),
        token: token.to_string(),
        error: "no".into(),
        retryable: true,
        not_before: None,
    };
    Event::Results {
        session: 1,
        results: Results { completions: vec![], failures: vec![failure], ..Results::default() },
    }
}

fn settlement(effects: &[Effect]) -> Option<Settlement> {
    effects.iter().find_map(|effect| match effect {
        Effect::Settle(settlement) => Some(settlement.clone()),
        _ => None,
    })
}

#[test]
fn a_task_is_handed_out_only_after_its_lease_is_committed_and_never_without_credit() {
    let (_, effects) = engine(1);
    assert_eq!(asked(&effects).len(), 1);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Say { message: Say::Leases(_), .. })));
    assert_eq!(asked(&engine(0).1).len(), 0);
}

#[test]
fn what_the_store_would_not_lease_is_forgotten_and_its_credit_is_free_again() {
    let (mut engine, effects) = engine(1);
    let refused = Event::Leased { session: 1, grants: asked(&effects), leases: vec![], until: START };
    assert_eq!(asked(&engine.handle(refused, START)).len(), 0);
    let next = Event::New { tasks: vec![waiting(2)], through: 2, more: false };
    assert_eq!(asked(&engine.handle(next, START)).len(), 1);
}

#[test]
fn credits_gather_while_leases_are_made_and_share_the_next_request() {
    let (mut engine, effects) = engine(1);
    let grants = asked(&effects);
    let tasks = (2..=4).map(waiting).collect();
    let _ = engine.handle(Event::New { tasks, through: 4, more: false }, START);
    for _ in 0..3 {
        let credits = Event::Credits { session: 1, credits: Credits { count: 1 } };
        assert_eq!(asked(&engine.handle(credits, START)).len(), 0);
    }
    let leases = vec![lease(&grants[0])];
    let effects = engine.handle(Event::Leased { session: 1, grants, leases, until: START }, START);
    assert_eq!(asked(&effects).len(), 3);
}

/// An engine that tells the store of the first of three attempts that have ended.
fn telling() -> (Engine, Settlement) {
    let (mut engine, mut effects) = engine(3);
    let tasks = (2..=3).map(waiting).collect();
    let _ = engine.handle(Event::New { tasks, through: 3, more: false }, START);
    let (mut grants, until) = (Vec::new(), START + Duration::from_secs(10));
    while !asked(&effects).is_empty() {
        let leased = asked(&effects);
        let leases = leased.iter().map(lease).collect();
        grants.extend(leased.clone());
        effects = engine.handle(Event::Leased { session: 1, grants: leased, leases, until }, START);
    }
    let mut told = grants.iter().map(|grant| settlement(&engine.handle(failed(grant, grant.token), START)));
    let first = told.next().flatten().unwrap();
    assert_eq!((first.endings.len(), told.flatten().count()), (1, 0));
    (engine, first)
}

#[test]
fn what_ends_while_the_store_is_told_is_told_together_afterwards() {
    let (mut engine, first) = telling();
    let told = engine.handle(Event::Settled { settlement: first, accepted: vec![true] }, START);
    assert_eq!(settlement(&told).unwrap().endings.len(), 2);
    let (mut engine, first) = telling();
    assert_eq!(settlement(&engine.handle(Event::SettleFailed(first), START)).unwrap().endings.len(), 2);
}

#[test]
fn what_has_ended_is_told_although_its_worker_leaves() {
    let (mut engine, _) = telling();
    assert_eq!(settlement(&engine.handle(Event::Left { session: 1 }, START)).unwrap().endings.len(), 2);
}

#[test]
fn a_lease_made_for_a_worker_that_has_gone_is_given_back() {
    let (mut engine, effects) = engine(1);
    let grants = asked(&effects);
    let _ = engine.handle(Event::Left { session: 1 }, START);
    let leases = vec![lease(&grants[0])];
    let effects = engine.handle(Event::Leased { session: 1, grants, leases, until: START }, START);
    assert!(matches!(&effects[..], [Effect::Release(leases)] if leases.len() == 1), "{effects:?}");
}

#[test]
fn a_result_under_another_token_is_refused_without_asking_the_store() {
    let (mut engine, grant) = holding();
    let effects = engine.handle(failed(&grant, grant.candidate.id), START);
    assert!(settlement(&effects).is_none());
    assert!(
        matches!(&effects[..], [Effect::Say { message: Say::Outcomes(said), .. }] if !said.outcomes[0].accepted)
    );
}

#[test]
fn a_failed_task_waits_for_its_pause_and_is_then_handed_out_again() {
    let (mut engine, grant) = holding();
    let told = settlement(&engine.handle(failed(&grant, grant.token), START)).unwrap();
    let Ending::Failed { retry_at: Some(retry_at), .. } = told.endings[0].2 else { panic!("{told:?}") };
    assert!(retry_at > START);
    let _ = engine.handle(Event::Credits { session: 1, credits: Credits { count: 1 } }, START);
    let settled = engine.handle(Event::Settled { settlement: told, accepted: vec![true] }, START);
    assert_eq!(asked(&settled).len(), 0);
    assert_eq!(asked(&engine.handle(Event::Tick, retry_at)).len(), 1);
}

#[test]
fn a_lease_that_ran_out_is_taken_back_only_if_the_store_agrees_that_it_has() {
    let (mut engine, _) = holding();
    let late = START + Duration::from_secs(11);
    let told = settlement(&engine.handle(Event::Tick, late)).unwrap();
    assert!(matches!(told.endings[0].2, Ending::Failed { only_if_expired: true, .. }));
    assert!(settlement(&engine.handle(Event::Tick, late)).is_none());
}

#[test]
fn a_heartbeat_moves_the_end_of_a_lease() {
    let (mut engine, grant) = holding();
    let forgetful = Event::Heartbeat { session: 1, tasks: vec![] };
    assert!(engine.handle(forgetful, START).is_empty(), "what a worker does not name it has lost");
    let beat = engine.handle(beat(&grant), START);
    assert!(matches!(&beat[..], [Effect::Renew { leases, .. }] if leases.len() == 1), "{beat:?}");
    let (leases, until) = (vec![(grant.candidate.id, grant.token)], START + Duration::from_secs(20));
    let _ = engine.handle(Event::Renewed { leases, lost: vec![], until }, START);
    assert!(settlement(&engine.handle(Event::Tick, START + Duration::from_secs(11))).is_none());
}

#[test]
fn a_cancelled_attempt_is_told_to_its_worker() {
    let (mut engine, grant) = holding();
    let effects = engine.handle(Event::Cancelled(grant.candidate.id), START);
    assert!(matches!(&effects[..], [Effect::Say { message: Say::Cancel(_), .. }]), "{effects:?}");
    assert!(settlement(&engine.handle(failed(&grant, grant.token), START)).is_none());
}

#[test]
fn results_that_the_store_did_not_take_are_run_again_when_their_lease_is_over() {
    let (mut engine, grant) = holding();
    let told = settlement(&engine.handle(failed(&grant, grant.token), START)).unwrap();
    let _ = engine.handle(Event::SettleFailed(told), START);
    assert!(engine.handle(beat(&grant), START).is_empty());
    assert!(settlement(&engine.handle(Event::Tick, START + Duration::from_secs(11))).is_some());
}

#[test]
fn a_draining_engine_leases_nothing_and_ends_when_its_workers_have_left() {
    let (mut engine, _) = engine(0);
    let _ = engine.handle(Event::Drain, START);
    let effects = engine.handle(Event::Credits { session: 1, credits: Credits { count: 5 } }, START);
    assert_eq!(asked(&effects).len(), 0);
    assert!(!engine.is_drained());
    let _ = engine.handle(Event::Left { session: 1 }, START);
    assert!(engine.is_drained());
}
