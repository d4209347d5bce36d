//! Tasks that wait for others.

use tidemill_proto::storage::v1::FoundTask;
use tidemill_proto::types::v1::dependency::Task as Named;
use tidemill_proto::types::v1::{Dependency, DependencyFailure, TaskOptions, TaskState};

use super::*;

/// Task 2, which depends on task 1.
fn second() -> Task {
    let depends_on = vec![Dependency { task: Some(Named::Key("first".into())) }];
    let options = Some(Box::new(TaskOptions { depends_on, ..TaskOptions::default() }));
    Task { options, ..task(2) }
}

fn asked(effects: &[Effect]) -> Option<Asked> {
    effects.iter().find_map(|effect| match effect {
        Effect::FindTasks(asked) => Some(asked.clone()),
        _ => None,
    })
}

/// The answer to a question about task 2, whose dependency stands so.
fn found(asked: &Asked, first: TaskState) -> Event {
    let stands =
        |count: i64, state: TaskState| FoundTask { id: id(count).to_string(), state: state.into(), open: 0 };
    let found = Some(vec![stands(2, TaskState::Waiting), stands(1, first)]);
    Event::Found { asked: asked.clone(), found }
}

fn settle(engine: &mut Engine, settlement: Settlement) -> Vec<Effect> {
    engine.handle(Event::Settled { settlement, accepted: vec![true], follow_ups: Vec::new() }, START)
}

/// An engine whose worker holds task 1 and has a credit left; task 2 has come, and this is asked of it.
fn waiting() -> (Engine, Lease, Asked) {
    let mut engine = engine(2);
    let effects = engine.handle(Event::Appended(vec![task(1), second()]), START);
    let mut given = leases(&effects);
    assert_eq!(given.len(), 1);
    let asked = asked(&effects).unwrap();
    assert_eq!(asked.tasks, [(id(2), 1)]);
    (engine, given.pop().unwrap(), asked)
}

/// Whether task 2 goes to a worker, with what was kept of it, or when that is read.
fn goes_out(effects: &[Effect]) -> bool {
    let is_read = effects.iter().any(|effect| match effect {
        Effect::Fetch { picked, .. } => picked.iter().any(|picked| picked.id == id(2)),
        _ => false,
    });
    is_read || leases(effects).iter().any(|lease| lease.task.as_ref().unwrap().id == id(2).to_string())
}

#[test]
fn a_task_goes_out_when_the_store_says_that_all_have_succeeded() {
    let (mut engine, lease, question) = waiting();
    let effects = engine.handle(found(&question, TaskState::Running), START);
    assert!(!goes_out(&effects) && asked(&effects).is_none());
    let told = settlement(&engine.handle(completed(&lease), START)).unwrap();
    let question = asked(&settle(&mut engine, told)).unwrap();
    assert!(goes_out(&engine.handle(found(&question, TaskState::Succeeded), START)));
    assert_eq!(engine.dependents.len(), 0);
}

#[test]
fn what_ends_while_the_store_answers_is_not_missed() {
    let (mut engine, lease, question) = waiting();
    let told = settlement(&engine.handle(completed(&lease), START)).unwrap();
    assert_eq!(asked(&settle(&mut engine, told)), None, "nobody knows yet that it waits for this one");
    let effects = engine.handle(found(&question, TaskState::Running), START);
    let question = asked(&effects).unwrap();
    assert!(goes_out(&engine.handle(found(&question, TaskState::Succeeded), START)));
    assert_eq!(engine.dependents.len(), 0);
}

#[test]
fn what_was_missed_comes_out_after_a_while() {
    let (mut engine, _, question) = waiting();
    let _ = engine.handle(found(&question, TaskState::Running), START);
    let mut at = Vec::new();
    for second in 1..=65 {
        let now = START + Duration::from_secs(second);
        if let Some(question) = asked(&engine.handle(Event::Tick, now)) {
            at.push(second);
            let _ = engine.handle(found(&question, TaskState::Running), now);
        }
    }
    assert_eq!(at.len(), 2, "{at:?}");
}

#[test]
fn a_store_that_does_not_answer_is_asked_again() {
    let (mut engine, _, question) = waiting();
    let effects = engine.handle(Event::Found { asked: question.clone(), found: None }, START);
    let again = asked(&effects).unwrap();
    assert_eq!((again.tasks, again.references), (question.tasks, question.references));
    assert_ne!(again.number, question.number);
}

