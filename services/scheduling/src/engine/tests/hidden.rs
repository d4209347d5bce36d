//! What races and lost answers hide from the engine, and how it comes back.

use super::*;

fn secs(seconds: u64) -> Timestamp {
    START + Duration::from_secs(seconds)
}

fn refills(effects: &[Effect]) -> Vec<i64> {
    let after = effects.iter().filter_map(|effect| match effect {
        Effect::Refill(refill) => Some(refill.after),
        _ => None,
    });
    after.collect()
}

fn held(grant: &Grant) -> Held {
    let (candidate, token, until) = (grant.candidate.clone(), grant.token, secs(10));
    let (attempt, max_attempts, settling, session) = (1, 2, Settling::No, None);
    Held { candidate, token, worker: "w".into(), session, until, attempt, max_attempts, settling }
}

fn renewed(effects: &[Effect]) -> Vec<(Id, Id)> {
    let leases = effects.iter().filter_map(|effect| match effect {
        Effect::Renew { leases, .. } => Some(leases.clone()),
        _ => None,
    });
    leases.flatten().collect()
}

#[test]
fn a_lease_that_the_store_sees_go_on_is_kept_and_its_result_counts() {
    let (mut engine, grant) = holding();
    let told = settlement(&engine.handle(Event::Tick, secs(11))).unwrap();
    let effects = engine.handle(Event::Settled { settlement: told, accepted: vec![false] }, secs(11));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Say { .. })), "{effects:?}");
    let lease = (grant.candidate.id, grant.token);
    assert_eq!(renewed(&engine.handle(beat(&grant), secs(11))), [lease]);
    assert!(settlement(&engine.handle(failed(&grant, grant.token), secs(11))).is_some());
}

#[test]
fn a_result_overtakes_the_end_of_its_lease_and_the_store_says_which_was_first() {
    for is_expired in [false, true] {
        let (mut engine, grant) = holding();
        let over = settlement(&engine.handle(Event::Tick, secs(11))).unwrap();
        let result = settlement(&engine.handle(failed(&grant, grant.token), secs(11))).unwrap();
        assert!(settlement(&engine.handle(failed(&grant, grant.token), secs(11))).is_none(), "once");
        let _ = engine.handle(Event::Settled { settlement: over, accepted: vec![is_expired] }, secs(11));
        assert!(settlement(&engine.handle(Event::Tick, secs(13))).is_none(), "its end is being told");
        let settled = Event::Settled { settlement: result, accepted: vec![!is_expired] };
        let effects = engine.handle(settled, secs(13));
        let told = effects.iter().find_map(|effect| match effect {
            Effect::Say { message: Say::Outcomes(outcomes), .. } => Some(outcomes.outcomes[0].accepted),
            _ => None,
        });
        assert_eq!(told, Some(!is_expired));
        let _ = engine.handle(Event::Tick, secs(60));
        let effects = engine.handle(Event::Credits { session: 1, credits: Credits { count: 2 } }, secs(60));
        assert_eq!(asked(&effects).len(), 1, "it waits again, once");
        assert!(engine.held.is_empty());
    }
}

#[test]
fn a_worker_that_leaves_while_the_end_of_its_lease_is_told_leaves_nothing_behind() {
    let (mut engine, _) = holding();
    let over = settlement(&engine.handle(Event::Tick, secs(11))).unwrap();
    let _ = engine.handle(Event::Left { session: 1 }, secs(11));
    let _ = engine.handle(Event::Settled { settlement: over, accepted: vec![false] }, secs(11));
    assert!(engine.held.is_empty());
}

#[test]
fn a_kept_lease_without_a_heartbeat_is_taken_back_at_the_next_try() {
    let (mut engine, grant) = holding();
    let told = settlement(&engine.handle(Event::Tick, secs(11))).unwrap();
    let _ = engine.handle(Event::Settled { settlement: told, accepted: vec![false] }, secs(11));
    assert!(settlement(&engine.handle(Event::Tick, secs(11))).is_none(), "not at once");
    let told = settlement(&engine.handle(Event::Tick, secs(12))).unwrap();
    let effects = engine.handle(Event::Settled { settlement: told, accepted: vec![true] }, secs(12));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Say { message: Say::Cancel(_), .. })));
    assert!(engine.handle(beat(&grant), secs(12)).is_empty());
}

#[test]
fn a_worker_is_told_of_a_lease_that_ended_with_its_last_attempt() {
    let (mut engine, grant) = holding();
    let effects = engine.handle(Event::Tick, secs(11));
    let mut told = settlement(&effects).unwrap();
    let dead = Ending::Failed { error: "over".into(), retry_at: None, only_if_expired: true };
    told.endings = vec![(grant.candidate.id, grant.token, dead)];
    let effects = engine.handle(Event::Settled { settlement: told, accepted: vec![true] }, secs(11));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Say { message: Say::Cancel(_), .. })));
}

