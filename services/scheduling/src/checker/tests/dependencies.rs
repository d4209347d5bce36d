//! Histories of tasks that depend on others.

use super::*;

#[test]
fn what_depends_on_another_comes_after_its_success() {
    let depends_or = |task, on, on_failure| {
        let depends = Event::Depends { task: id(task), on: id(on), on_failure };
        move |events: &mut Vec<Event>| events.push(depends.clone())
    };
    let depends = |task, on| depends_or(task, on, OnFailure::Die);
    assert_eq!(broken_by(depends(2, 1)), [Broken::TooEarly], "2 is started at 30 and 1 done at 50");
    let third = |events: &mut Vec<Event>| {
        events.extend([submitted(3, "t", 20), started(3, 13, "w1", 55), ended(3, Found::Succeeded(id(13)))]);
        events.extend(counted(13, 70));
        depends(3, 1)(events);
    };
    assert_eq!(broken_by(third), []);
    let dead = |events: &mut Vec<Event>| {
        third(events);
        events.retain(|event| *event != ended(1, Found::Succeeded(id(11))));
        events.push(ended(1, Found::Dead));
    };
    assert!(broken_by(dead).contains(&Broken::TooEarly));
    let put_back = |events: &mut Vec<Event>| {
        events.push(Event::Steered { task: id(1), at: ms(1) });
        depends_or(2, 1, OnFailure::Wait)(events);
    };
    assert_eq!(broken_by(put_back), [Broken::TooEarly], "a success is final, whoever was put back");
}

/// Task 3 is started at 55, whatever becomes of task 1, which fails at 50 and perhaps again.
fn after_a_failure(again: Option<u64>) -> Vec<Event> {
    let mut events = good();
    events.retain(|event| !matches!(event, Event::Answered { token, .. } if *token == id(11)));
    events.retain(|event| !matches!(event, Event::Sent { token, .. } if *token == id(11)));
    events.retain(|event| *event != ended(1, Found::Succeeded(id(11))));
    events.extend([submitted(3, "t", 20), started(3, 13, "w1", 55), ended(3, Found::Succeeded(id(13)))]);
    events.extend(counted(13, 70));
    events.extend(again.into_iter().flat_map(|at| [started(1, 14, "w2", at), stopped(14, at + 5)]));
    events.push(ended(1, Found::Dead));
    events.push(Event::Depends { task: id(3), on: id(1), on_failure: OnFailure::Run });
    events
}

#[test]
fn what_runs_in_spite_of_a_failure_comes_after_the_last_attempt() {
    let rules = Rules::default();
    assert_eq!(broken(after_a_failure(None), &rules), []);
    assert!(broken(after_a_failure(Some(60)), &rules).contains(&Broken::TooEarly));
    let mut excused = after_a_failure(Some(60));
    excused.push(disturbed(Who::Worker("w2".into()), 58, 59));
    assert_eq!(broken(excused, &rules), []);
}

#[test]
fn what_was_never_started_dies_with_what_it_depends_on_alone() {
    let dead = |on: &[(u8, OnFailure)]| {
        let on: Vec<_> = on.to_vec();
        move |events: &mut Vec<Event>| {
            events.extend([submitted(3, "t", 20), ended(3, Found::Dead)]);
            events.extend([submitted(4, "t", 0), ended(4, Found::Dead)]);
            events.push(Event::Depends { task: id(4), on: id(5), on_failure: OnFailure::Die });
            let depends = |(on, on_failure)| Event::Depends { task: id(3), on: id(on), on_failure };
            events.extend(on.into_iter().map(depends));
        }
    };
    assert_eq!(broken_by(dead(&[(4, OnFailure::Die)])), []);
    for on in [&[(1, OnFailure::Die)], &[(4, OnFailure::Run)], &[(4, OnFailure::Wait)]] {
        assert_eq!(broken_by(dead(on)), [Broken::GivenUp], "{on:?}");
    }
    let excused = |events: &mut Vec<Event>| {
        dead(&[(1, OnFailure::Die)])(events);
        events.push(disturbed(Who::Worker("w1".into()), 30, 40));
    };
    assert_eq!(broken_by(excused), []);
}