#[test]
fn what_depends_on_a_failure_is_told_to_be_dead_and_forgotten() {
    let (mut engine, _, question) = waiting();
    let told = settlement(&engine.handle(found(&question, TaskState::Dead), START)).unwrap();
    assert_eq!((told.endings[0].task, told.endings[0].attempt.number), (id(2), 0));
    let Ending::Failed { error, retry_at: None } = &told.endings[0].ending else { panic!("it is over") };
    assert!(error.starts_with("dependency: "));
    let _ = settle(&mut engine, told);
    assert_eq!(engine.dependents.len(), 0);
}

#[test]
fn a_task_that_was_cancelled_meanwhile_is_forgotten() {
    let (mut engine, _, question) = waiting();
    let gone = Some(vec![FoundTask { id: id(2).to_string(), state: 5, open: 0 }, FoundTask::default()]);
    let _ = engine.handle(Event::Found { asked: question, found: gone }, START);
    assert_eq!(engine.dependents.len(), 0);
}

#[test]
fn a_lost_shard_takes_its_dependents_with_it() {
    let (mut engine, _, question) = waiting();
    let _ = on_board(&mut engine, board(|number| number != shard().number(), false), START);
    let _ = engine.handle(found(&question, TaskState::Succeeded), START);
    assert_eq!(engine.left_over(), Vec::<String>::new());
}

/// So many tasks behind task 1, each of which names task 1, and these too.
fn children(places: std::ops::RangeInclusive<i64>, also: &[i64], on_failure: DependencyFailure) -> Vec<Task> {
    let on = |task: i64| Dependency { task: Some(Named::Id(id(task).to_string())) };
    let depends_on: Vec<_> = [1].iter().chain(also).map(|task| on(*task)).collect();
    let options =
        TaskOptions { depends_on, on_dependency_failure: on_failure.into(), ..TaskOptions::default() };
    places.map(|count| Task { options: Some(Box::new(options.clone())), ..task(count) }).collect()
}

fn all_asked(effects: &[Effect]) -> Vec<Asked> {
    let asked = effects.iter().filter_map(|effect| match effect {
        Effect::FindTasks(asked) => Some(asked.clone()),
        _ => None,
    });
    asked.collect()
}

/// The answer to a question if these stand so, and all others wait.
fn answer(asked: &Asked, states: &[(i64, TaskState)]) -> Event {
    let stands = |reference: &Dependency| {
        let Some(Named::Id(task)) = &reference.task else { return FoundTask::default() };
        let known = states.iter().find(|(count, _)| id(*count).to_string() == *task);
        FoundTask {
            id: task.clone(),
            state: known.map_or(TaskState::Waiting, |known| known.1).into(),
            open: 0,
        }
    };
    Event::Found { asked: asked.clone(), found: Some(asked.references.iter().map(stands).collect()) }
}

/// The end of task 1, told to the store and heard of.
fn end(engine: &mut Engine, results: Event) -> Vec<Effect> {
    let told = settlement(&engine.handle(results, START)).unwrap();
    settle(engine, told)
}

fn failed(lease: &Lease) -> Event {
    let task_id = lease.task.as_ref().unwrap().id.clone();
    let failure = Failure { task_id, token: lease.token.clone(), ..Failure::default() };
    Event::Results { session: 1, results: api::Results { failures: vec![failure], ..Default::default() } }
}

#[test]
fn a_failure_while_two_questions_are_under_way_makes_nobody_ask_for_ever() {
    let mut engine = engine(1);
    let tasks = [task(1)].into_iter().chain(children(2..=1_501, &[], DependencyFailure::Wait)).collect();
    let effects = engine.handle(Event::Appended(tasks), START);
    let (lease, mut open) = (leases(&effects).pop().unwrap(), all_asked(&effects));
    assert_eq!(open.len(), 2);
    open.extend(all_asked(&end(&mut engine, failed(&lease))));
    let mut answers = 0;
    while let Some(question) = (!open.is_empty()).then(|| open.remove(0)) {
        answers += 1;
        assert!(answers <= 4, "each is asked about once more");
        let told = answer(&question, &[(1, TaskState::Dead)]);
        open.extend(all_asked(&engine.handle(told, START)));
    }
    assert_eq!(engine.dependents.len(), 1_500 + 1, "all wait for one, and nothing else is remembered");
}