#[test]
fn a_failure_that_seems_refused_is_offered_again_as_it_may_be_stored() {
    let (mut engine, grant) = holding();
    let told = settlement(&engine.handle(failed(&grant, grant.token), START)).unwrap();
    let Ending::Failed { retry_at: Some(retry_at), .. } = told.endings[0].2 else { panic!("{told:?}") };
    let _ = engine.handle(Event::Settled { settlement: told, accepted: vec![false] }, START);
    let _ = engine.handle(Event::Credits { session: 1, credits: Credits { count: 1 } }, START);
    assert_eq!(asked(&engine.handle(Event::Tick, retry_at)).len(), 1);
}

#[test]
fn the_end_of_an_old_attempt_does_not_end_a_newer_one() {
    let (mut engine, grant) = holding();
    let told = settlement(&engine.handle(failed(&grant, grant.token), START)).unwrap();
    // Cancelled, revived and leased again while the store was slow.
    let _ = engine.handle(Event::Cancelled(grant.candidate.id), START);
    let _ = engine.handle(Event::Credits { session: 1, credits: Credits { count: 1 } }, START);
    let grants = asked(&engine.handle(Event::Revived(waiting(1)), START));
    let (newer, leases) = (grants[0].clone(), vec![lease(&grants[0])]);
    let _ = engine.handle(Event::Leased { session: 1, grants, leases, until: secs(10) }, START);
    for event in [
        Event::Settled { settlement: told.clone(), accepted: vec![false] },
        Event::SettleFailed(told),
        Event::Released(vec![(grant.candidate.id, grant.token)]),
    ] {
        let _ = engine.handle(event, START);
        let lease = (newer.candidate.id, newer.token);
        assert_eq!(renewed(&engine.handle(beat(&grant), START)), [lease]);
    }
}

#[test]
fn an_attempt_that_ended_while_the_store_was_read_does_not_count_against_its_tenant() {
    let config = Config { tenant_concurrency: Some(1), ..Config::default() };
    let (mut engine, grant) = holding_with(config);
    let swept = engine.handle(Event::Tick, START);
    assert!(swept.contains(&Effect::LoadRunning), "{swept:?}");
    let told = settlement(&engine.handle(failed(&grant, grant.token), START)).unwrap();
    let _ = engine.handle(Event::Settled { settlement: told, accepted: vec![true] }, START);
    let _ = engine.handle(Event::Running(vec![held(&grant)]), START);
    let _ = engine.handle(Event::Credits { session: 1, credits: Credits { count: 1 } }, START);
    let next = Event::New { tasks: vec![waiting(2)], through: 2, more: false };
    assert_eq!(asked(&engine.handle(next, START)).len(), 1);
}

#[test]
fn a_running_task_that_nobody_holds_is_found_and_ends_with_its_lease() {
    let (mut engine, effects) = engine(1);
    let grants = asked(&effects);
    let lost = held(&grants[0]);
    let _ = engine.handle(Event::LeaseFailed { session: 1, grants }, START);
    let _ = engine.handle(Event::Tick, START);
    let _ = engine.handle(Event::Running(vec![lost]), START);
    assert!(settlement(&engine.handle(Event::Tick, secs(11))).is_some());
}

#[test]
fn leases_that_could_not_be_given_back_are_watched_until_they_end() {
    let (mut engine, grant) = holding();
    let lease = (grant.candidate.id, grant.token);
    let effects = engine.handle(Event::Left { session: 1 }, START);
    assert_eq!(effects, [Effect::Release(vec![lease])]);
    assert!(settlement(&engine.handle(Event::Tick, secs(11))).is_none(), "the answer is still to come");
    let _ = engine.handle(Event::ReleaseFailed(vec![lease]), secs(11));
    assert!(settlement(&engine.handle(Event::Tick, secs(11))).is_some());
}

#[test]
fn what_was_given_back_goes_to_the_next_worker_of_whatever_name() {
    let (mut engine, grant) = holding();
    let joined = Event::Joined { session: 2, worker: "w".into(), kinds: vec![Kind::new("demo")] };
    let _ = engine.handle(joined, START);
    let _ = engine.handle(Event::Credits { session: 2, credits: Credits { count: 1 } }, START);
    let _ = engine.handle(Event::Left { session: 1 }, START);
    let effects = engine.handle(Event::Released(vec![(grant.candidate.id, grant.token)]), START);
    let asked = asked(&effects);
    assert_eq!(asked[0].candidate.id, grant.candidate.id);
    assert_ne!(asked[0].token, grant.token);
}

#[test]
fn an_audit_reads_a_queue_again_that_falls_short_of_the_stores_count() {
    let (mut engine, _) = holding();
    let queue = waiting(1).candidate.queue();
    assert_eq!(refills(&engine.handle(Event::Audited(vec![(queue.clone(), 1)]), START)), [0]);

    let (mut engine, _) = super::engine(0);
    let later = Waiting { run_at: secs(99), ..waiting(2) };
    let _ = engine.handle(Event::New { tasks: vec![later], through: 2, more: false }, START);
    assert!(refills(&engine.handle(Event::Audited(vec![(queue, 2)]), START)).is_empty(), "both are known");
}

