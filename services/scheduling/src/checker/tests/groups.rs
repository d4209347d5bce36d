//! Histories of groups and of what waits for them: good ones, each with one thing wrong, and what the rules leave open.

use super::*;

fn joins(task: u8) -> Event {
    Event::Joins { task: id(task), group: "g".into() }
}

fn awaits(task: u8, on_failure: OnFailure) -> Event {
    Event::Awaits { task: id(task), group: "g".into(), on_failure }
}

fn ended_at(task: u8, found: Found, at: u64) -> Event {
    Event::Ended { task: id(task), found, parent: None, at: Some(ms(at)) }
}

fn follows(task: u8, token: u8, parent: u8, at: u64) -> Event {
    Event::Ended {
        task: id(task),
        found: Found::Succeeded(id(token)),
        parent: Some(id(parent)),
        at: Some(ms(at)),
    }
}

fn counts(total: i64, [succeeded, dead, cancelled]: [i64; 3]) -> Event {
    let counts = Counts { total, succeeded, dead, cancelled };
    Event::Counted { tenant: "t".into(), group: "g".into(), counts }
}

/// The tasks of `good`, which end at 50 and 60 ms, in a group, and a third that waits for it and is started at this time.
fn grouped(on_failure: OnFailure, at: u64) -> Vec<Event> {
    let mut events = good();
    events.extend([joins(1), joins(2), submitted(3, "t", 20), awaits(3, on_failure)]);
    events.extend([started(3, 13, "w1", at), ended_at(3, Found::Succeeded(id(13)), at + 5)]);
    events.extend(counted(13, at + 5));
    events.push(counts(2, [2, 0, 0]));
    events
}

fn without_result(events: &mut Vec<Event>, token: u8) {
    let of = |event: &Event| match event {
        Event::Sent { token, .. } | Event::Answered { token, .. } => Some(*token),
        _ => None,
    };
    events.retain(|event| of(event) != Some(id(token)));
}

/// The second of the group has ended otherwise.
fn fails(mut events: Vec<Event>, found: Found) -> Vec<Event> {
    without_result(&mut events, 12);
    events.retain(|event| *event != ended(2, Found::Succeeded(id(12))) && *event != counts(2, [2, 0, 0]));
    events.push(ended(2, found));
    events
}

fn judged(events: Vec<Event>) -> Vec<Broken> {
    broken(events, &Rules::default())
}

#[test]
fn what_waits_for_a_group_is_started_when_none_of_it_is_open() {
    for on_failure in [OnFailure::Die, OnFailure::Run, OnFailure::Wait] {
        assert_eq!(judged(grouped(on_failure, 60)), []);
        assert_eq!(judged(grouped(on_failure, 59)), [Broken::BeforeGroup]);
        let mut of_another = grouped(on_failure, 59);
        of_another.push(Event::Awaits { task: id(3), group: "h".into(), on_failure });
        of_another.retain(|event| *event != awaits(3, on_failure));
        assert_eq!(judged(of_another), []);
    }
}

#[test]
fn what_comes_into_a_group_that_was_over_is_not_waited_for() {
    let late = |asked, told| {
        let mut events = grouped(OnFailure::Run, 70);
        let Event::Submitted { task, queue, key, delayed, max_attempts, .. } = submitted(4, "t", 0) else {
            unreachable!()
        };
        let (asked, at) = (ms(asked), ms(told));
        events.push(Event::Submitted { task, queue, key, asked, at, delayed, max_attempts });
        events.extend([joins(4), started(4, 14, "w2", 80), ended(4, Found::Succeeded(id(14)))]);
        events.extend(counted(14, 90));
        events.retain(|event| *event != counts(2, [2, 0, 0]));
        events.push(counts(3, [3, 0, 0]));
        judged(events)
    };
    assert_eq!(late(59, 59), [Broken::BeforeGroup], "it was there before the second had ended");
    assert_eq!(late(59, 60), [], "there may have been a moment between the two");
    assert_eq!(late(20, 65), [Broken::BeforeGroup], "it came with the task that waits");
}

#[test]
fn a_group_with_a_failure_starts_only_what_does_not_mind() {
    for found in [Found::Dead, Found::Cancelled] {
        let failed = |on_failure| {
            let mut events = fails(grouped(on_failure, 70), found);
            events.push(if found == Found::Dead { counts(2, [1, 1, 0]) } else { counts(2, [1, 0, 1]) });
            events.extend((found == Found::Cancelled).then_some(Event::Steered { task: id(2), at: ms(55) }));
            judged(events)
        };
        assert_eq!(failed(OnFailure::Run), []);
        assert_eq!(failed(OnFailure::Die), [Broken::BeforeGroup]);
        assert_eq!(failed(OnFailure::Wait), [Broken::BeforeGroup]);
    }
    // It had failed, was put back, and succeeds before or after the start.
    let mended = |on_failure, at| {
        let mut events = grouped(on_failure, at);
        events.push(Event::Steered { task: id(2), at: ms(20) });
        judged(events)
    };
    assert_eq!(mended(OnFailure::Wait, 60), []);
    assert_eq!(mended(OnFailure::Wait, 59), [Broken::BeforeGroup]);
    assert_eq!(mended(OnFailure::Run, 59), [], "nobody saw that it had not failed before");
}

