//! What comes late: ends of attempts that count no more, tasks that are over, shards that are another's by now.

use super::*;

fn tenant_elsewhere() -> String {
    let names = (0..).map(|number| format!("t{number}"));
    let elsewhere = |name: &String| Shard::of_tenant(&name.parse().unwrap()) != shard();
    names.into_iter().find(elsewhere).unwrap()
}

/// The first task of a tenant of another shard.
fn task_elsewhere() -> Task {
    let tenant = tenant_elsewhere();
    let id = Id::placed(START, Shard::of_tenant(&tenant.parse().unwrap()).place(1));
    Task { id: id.to_string(), tenant, ..task(1) }
}

fn settled(settlement: Settlement, accepted: bool) -> Event {
    let accepted = vec![accepted; settlement.endings.len()];
    Event::Settled { settlement, accepted, follow_ups: Vec::new() }
}

fn was_cancelled(task: Id) -> Event {
    Event::Changed(Changed::cancelled(vec![task]))
}

/// A cancelled task is put back by hand, and handed out if there is a credit.
fn put_back(engine: &mut Engine, number: i64) -> Vec<Effect> {
    let _ = engine.handle(Event::ReadAgain { tasks: vec![id(number)], found: Vec::new() }, START);
    let _ = engine.handle(Event::Changed(Changed::otherwise(vec![id(number)])), START);
    let found = Event::ReadAgain { tasks: vec![id(number)], found: vec![task(number)] };
    let picked = engine.handle(found, START).into_iter().find_map(|effect| match effect {
        Effect::Fetch { picked, .. } => Some(picked),
        _ => None,
    });
    let fetched = Event::Fetched { session: 1, picked: picked.unwrap(), tasks: vec![task(number)] };
    engine.handle(fetched, START)
}

fn tasks_of(settlement: &Settlement) -> Vec<Id> {
    settlement.endings.iter().map(|ended| ended.task).collect()
}

/// An engine whose worker holds two tasks; the result of the first is being told to the store, that of the second waits for it.
fn telling(second: &Task) -> (Engine, Settlement, Lease) {
    let mut engine = engine(2);
    let first = leases(&engine.handle(Event::Appended(vec![task(1)]), START)).pop().unwrap();
    let given = leases(&engine.handle(Event::Appended(vec![second.clone()]), START)).pop().unwrap();
    let told = settlement(&engine.handle(completed(&first), START)).unwrap();
    assert_eq!(settlement(&engine.handle(completed(&given), START)), None, "one after the other");
    (engine, told, given)
}

#[test]
fn a_result_that_was_to_be_told_is_not_told_after_its_task_was_cancelled() {
    let (mut engine, told, lease) = telling(&task(2));
    assert!(cancelled(&engine.handle(was_cancelled(id(2)), START)));
    let _ = engine.handle(Event::Credits { session: 1, count: 1 }, START);
    let again = leases(&put_back(&mut engine, 2)).pop().unwrap();
    assert_ne!(again.token, lease.token);
    assert_eq!(settlement(&engine.handle(settled(told, true), START)), None);
    let told = settlement(&engine.handle(completed(&again), START)).unwrap();
    assert_eq!(told.endings[0].token.to_string(), again.token);
}

#[test]
fn an_outcome_is_never_that_of_a_cancelled_attempt_and_what_counts_in_spite_of_that_ends_the_next() {
    for accepted in [true, false] {
        let (mut engine, lease) = holding();
        let told = settlement(&engine.handle(completed(&lease), START)).unwrap();
        let _ = engine.handle(was_cancelled(id(1)), START);
        let _ = engine.handle(Event::Credits { session: 1, count: 1 }, START);
        assert_eq!(leases(&put_back(&mut engine, 1)).len(), 1);
        let effects = engine.handle(settled(told, accepted), START);
        assert_eq!(outcome(&effects), None, "it names the task alone");
        assert_eq!(cancelled(&effects), accepted);
        assert_eq!(engine.left_over().is_empty(), accepted);
    }
    let (mut engine, lease) = holding();
    let told = settlement(&engine.handle(completed(&lease), START)).unwrap();
    let _ = engine.handle(was_cancelled(id(1)), START);
    assert_eq!(outcome(&engine.handle(Event::SettleFailed(told), START)), None);
}