#[test]
fn what_ended_is_remembered_only_while_a_question_is_open_that_may_miss_it() {
    let mut engine = engine(1);
    let first = children(2..=2, &[10_000], DependencyFailure::Die);
    let mut open =
        all_asked(&engine.handle(Event::Appended([task(1)].into_iter().chain(first).collect()), START));
    for count in 3..=400 {
        let one = children(count..=count, &[10_000], DependencyFailure::Die);
        open.extend(all_asked(&engine.handle(Event::Appended(one), START)));
        // A task ends, and an older question is answered: there is always one open.
        let _ = engine.handle(Event::Changed(Changed::cancelled(vec![id(20_000 + count)])), START);
        let told = answer(&open.remove(0), &[]);
        open.extend(all_asked(&engine.handle(told, START)));
        assert!(!open.is_empty());
    }
    let waiting = 399 + 2;
    assert!(engine.dependents.len() <= waiting + 12, "{}", engine.dependents.len());
}

#[test]
fn what_waits_for_more_is_not_asked_for_again_when_one_has_succeeded_meanwhile() {
    let mut engine = engine(1);
    let tasks = [task(1)].into_iter().chain(children(2..=2, &[77], DependencyFailure::Die)).collect();
    let effects = engine.handle(Event::Appended(tasks), START);
    let (lease, question) = (leases(&effects).pop().unwrap(), asked(&effects).unwrap());
    assert_eq!(asked(&end(&mut engine, completed(&lease))), None);
    assert_eq!(asked(&engine.handle(answer(&question, &[(1, TaskState::Running)]), START)), None);
    let effects = engine.handle(Event::Changed(Changed::cancelled(vec![id(77)])), START);
    assert!(asked(&effects).is_some(), "that one it waits for still");
}

#[test]
fn an_answer_from_before_a_task_was_put_back_counts_for_nothing() {
    let (mut engine, _, old) = waiting();
    let _ = engine.handle(Event::Changed(Changed::cancelled(vec![id(2)])), START);
    let found = vec![second()];
    let effects = engine.handle(Event::ReadAgain { tasks: vec![id(2)], found }, START);
    let new = asked(&effects).unwrap();
    let gone = Some(vec![FoundTask { id: id(2).to_string(), state: 5, open: 0 }, FoundTask::default()]);
    let _ = engine.handle(Event::Found { asked: old, found: gone }, START);
    assert!(goes_out(&engine.handle(self::found(&new, TaskState::Succeeded), START)));
}

#[test]
fn an_end_that_the_store_refused_because_the_task_was_put_back_does_not_lose_it() {
    let (mut engine, _, question) = waiting();
    let told = settlement(&engine.handle(found(&question, TaskState::Dead), START)).unwrap();
    let _ = engine.handle(Event::Changed(Changed::cancelled(vec![id(2)])), START);
    let back = Event::ReadAgain { tasks: vec![id(2)], found: vec![second()] };
    let effects = engine.handle(back, START);
    let new = asked(&effects).unwrap();
    for accepted in [vec![false], vec![true]] {
        let settled = Event::Settled { settlement: told.clone(), accepted, follow_ups: Vec::new() };
        let effects = engine.handle(settled, START);
        assert!(effects.contains(&Effect::ReadAgain(vec![id(2)])), "it is looked at");
        let _ = engine.handle(Event::ReadAgain { tasks: vec![id(2)], found: vec![second()] }, START);
    }
    let _ = engine.handle(found(&new, TaskState::Running), START);
    assert!(engine.dependents.has(id(2)));
}

#[test]
fn all_that_wait_are_asked_about_again_in_turn() {
    let mut engine = engine(1);
    let tasks = [task(1)].into_iter().chain(children(2..=5_001, &[], DependencyFailure::Die)).collect();
    let mut open = all_asked(&engine.handle(Event::Appended(tasks), START));
    let mut again = std::collections::BTreeSet::new();
    for second in 0..=100 {
        let now = START + Duration::from_secs(second);
        open.extend(all_asked(&engine.handle(Event::Tick, now)));
        while let Some(question) = open.pop() {
            if second >= 30 {
                again.extend(question.tasks.iter().map(|(task, _)| *task));
            }
            open.extend(all_asked(&engine.handle(answer(&question, &[]), now)));
        }
    }
    assert_eq!(again.len(), 5_000);
}

#[test]
fn a_task_with_very_many_dependents_makes_few_questions_at_once() {
    let mut engine = engine(1);
    let tasks = [task(1)].into_iter().chain(children(2..=20_001, &[], DependencyFailure::Die)).collect();
    let mut open = all_asked(&engine.handle(Event::Appended(tasks), START));
    let mut asked = 0;
    while !open.is_empty() {
        assert!(open.len() <= 4, "{}", open.len());
        let question = open.remove(0);
        asked += question.tasks.len();
        open.extend(all_asked(&engine.handle(answer(&question, &[]), START)));
    }
    assert_eq!(asked, 20_000);
}