#[test]
fn what_follows_in_a_group_is_there_when_its_task_has_ended() {
    let spawns = |at| {
        let mut events = grouped(OnFailure::Run, at);
        events.retain(|event| !matches!(event, Event::Sent { token, .. } if *token == id(12)));
        events.push(Event::Sent { token: id(12), ending: Ending::Completed(1) });
        events.push(Event::Follows { token: id(12), group: "g".into() });
        events.extend([started(4, 14, "w2", 65), follows(4, 14, 12, 80)]);
        events.extend(counted(14, 80));
        events.retain(|event| *event != counts(2, [2, 0, 0]));
        events.push(counts(3, [3, 0, 0]));
        judged(events)
    };
    assert_eq!(spawns(80), []);
    assert_eq!(spawns(61), [Broken::BeforeGroup], "before it was even begun");
}

#[test]
fn what_waits_for_a_group_dies_with_it_when_that_is_over() {
    let dies = |failed, at| {
        let mut events = grouped(OnFailure::Die, 70);
        without_result(&mut events, 13);
        events.retain(|event| !matches!(event, Event::Started { task, .. } if *task == id(3)));
        events.retain(|event| !matches!(event, Event::Ended { task, .. } if *task == id(3)));
        events.push(ended_at(3, Found::Dead, at));
        if failed {
            events = fails(events, Found::Dead);
            events.push(counts(2, [1, 1, 0]));
        }
        judged(events)
    };
    assert_eq!(dies(true, 60), []);
    assert_eq!(dies(true, 49), [Broken::BeforeGroup], "the first runs until 50");
    assert_eq!(dies(false, 60), [Broken::GivenUp], "both have succeeded");
}

#[test]
fn a_group_counts_its_tasks_as_they_ended() {
    let with = |counted: Event| {
        let mut events = grouped(OnFailure::Run, 60);
        events.retain(|event| *event != counts(2, [2, 0, 0]));
        events.push(counted);
        judged(events)
    };
    assert_eq!(with(counts(2, [2, 0, 0])), []);
    for wrong in [counts(3, [2, 0, 0]), counts(2, [1, 0, 0]), counts(2, [1, 1, 0]), counts(1, [1, 0, 0])] {
        assert_eq!(with(wrong), [Broken::Miscounted]);
    }
    let gone = Event::Counted { tenant: "u".into(), group: "g".into(), counts: Counts::default() };
    assert_eq!(with(gone), [Broken::Miscounted], "the group is not there");
}

#[test]
fn what_is_ready_is_not_left_waiting_while_nothing_runs() {
    let idle = |since, within| Idle { since: ms(since), within: ms(within), lease: ms(100) };
    let judged =
        |events: &[Event], idle| broken(events.to_vec(), &Rules { idle: Some(idle), ..Rules::default() });
    // Both of the group have ended at 60, when the worker stops; the third is started at 160.
    let mut events = grouped(OnFailure::Run, 160);
    events.retain(|event| !matches!(event, Event::Ended { task, .. } if *task != id(3)));
    events.extend([1, 2].map(|task| ended_at(task, Found::Succeeded(id(10 + task)), 60)));
    assert_eq!(judged(&events, idle(0, 100)), []);
    assert_eq!(judged(&events, idle(0, 99)), [Broken::LeftWaiting]);
    assert_eq!(judged(&events, idle(70, 99)), [], "not everybody was there before");
    let with = |event: Event| {
        let more: Vec<Event> = events.iter().cloned().chain([event]).collect();
        judged(&more, idle(0, 99))
    };
    assert_eq!(with(disturbed(Who::Everybody, 30, 65)), []);
    assert_eq!(with(disturbed(Who::Everybody, 30, 60)), [Broken::LeftWaiting]);
    assert_eq!(with(Event::Steered { task: id(3), at: ms(10) }), []);
    assert_eq!(
        with(Event::Depends { task: id(3), on: id(9), on_failure: OnFailure::Run }),
        [],
        "of which nothing is known"
    );
    // Something ran, or was held by a worker that said nothing of it any more.
    let [busy, silent] = [100, 61].map(|until| {
        let more = [submitted(5, "u", 60), started_by("s1", "u", 5, 15, "w3", 61)];
        let more = more.into_iter().chain([stopped(15, until), ended(5, Found::Dead)]);
        events.iter().cloned().chain(more).collect::<Vec<Event>>()
    });
    assert_eq!(judged(&busy, idle(0, 60)), []);
    assert_eq!(judged(&silent, idle(0, 60)), []);
    // What is to die is not left waiting either.
    let mut dying = fails(events.clone(), Found::Dead);
    dying.retain(
        |event| !matches!(event, Event::Started { task, .. } | Event::Ended { task, .. } if *task == id(3)),
    );
    without_result(&mut dying, 13);
    dying.push(Event::Sent { token: id(12), ending: Ending::Failed });
    dying.extend([ended_at(3, Found::Dead, 160), ended_at(2, Found::Dead, 60), counts(2, [1, 1, 0])]);
    dying.retain(|event| {
        *event != awaits(3, OnFailure::Run)
            && *event != ended(2, Found::Dead)
            && *event != ended_at(2, Found::Succeeded(id(12)), 60)
    });
    dying.push(awaits(3, OnFailure::Die));
    assert_eq!(judged(&dying, idle(0, 100)), []);
    assert_eq!(judged(&dying, idle(0, 99)), [Broken::LeftWaiting]);
}