#[test]
fn what_is_over_because_its_end_was_told_is_not_cancelled() {
    let (mut engine, lease) = holding();
    let known = recorded(&engine.handle(Event::Tick, ms(125)));
    let told = settlement(&engine.handle(completed(&lease), ms(126))).unwrap();
    let gone = Event::Recorded { leases: known, given_back: Vec::new(), gone: vec![id(1)] };
    assert!(!cancelled(&engine.handle(gone, ms(127))));
    assert_eq!(outcome(&engine.handle(settled(told, true), ms(128))), Some((true, false)));
}

#[test]
fn a_result_of_a_shard_that_was_lost_is_told_to_its_next_owner_and_not_beside_others_without_an_epoch() {
    let other = task_elsewhere();
    let (mut engine, told, lease) = telling(&other);
    let lost = Shard::of_tenant(&other.tenant.parse().unwrap());
    let effects = engine.handle(Event::Fenced((lost, 1)), START);
    assert_eq!(outcome(&effects), Some((false, true)), "the worker sends it on");
    let _ = engine.handle(Event::Credits { session: 1, count: 1 }, START);
    let third = leases(&engine.handle(Event::Appended(vec![task(2)]), START)).pop().unwrap();
    let _ = engine.handle(completed(&third), START);
    let next = settlement(&engine.handle(settled(told, true), START)).unwrap();
    assert_eq!(tasks_of(&next), [id(2)]);
    assert_ne!(tasks_of(&next), [lease.task.unwrap().id.parse().unwrap()]);
    assert_eq!(next.fence, [(shard(), 1)]);
}

#[test]
fn results_that_were_refused_for_a_lost_shard_of_others_are_told_once_more_without_those() {
    let (mut engine, other) = (engine(2), task_elsewhere());
    let given = leases(&engine.handle(Event::Appended(vec![task(1), other.clone()]), START));
    let completion = |lease: &Lease| Completion {
        task_id: lease.task.as_ref().unwrap().id.clone(),
        token: lease.token.clone(),
        ..Completion::default()
    };
    let results = api::Results { completions: given.iter().map(completion).collect(), ..Default::default() };
    let told = settlement(&engine.handle(Event::Results { session: 1, results }, START)).unwrap();
    assert_eq!(tasks_of(&told).len(), 2);
    let lost = Shard::of_place(other.id.parse::<Id>().unwrap().place());
    let _ = engine.handle(Event::Fenced((lost, 1)), START);
    let effects = engine.handle(Event::SettleFailed(told), START);
    assert_eq!(outcome(&effects), Some((false, true)), "the next owner is told of the other one");
    let again = settlement(&effects).unwrap();
    assert_eq!((tasks_of(&again), &again.fence), (vec![id(1)], &vec![(shard(), 1)]));
    assert_eq!(outcome(&engine.handle(settled(again.clone(), true), START)), Some((true, false)));
    assert!(engine.left_over().is_empty());
    // Refused for another reason, nothing is told again.
    let (mut engine, lease) = holding();
    let told = settlement(&engine.handle(completed(&lease), START)).unwrap();
    assert_eq!(settlement(&engine.handle(Event::SettleFailed(told), START)), None);
}

#[test]
fn a_lease_that_was_given_back_in_a_lost_shard_is_its_next_owners() {
    let mut engine = engine(0);
    let other: Id = task_elsewhere().id.parse().unwrap();
    let _ = engine.handle(Event::Fenced((Shard::of_place(other.place()), 1)), START);
    let failed = Event::RecordFailed { leases: Vec::new(), given_back: vec![id(1), other] };
    let _ = engine.handle(failed, START);
    let told = engine.handle(Event::Tick, ms(125)).into_iter().find_map(|effect| match effect {
        Effect::Record { fence, given_back, .. } => Some((fence, given_back)),
        _ => None,
    });
    assert_eq!(told, Some((vec![(shard(), 1)], vec![id(1)])));
}

