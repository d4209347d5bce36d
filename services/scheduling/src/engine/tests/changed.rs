//! Tasks that were changed by hand.

use super::*;

fn acme() -> TenantName {
    "acme".parse().unwrap()
}

fn of_peer(tasks: Vec<Id>, are_cancelled: bool) -> Event {
    Event::Changed(Changed { tasks, are_cancelled, from: Source::Peer })
}

fn changed(task: Id) -> Event {
    Event::Changed(Changed::otherwise(vec![task]))
}

/// What the store has of a task now.
fn found(task: Id, found: Option<Task>) -> Event {
    Event::ReadAgain { tasks: vec![task], found: found.into_iter().collect() }
}

fn urgent(task: Task) -> Task {
    Task { priority: 1, ..task }
}

fn read(task: Id) -> Effect {
    Effect::ReadAgain(vec![task])
}

/// How many wait as interactive and as normal.
fn queued(engine: &Engine) -> (usize, usize) {
    let kind = tidemill_policy::Kind::new("demo");
    let count = |priority| engine.policy.queued(&acme(), priority, &kind);
    (count(Priority::Interactive), count(Priority::Normal))
}

#[test]
fn a_cancelled_attempt_is_stopped_before_the_store_is_asked_whoever_says_so() {
    for event in [of_peer(vec![id(1)], true), Event::Changed(Changed::cancelled(vec![id(1)]))] {
        let (mut engine, _) = holding();
        let effects = engine.handle(event, START);
        assert!(cancelled(&effects) && effects.contains(&read(id(1))));
        let _ = engine.handle(found(id(1), None), START);
        assert_eq!(engine.left_over(), Vec::<String>::new());
    }
}

#[test]
fn a_hint_for_a_shard_of_another_goes_to_its_owner_until_one_takes_it_and_goes_no_further() {
    let (mut engine, _) = holding();
    let _ = on_board(&mut engine, board(|number| number != shard().number(), false), START);
    let mut hint = Changed::cancelled(vec![id(1)]);
    let told = Effect::TellOwner { address: "other:1".into(), changed: hint.clone() };
    assert!(engine.handle(Event::Changed(hint.clone()), START).contains(&told));
    let effects = engine.handle(of_peer(vec![id(1)], true), START);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::TellOwner { .. } | Effect::ReadAgain(_))));
    let Answer::Others(others) = engine.answer(Question::Others(vec![id(1)]), START) else { panic!() };
    assert_eq!(others, [id(1)], "who said so looks further");
    assert_eq!(hint.clone().again(Vec::new()), None, "all were taken");
    let mut tries = 1;
    while let Some(again) = hint.clone().again(vec![id(1)]) {
        (hint, tries) = (again, tries + 1);
    }
    assert_eq!(tries, 10);
}

#[test]
fn a_task_that_was_put_back_is_handed_out_as_soon_as_it_is_read() {
    let mut engine = engine(1);
    let effects = engine.handle(of_peer(vec![id(1)], false), START);
    assert!(effects.contains(&read(id(1))));
    let effects = engine.handle(found(id(1), Some(task(1))), START);
    let picked = effects.into_iter().find_map(|effect| match effect {
        Effect::Fetch { picked, .. } => Some(picked),
        _ => None,
    });
    let fetched = Event::Fetched { session: 1, picked: picked.unwrap(), tasks: vec![task(1)] };
    assert_eq!(leases(&engine.handle(fetched, START)).len(), 1);
}

#[test]
fn a_waiting_and_a_delayed_task_move_to_the_queue_of_their_new_priority() {
    let mut engine = engine(0);
    let later = Task { run_at: Some(from_micros(ms(500).as_micros())), ..task(2) };
    let _ = engine.handle(Event::Appended(vec![task(1), later.clone()]), START);
    assert_eq!(queued(&engine), (0, 1));
    for (place, task) in [(1, task(1)), (2, later)] {
        let _ = engine.handle(changed(id(place)), START);
        let _ = engine.handle(found(id(place), Some(urgent(task))), START);
    }
    assert_eq!(queued(&engine), (1, 0));
    let _ = engine.handle(Event::Tick, ms(500));
    assert_eq!(queued(&engine), (2, 0));
}