#[test]
fn the_store_is_asked_every_ten_seconds_and_audited_every_half_minute() {
    let (mut engine, _) = engine(0);
    let _ = engine.handle(Event::Queues { queues: vec![], last_sequence: 0 }, START);
    let (mut asked, mut audited) = (Vec::new(), Vec::new());
    let queue = waiting(1).candidate.queue();
    for second in 0..=65 {
        if !engine.handle(Event::Tick, secs(second)).contains(&Effect::CountWaiting) {
            continue;
        }
        asked.push(second);
        let effects = engine.handle(Event::Audited(vec![(queue.clone(), 2)]), secs(second));
        if let Some(Effect::Refill(refill)) =
            effects.into_iter().find(|effect| matches!(effect, Effect::Refill(_)))
        {
            audited.push(second);
            let nothing = Event::Refilled { refill, tasks: vec![], through: 0, more: false };
            let _ = engine.handle(nothing, secs(second));
        }
    }
    assert_eq!((asked, audited), (vec![10, 20, 30, 40, 50, 60], vec![30, 60]));
}

#[test]
fn a_census_counts_what_is_in_memory_and_what_the_store_has_besides() {
    let (mut engine, grant) = holding();
    let place = census::place(grant.candidate.priority);
    let later = Waiting { run_at: secs(99), ..waiting(7) };
    let _ = engine.handle(Event::New { tasks: vec![later, waiting(8)], through: 8, more: false }, START);
    let mut wanted = Census { workers: 1, ..Census::default() };
    (wanted.ready[place], wanted.delayed[place], wanted.leased[place]) = (1, 1, 1);
    assert_eq!(engine.census(), wanted);
    let queue = grant.candidate.queue();
    let _ = engine.handle(Event::Audited(vec![(queue.clone(), 1_000)]), START);
    wanted.ready[place] = 1_000 - 1;
    assert_eq!(engine.census(), wanted);
    let _ = engine.handle(Event::Audited(vec![(queue, 2)]), START);
    wanted.ready[place] = 1;
    assert_eq!(engine.census(), wanted);
}

#[test]
fn weights_that_could_not_be_read_are_asked_for_again() {
    let (mut engine, effects) = engine(0);
    let asked = |effects: &[Effect]| {
        effects.iter().any(|effect| matches!(effect, Effect::LoadTenants(names) if names.len() == 1))
    };
    assert!(asked(&effects));
    let _ = engine.handle(Event::TenantsFailed(vec!["acme".parse().unwrap()]), START);
    assert!(asked(&engine.handle(Event::Tick, secs(2))));
    assert!(!asked(&engine.handle(Event::Tick, secs(4))));
}

#[test]
fn a_drained_engine_waits_for_leases_on_their_way_and_takes_nobody_in() {
    let (mut engine, effects) = engine(1);
    let grants = asked(&effects);
    let _ = engine.handle(Event::Drain, START);
    let _ = engine.handle(Event::Left { session: 1 }, START);
    assert!(!engine.is_drained());
    let leases = vec![lease(&grants[0])];
    let effects = engine.handle(Event::Leased { session: 1, grants, leases, until: secs(10) }, START);
    assert!(matches!(&effects[..], [Effect::Release(leases)] if leases.len() == 1), "{effects:?}");
    assert!(engine.is_drained());
    let joined = Event::Joined { session: 2, worker: "w".into(), kinds: vec![Kind::new("demo")] };
    let effects = engine.handle(joined, START);
    assert!(matches!(&effects[..], [Effect::Say { session: 2, message: Say::Drain(_) }]), "{effects:?}");
    assert!(engine.is_drained());
}

#[test]
fn more_leases_than_one_request_takes_are_renewed_in_parts() {
    let (mut engine, _) = engine(0);
    let _ = engine.handle(Event::Credits { session: 1, credits: Credits { count: 5_000 } }, START);
    let tasks = (2..=2_501).map(waiting).collect();
    let mut effects = engine.handle(Event::New { tasks, through: 2_501, more: false }, START);
    let mut leased = 0;
    while leased < 1_000 {
        let grants = asked(&effects);
        leased += grants.len();
        let leases = grants.iter().map(lease).collect();
        effects = engine.handle(Event::Leased { session: 1, grants, leases, until: secs(10) }, START);
    }
    // The window holds 1,024; one request takes 1,000.
    let tasks = engine.held.keys().copied().collect();
    let beat = engine.handle(Event::Heartbeat { session: 1, tasks }, START);
    let sizes: Vec<_> = beat.iter().map(|effect| renewed(std::slice::from_ref(effect)).len()).collect();
    assert_eq!((sizes.len(), sizes.iter().sum::<usize>()), (2, leased));
    assert!(sizes.iter().all(|size| *size <= 1_000));
}