/// Finds by an audit that a task is not known here, and reads it.
fn audit(engine: &mut Engine, found: Task, now: Timestamp) -> Vec<Effect> {
    let _ = on_board(engine, board(|_| true, true), now);
    let tenant = "acme".parse().unwrap();
    let kind = tidemill_policy::Kind::new("demo");
    let queue = QueueKey { tenant, priority: Priority::Normal, kind };
    let effects = engine.handle(Event::Audited { epoch: (shard(), 1), queues: vec![(queue, 2)] }, now);
    let asked = effects.into_iter().find_map(|effect| match effect {
        Effect::Refill { epoch, refill } => Some((epoch, refill)),
        _ => None,
    });
    let (epoch, refill) = asked.unwrap();
    let through = found.id.parse::<Id>().unwrap().place();
    engine.handle(Event::Refilled { epoch, refill, tasks: vec![found], through, more: false }, now)
}

/// An engine that runs task 2: it came straight from its commit while task 1 was not known, and then by a page.
fn ahead() -> (Engine, Lease, Timestamp) {
    let (mut engine, now) = (engine(1), ms(30_000));
    let _ = engine.handle(Event::Appended(vec![task(2)]), START);
    let lease = leases(&audit(&mut engine, task(2), now)).pop().unwrap();
    let _ = engine.handle(Event::Credits { session: 1, count: 5 }, now);
    (engine, lease, now)
}

/// What the log has after the place before the first.
fn read(tasks: Vec<Task>, through: i64) -> Event {
    let (epoch, through) = ((shard(), 1), shard().place(through));
    Event::New { epoch, more: !tasks.is_empty(), tasks, through }
}

/// The tasks that are handed out by these events.
fn given(engine: &mut Engine, events: Vec<Event>, now: Timestamp) -> Vec<String> {
    let given = events.into_iter().flat_map(|event| leases(&engine.handle(event, now)));
    given.map(|lease| lease.task.unwrap().id).collect()
}

#[test]
fn a_task_that_came_by_a_page_and_is_over_is_not_taken_in_again_however_late_it_is_named() {
    let late = [
        (vec![read(Vec::new(), 0)], 0),
        (vec![read(vec![task(1)], 1), read(Vec::new(), 1)], 1),
        (vec![read(vec![task(1), task(2)], 2)], 1),
        (vec![Event::Appended(vec![task(2)]), read(vec![task(1)], 1), read(Vec::new(), 1)], 1),
    ];
    for (events, count) in late {
        let (mut engine, lease, now) = ahead();
        let told = settlement(&engine.handle(completed(&lease), now)).unwrap();
        assert_eq!(outcome(&engine.handle(settled(told, true), now)), Some((true, false)));
        assert_eq!(given(&mut engine, events, now), vec![task(1).id; count]);
    }
}

#[test]
fn what_tells_late_of_a_task_does_not_begin_its_next_attempt_early() {
    let (mut engine, lease, now) = ahead();
    let api::RunningTask { task_id, token } = named(&lease);
    let failure = Failure { task_id, token, error: "no".into(), retryable: true, ..Failure::default() };
    let results = api::Results { failures: vec![failure], ..Default::default() };
    let told = settlement(&engine.handle(Event::Results { session: 1, results }, now)).unwrap();
    let _ = engine.handle(settled(told, true), now);
    let late = vec![read(vec![task(1), task(2)], 2), Event::Appended(vec![task(2)])];
    assert_eq!(given(&mut engine, late, now), [task(1).id]);
}

#[test]
fn a_page_that_names_what_waits_already_may_be_from_before_its_last_attempt() {
    let (mut engine, _) = holding();
    let _ = engine.handle(Event::Left { session: 1, lost: false }, START);
    let now = ms(30_000);
    let _ = audit(&mut engine, task(1), now);
    let _ = hello(&mut engine, 2, Vec::new(), now);
    let effects = engine.handle(Event::Credits { session: 2, count: 1 }, now);
    assert_eq!(leases(&effects), []);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Fetch { .. })), "it is read as it is now");
}