#[test]
fn a_key_that_was_found_stands_for_its_task_from_then_on() {
    let (mut engine, lease, question) = waiting();
    assert_eq!(question.references[1], Dependency { task: Some(Named::Key("first".into())) });
    let _ = engine.handle(found(&question, TaskState::Running), START);
    let question = asked(&end(&mut engine, completed(&lease))).unwrap();
    assert_eq!(question.references[1], Dependency { task: Some(Named::Id(id(1).to_string())) });
}

#[test]
fn a_failure_that_is_waited_for_and_was_swept_is_no_success() {
    let mut engine = engine(2);
    let tasks = [task(1)].into_iter().chain(children(2..=2, &[], DependencyFailure::Wait)).collect();
    let effects = engine.handle(Event::Appended(tasks), START);
    let question = asked(&effects).unwrap();
    let _ = engine.handle(answer(&question, &[(1, TaskState::Dead)]), START);
    let later = START + Duration::from_secs(60);
    let question = asked(&engine.handle(Event::Tick, later)).unwrap();
    let own = FoundTask { id: id(2).to_string(), state: TaskState::Waiting.into(), open: 0 };
    let gone = Event::Found { asked: question, found: Some(vec![own, FoundTask::default()]) };
    assert!(!goes_out(&engine.handle(gone, later)));
    assert!(engine.dependents.has(id(2)));
}

/// Task 2, which depends on a group; and task 1, which belongs to it.
fn of_a_group() -> Vec<Task> {
    let depends_on = vec![Dependency { task: Some(Named::Group("g".into())) }];
    let options = Some(Box::new(TaskOptions { depends_on, ..TaskOptions::default() }));
    vec![Task { group: "g".into(), ..task(1) }, Task { options, ..task(2) }]
}

/// The answer to a question about task 2, whose group has so many open tasks.
fn found_group(asked: &Asked, open: i64) -> Event {
    let state = if open > 0 { TaskState::Waiting } else { TaskState::Succeeded };
    let own = FoundTask { id: id(2).to_string(), state: TaskState::Waiting.into(), open: 0 };
    let group = FoundTask { id: String::new(), state: state.into(), open };
    Event::Found { asked: asked.clone(), found: Some(vec![own, group]) }
}

#[test]
fn what_waits_for_a_group_is_looked_at_again_when_its_last_task_ends() {
    let mut engine = engine(2);
    let effects = engine.handle(Event::Appended(of_a_group()), START);
    let (lease, question) = (leases(&effects).remove(0), asked(&effects).unwrap());
    assert!(asked(&engine.handle(found_group(&question, 1), START)).is_none());
    let told = settlement(&engine.handle(completed(&lease), START)).unwrap();
    let question = asked(&settle(&mut engine, told)).unwrap();
    assert!(asked(&engine.handle(found_group(&question, 1), START)).is_none(), "one came meanwhile");
    // Of what was cancelled nobody here knows the group.
    let elsewhere = Changed { tasks: vec![id(9)], are_cancelled: true, from: Source::Peer };
    let question = asked(&engine.handle(Event::Changed(elsewhere), START)).unwrap();
    assert!(goes_out(&engine.handle(found_group(&question, 0), START)));
    assert_eq!(engine.dependents.len(), 0);
}

#[test]
fn the_end_of_a_group_while_the_store_answers_is_not_missed() {
    let mut engine = engine(2);
    let effects = engine.handle(Event::Appended(of_a_group()), START);
    let (lease, question) = (leases(&effects).remove(0), asked(&effects).unwrap());
    let told = settlement(&engine.handle(completed(&lease), START)).unwrap();
    assert!(asked(&settle(&mut engine, told)).is_none());
    let question = asked(&engine.handle(found_group(&question, 1), START)).unwrap();
    assert!(goes_out(&engine.handle(found_group(&question, 0), START)));
    assert_eq!(engine.dependents.len(), 0);
}

#[test]
fn the_ends_of_other_groups_ask_nothing() {
    let mut engine = engine(2);
    let other = Task { group: "other".into(), ..task(1) };
    let effects = engine.handle(Event::Appended(vec![other, of_a_group().remove(1)]), START);
    let (lease, question) = (leases(&effects).remove(0), asked(&effects).unwrap());
    let _ = engine.handle(found_group(&question, 1), START);
    let told = settlement(&engine.handle(completed(&lease), START)).unwrap();
    assert!(asked(&settle(&mut engine, told)).is_none());
}