#[test]
fn a_running_task_goes_on_and_has_its_new_priority_when_it_waits_again() {
    let moved = || {
        let (mut engine, lease) = holding();
        let _ = engine.handle(changed(id(1)), START);
        let effects = engine.handle(found(id(1), Some(urgent(task(1)))), START);
        assert!(!cancelled(&effects));
        (engine, lease)
    };
    let (mut engine, _) = moved();
    let _ = engine.handle(Event::Left { session: 1, lost: false }, START);
    assert_eq!(queued(&engine), (1, 0), "given back");
    let (mut engine, lease) = moved();
    let api::RunningTask { task_id, token } = named(&lease);
    let failure = Failure { task_id, token, error: "no".into(), retryable: true, ..Failure::default() };
    let results = api::Results { failures: vec![failure], ..Default::default() };
    let told = settlement(&engine.handle(Event::Results { session: 1, results }, START)).unwrap();
    let _ = engine
        .handle(Event::Settled { settlement: told, accepted: vec![true], follow_ups: Vec::new() }, START);
    let _ = engine.handle(Event::Tick, START + Duration::from_secs(3_600));
    assert_eq!(queued(&engine), (1, 0), "tried again");
}

#[test]
fn what_was_read_before_an_attempt_ended_is_read_again() {
    let (mut engine, lease) = holding();
    let _ = engine.handle(changed(id(1)), START);
    let told = settlement(&engine.handle(completed(&lease), START)).unwrap();
    let _ = engine
        .handle(Event::Settled { settlement: told, accepted: vec![true], follow_ups: Vec::new() }, START);
    let effects = engine.handle(found(id(1), Some(task(1))), START);
    assert!(effects.contains(&read(id(1))) && queued(&engine) == (0, 0));
    let _ = engine.handle(found(id(1), None), START);
    assert_eq!(engine.left_over(), Vec::<String>::new());
}

#[test]
fn a_hint_that_comes_while_a_task_is_read_has_it_read_once_more() {
    let mut engine = engine(0);
    assert!(engine.handle(changed(id(1)), START).contains(&read(id(1))));
    assert!(!engine.handle(changed(id(1)), START).contains(&read(id(1))), "one read at a time");
    assert!(engine.handle(found(id(1), Some(task(1))), START).contains(&read(id(1))));
    assert!(engine.handle(Event::ReadAgainFailed(vec![id(1)]), START).contains(&read(id(1))));
    let _ = engine.handle(found(id(1), Some(task(1))), START);
    assert_eq!(queued(&engine), (0, 1));
}

#[test]
fn what_is_changed_while_its_shard_or_its_body_is_being_read_is_read_after_that() {
    let mut engine = engine(0);
    let _ = on_board(&mut engine, board(|number| number != shard().number(), false), START);
    let _ = on_board(&mut engine, board(|_| true, true), START);
    assert!(!engine.handle(of_peer(vec![id(1)], false), START).contains(&read(id(1))));
    let (epoch, last_place) = ((shard(), 1), shard().place(1));
    let loaded = Loaded { epoch, queues: Vec::new(), last_place, running: Vec::new(), settings: Vec::new() };
    assert!(engine.handle(Event::Loaded(Box::new(loaded)), START).contains(&read(id(1))));
    let _ = engine.handle(found(id(1), Some(task(1))), START);
    let effects = engine.handle(Event::Credits { session: 1, count: 1 }, START);
    let Some(Effect::Fetch { session, picked }) =
        effects.into_iter().find(|effect| matches!(effect, Effect::Fetch { .. }))
    else {
        panic!("it has no body yet")
    };
    let _ = engine.handle(changed(id(1)), START);
    let effects = engine.handle(found(id(1), Some(urgent(task(1)))), START);
    assert!(!effects.contains(&read(id(1))));
    assert!(engine.handle(Event::FetchFailed { session, picked }, START).contains(&read(id(1))));
}