#[test]
fn a_task_that_was_put_back_before_its_cancellation_was_heard_is_not_left_with_a_lease() {
    let given_back = |effects: &[Effect]| {
        effects.iter().any(|effect| match effect {
            Effect::Record { given_back, .. } => *given_back == [id(1)],
            _ => false,
        })
    };
    let (mut engine, _) = holding();
    let known = recorded(&engine.handle(Event::Tick, ms(125)));
    let _ = engine
        .handle(Event::Recorded { leases: known.clone(), given_back: Vec::new(), gone: Vec::new() }, ms(126));
    let _ = engine.handle(was_cancelled(id(1)), ms(127));
    assert!(given_back(&engine.handle(Event::Tick, ms(250))));
    // Its record may have come after that.
    for late in [
        Event::Recorded { leases: known.clone(), given_back: Vec::new(), gone: Vec::new() },
        Event::RecordFailed { leases: known, given_back: Vec::new() },
    ] {
        let (mut engine, _) = holding();
        let _ = engine.handle(Event::Tick, ms(125));
        let _ = engine.handle(was_cancelled(id(1)), ms(127));
        assert!(given_back(&engine.handle(Event::Tick, ms(250))));
        let _ = engine.handle(late, ms(260));
        assert!(given_back(&engine.handle(Event::Tick, ms(375))));
    }
}

#[test]
fn of_a_task_that_was_cancelled_nothing_is_remembered() {
    let (mut engine, _) = holding();
    let _ = engine.handle(Event::Left { session: 1, lost: true }, START);
    let mut told = None;
    for tick in 1..=3 {
        told = told.or(settlement(&engine.handle(Event::Tick, ms(tick * 900))));
    }
    let told = told.unwrap();
    let _ = engine.handle(settled(told, true), ms(2_700));
    let _ = engine.handle(was_cancelled(id(1)), ms(2_800));
    assert_eq!(engine.left_over(), ["1 changed"], "the store is asked whether that is all");
}

#[test]
fn an_attempt_that_begins_while_the_lease_before_is_being_recorded_ends_with_what_hangs_on_its_task() {
    // `true`: the record of the first attempt is asked for while its end is told, and comes after that.
    for is_late in [true, false] {
        let (mut engine, lease) = holding();
        let known = if is_late { recorded(&engine.handle(Event::Tick, ms(125))) } else { Vec::new() };
        let task_id = lease.task.as_ref().unwrap().id.clone();
        let snooze = api::Snooze { task_id, token: lease.token, ..api::Snooze::default() };
        let results = api::Results { snoozes: vec![snooze], ..api::Results::default() };
        let told = settlement(&engine.handle(Event::Results { session: 1, results }, ms(126))).unwrap();
        let _ = engine.handle(Event::Credits { session: 1, count: 1 }, ms(126));
        let fetch = engine.handle(settled(told, true), ms(127)).into_iter().find_map(|effect| match effect {
            Effect::Fetch { session, picked } => {
                Some(Event::Fetched { session, picked, tasks: vec![task(1)] })
            }
            _ => None,
        });
        let again = leases(&engine.handle(fetch.unwrap(), ms(128))).pop().unwrap();
        let done = Event::Recorded { leases: known, given_back: Vec::new(), gone: Vec::new() };
        let _ = engine.handle(done, ms(129));
        let told = settlement(&engine.handle(completed(&again), ms(130))).unwrap();
        assert_eq!(told.endings[0].attempt.recorded, is_late);
    }
}

#[test]
fn a_refusal_of_an_old_epoch_does_not_take_a_shard_that_has_come_back() {
    let (mut engine, lease) = holding();
    let _ = engine.handle(Event::Fenced((shard(), 0)), START);
    let told = settlement(&engine.handle(completed(&lease), START)).unwrap();
    assert_eq!(told.fence, [(shard(), 1)]);
}
