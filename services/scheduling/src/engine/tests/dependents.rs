//! Tasks that wait for others.

use tidemill_proto::storage::v1::FoundTask;
use tidemill_proto::types::v1::dependency::Task as Named;
use tidemill_proto::types::v1::{Dependency, TaskOptions, TaskState};

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
    let stands = |count: i64, state: TaskState| FoundTask { id: id(count).to_string(), state: state.into() };
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

/// Whether task 2 is on its way to a worker.
fn goes_out(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| match effect {
        Effect::Fetch { picked, .. } => picked.iter().any(|picked| picked.id == id(2)),
        _ => false,
    })
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
    assert_eq!(asked(&effects), Some(question));
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
    let gone = Some(vec![FoundTask { id: id(2).to_string(), state: 5 }, FoundTask::default()]);
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
