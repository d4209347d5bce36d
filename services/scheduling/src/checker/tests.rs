//! Histories that the checker must refuse, each a good one with one thing wrong, and the excuses that it accepts.

mod dependencies;
mod groups;

use tidemill_kernel::Id;

use super::*;

fn id(number: u8) -> Id {
    Id::from_bytes([number; 16])
}

fn ms(millis: u64) -> Moment {
    Moment::from_millis(millis)
}

fn queue(tenant: &str) -> Queue {
    Queue { tenant: tenant.into(), priority: 2, kind: "demo".into() }
}

fn submitted(task: u8, tenant: &str, at: u64) -> Event {
    let (task, queue, key) = (id(task), queue(tenant), format!("k{task}"));
    Event::Submitted { task, queue, key, asked: ms(at), at: ms(at + 1), delayed: false, max_attempts: 3 }
}

fn started(task: u8, token: u8, worker: &str, at: u64) -> Event {
    started_by("s1", "t", task, token, worker, at)
}

fn started_by(scheduler: &str, tenant: &str, task: u8, token: u8, worker: &str, at: u64) -> Event {
    Event::Started {
        task: id(task),
        token: id(token),
        queue: queue(tenant),
        attempt: 1,
        worker: worker.into(),
        scheduler: scheduler.into(),
        at: ms(at),
    }
}

fn stopped(token: u8, at: u64) -> Event {
    Event::Stopped { token: id(token), at: ms(at) }
}

/// A result that counts.
fn counted(token: u8, at: u64) -> [Event; 3] {
    let ending = Ending::Completed(0);
    let answered = Event::Answered { token: id(token), accepted: true, at: ms(at + 1) };
    [stopped(token, at), Event::Sent { token: id(token), ending }, answered]
}

fn ended(task: u8, found: Found) -> Event {
    Event::Ended { task: id(task), found, parent: None, at: None }
}

fn disturbed(who: Who, from: u64, until: u64) -> Event {
    Event::Disturbed { who, from: ms(from), until: ms(until) }
}

/// Task 1 is run once by `w1` from 10 to 50 ms, task 2 by `w2` from 30 to 60 ms.
fn good() -> Vec<Event> {
    let mut events = vec![submitted(1, "t", 0), submitted(2, "t", 5), started(1, 11, "w1", 10)];
    events.push(started(2, 12, "w2", 30));
    events.extend(counted(11, 50));
    events.extend(counted(12, 60));
    events.extend([ended(1, Found::Succeeded(id(11))), ended(2, Found::Succeeded(id(12)))]);
    events
}

fn broken(events: Vec<Event>, rules: &Rules) -> Vec<Broken> {
    let mut broken: Vec<Broken> =
        check(&History { events }, rules).into_iter().map(|violation| violation.broken).collect();
    broken.dedup();
    broken
}

fn broken_by(change: impl FnOnce(&mut Vec<Event>)) -> Vec<Broken> {
    let mut events = good();
    change(&mut events);
    broken(events, &Rules::default())
}

#[test]
fn a_good_history_in_any_order_is_accepted() {
    assert_eq!(broken_by(|_| {}), []);
    assert_eq!(broken_by(|events| events.reverse()), []);
}

#[test]
fn a_task_that_is_gone_or_never_ends_is_lost() {
    assert_eq!(broken_by(|events| events.push(submitted(3, "t", 70))), [Broken::Lost]);
    assert_eq!(
        broken_by(|events| events.extend([submitted(3, "t", 70), ended(3, Found::Unfinished)])),
        [Broken::Lost]
    );
}

#[test]
fn a_kind_starts_no_faster_than_its_rate() {
    let check = |rate, burst, more: &[Event]| {
        let events = good().into_iter().chain(more.iter().cloned()).collect();
        let kind_rate = vec![("demo".to_owned(), rate, burst)];
        broken(events, &Rules { kind_rate, ..Rules::default() })
    };
    assert_eq!(check(1, 2, &[]), []);
    assert_eq!(check(50, 1, &[]), [], "there are 20 ms between the two");
    assert_eq!(check(49, 1, &[]), [Broken::OverRate]);
    assert_eq!(check(49, 1, &[disturbed(Who::Scheduler("s1".into()), 25, 30)]), []);
}

#[test]
fn a_kind_of_all_tenants_and_schedulers_runs_no_more_than_its_cap() {
    let other = |events: &mut Vec<Event>| {
        events.push(submitted(3, "u", 0));
        events.push(started_by("s2", "u", 3, 13, "w3", 40));
        events.extend(counted(13, 70));
        events.push(ended(3, Found::Succeeded(id(13))));
    };
    let (mut events, cap) = (good(), |kind: &str, cap| vec![(kind.to_owned(), cap)]);
    other(&mut events);
    let check = |events: &[Event], kind, most| {
        broken(events.to_vec(), &Rules { kind_concurrency: cap(kind, most), ..Rules::default() })
    };
    assert_eq!(check(&events, "demo", 3), []);
    assert_eq!(check(&events, "demo", 2), [Broken::OverCap]);
    assert_eq!(check(&events, "other", 2), []);
    events.push(disturbed(Who::Scheduler("s2".into()), 35, 45));
    assert_eq!(check(&events, "demo", 2), [], "what its scheduler forgot is run in vain");
}

#[test]
fn two_results_that_count_are_one_too_many() {
    let twice = |events: &mut Vec<Event>| {
        events.push(started(1, 13, "w3", 50));
        events.extend(counted(13, 51));
    };
    assert_eq!(broken_by(twice), [Broken::CountedTwice]);
}

#[test]
fn what_follows_from_a_result_follows_once_and_from_the_one_that_counts() {
    let child =
        |task, token| Event::Ended { task: id(task), found: Found::Dead, parent: Some(id(token)), at: None };
    let announced = |events: &mut Vec<Event>| {
        events.retain(|event| !matches!(event, Event::Sent { token, .. } if *token == id(11)));
        events.push(Event::Sent { token: id(11), ending: Ending::Completed(1) });
        events.push(child(21, 11));
    };
    assert_eq!(broken_by(announced), []);
    assert_eq!(broken_by(|events| events.push(child(21, 11))), [Broken::CountedTwice], "none was announced");
    let again = |events: &mut Vec<Event>| {
        announced(events);
        events.push(child(22, 11));
    };
    assert_eq!(broken_by(again), [Broken::CountedTwice]);
}

#[test]
fn what_nobody_did_is_invented() {
    let other = |events: &mut Vec<Event>| {
        events.pop();
        events.push(ended(2, Found::Succeeded(id(99))));
    };
    assert_eq!(broken_by(other), [Broken::Invented]);
    let dropped = |events: &mut Vec<Event>| {
        events.pop();
        events.push(ended(2, Found::Dead));
    };
    assert_eq!(broken_by(dropped), [Broken::Invented], "it was told to count");
    let cancelled =
        |events: &mut Vec<Event>| events.extend([submitted(3, "t", 70), ended(3, Found::Cancelled)]);
    assert_eq!(broken_by(cancelled), [Broken::Invented]);
}

#[test]
fn one_key_makes_one_task() {
    let again = |events: &mut Vec<Event>| {
        let Event::Submitted { task: _, queue, asked, at, delayed, max_attempts, .. } = submitted(3, "t", 1)
        else {
            unreachable!()
        };
        let (task, key) = (id(3), "k1".to_owned());
        events.push(Event::Submitted { task, queue, key, asked, at, delayed, max_attempts });
        events.push(ended(3, Found::Dead));
    };
    assert_eq!(broken_by(again), [Broken::KeyTwice]);
    let unheard = |events: &mut Vec<Event>| events.push(ended(3, Found::Dead));
    assert_eq!(broken_by(unheard), [Broken::KeyTwice]);
}

#[test]
fn what_counts_is_not_run_again_and_nothing_too_often() {
    let again = |events: &mut Vec<Event>| events.extend([started(1, 13, "w1", 70), stopped(13, 71)]);
    assert_eq!(broken_by(again), [Broken::RunAgain]);
    let fourth = |events: &mut Vec<Event>| {
        let Event::Started { task, token, queue, worker, scheduler, at, .. } = started(1, 13, "w1", 5) else {
            unreachable!()
        };
        events.push(Event::Started { task, token, queue, attempt: 4, worker, scheduler, at });
        events.push(stopped(13, 6));
    };
    assert_eq!(broken_by(fourth), [Broken::TooOften]);
}

#[test]
fn what_a_scheduler_says_late_is_begun_again_only_by_a_worker_that_could_not_know() {
    // Task 1 counts at 51 ms; `s2` gives it once more at 70 ms.
    let again = |faults: &[Event]| {
        broken_by(|events| {
            events.extend([started_by("s2", "t", 1, 13, "w3", 70), stopped(13, 71)]);
            events.extend_from_slice(faults);
        })
    };
    let scheduler = |name: &str| Who::Scheduler(name.to_owned());
    let late = disturbed(scheduler("s2"), 20, 70);
    assert_eq!(again(&[]), [Broken::RunAgain]);
    assert_eq!(
        again(std::slice::from_ref(&late)),
        [Broken::RunAgain],
        "another had said that it has the shard"
    );
    assert_eq!(again(&[late.clone(), disturbed(scheduler("s1"), 60, 65)]), []);
    assert_eq!(again(&[disturbed(scheduler("s1"), 60, 65)]), [Broken::RunAgain]);
    assert_eq!(again(&[late, disturbed(Who::Worker("w3".into()), 60, 60)]), []);
}

#[test]
fn two_holders_are_excused_by_a_fault_of_the_giver_at_the_start_or_of_the_holder_alone() {
    // `w3` begins task 1 while `w1` holds it since 10 ms.
    let second = |events: &mut Vec<Event>| {
        events.extend([started_by("s2", "t", 1, 13, "w3", 20), stopped(13, 25)]);
    };
    let with = |fault: Event| {
        broken_by(|events| {
            second(events);
            events.push(fault);
        })
    };
    assert_eq!(broken_by(second), [Broken::HeldTwice]);
    let scheduler = |name: &str| Who::Scheduler(name.to_owned());
    assert_eq!(with(disturbed(scheduler("s1"), 12, 15)), []);
    assert_eq!(with(disturbed(Who::Everybody, 12, 15)), []);
    assert_eq!(with(disturbed(Who::Worker("w1".into()), 12, 15)), []);
    assert_eq!(with(disturbed(scheduler("s2"), 12, 15)), [Broken::HeldTwice], "not the giver");
    assert_eq!(with(disturbed(Who::Worker("w3".into()), 12, 15)), [Broken::HeldTwice], "not the holder");
    assert_eq!(with(disturbed(Who::Worker("w3".into()), 5, 20)), [], "it heard of its lease when it went on");
    assert_eq!(with(disturbed(scheduler("s1"), 300, 400)), [Broken::HeldTwice], "it was recorded by then");
}

#[test]
fn caps_and_slots_hold_at_every_moment() {
    let rules = |slots, tenant_concurrency| Rules { slots, tenant_concurrency, ..Rules::default() };
    assert_eq!(broken(good(), &rules(1, Some(2))), []);
    assert_eq!(broken(good(), &rules(1, Some(1))), [Broken::OverCap], "both run from 30 to 50 ms");
    let mut one_worker = good();
    for event in &mut one_worker {
        if let Event::Started { worker, .. } = event {
            *worker = "w1".into();
        }
    }
    assert_eq!(broken(one_worker.clone(), &rules(1, None)), [Broken::OverCap]);
    // Cancelled, the first makes room for its tenant's second before its worker has stopped.
    let cancelled = |at| {
        let mut events = one_worker.clone();
        events.push(Event::Steered { task: id(1), at: ms(at) });
        events
    };
    assert_eq!(broken(cancelled(29), &rules(2, Some(1))), []);
    assert_eq!(broken(cancelled(31), &rules(2, Some(1))), [Broken::OverCap], "it was started before that");
    assert_eq!(broken(cancelled(29), &rules(1, None)), [Broken::OverCap], "the worker's slots are its own");
}

#[test]
fn who_came_first_is_started_first_unless_something_disturbs() {
    let swap = |events: &mut Vec<Event>| {
        for event in events {
            if let Event::Started { task, at, .. } = event {
                *at = if *task == id(1) { ms(30) } else { ms(10) };
            }
        }
    };
    assert_eq!(broken_by(swap), [Broken::OutOfOrder]);
    let excused = |events: &mut Vec<Event>| {
        swap(events);
        events.push(disturbed(Who::Worker("w9".into()), 20, 21));
    };
    assert_eq!(broken_by(excused), []);
    let at_once = |events: &mut Vec<Event>| {
        swap(events);
        if let Event::Submitted { asked, .. } = &mut events[1] {
            *asked = ms(1);
        }
    };
    assert_eq!(broken_by(at_once), [], "the second asked before the first had his answer");
    let mut events = good();
    swap(&mut events);
    assert_eq!(broken(events.clone(), &Rules { order_within: ms(20), ..Rules::default() }), []);
    assert_eq!(broken(events, &Rules { heard_within: ms(100), ..Rules::default() }), [], "not heard of yet");
}

#[test]
fn shares_that_drift_apart_while_both_wait_are_unfair() {
    let rules = Rules { weights: vec![("f".into(), 1), ("g".into(), 2)], ..Rules::default() };
    // Twenty tasks each, and the order in which they are started.
    let run = |order: &dyn Fn(u8) -> usize| {
        let (mut events, mut next) = (Vec::new(), [0_u8, 100]);
        for number in 0..20 {
            events.push(submitted(number, "f", 0));
            events.push(submitted(100 + number, "g", 0));
        }
        for turn in 0..15 {
            let side = order(turn);
            let (task, tenant) = (next[side], ["f", "g"][side]);
            next[side] += 1;
            events.push(started_by("s1", tenant, task, task + 1, "w", 10 + u64::from(turn)));
            events.push(stopped(task + 1, 10 + u64::from(turn)));
        }
        for number in 0..20 {
            events.extend([ended(number, Found::Dead), ended(100 + number, Found::Dead)]);
        }
        events
    };
    assert_eq!(broken(run(&|turn| usize::from(turn % 3 > 0)), &rules), []);
    assert_eq!(broken(run(&|turn| usize::from(turn % 2 > 0)), &rules), [Broken::Unfair]);
    assert_eq!(broken(run(&|_| 1), &rules), [Broken::Unfair]);
    let mut disturbed_often = run(&|turn| usize::from(turn % 2 > 0));
    disturbed_often.push(disturbed(Who::Everybody, 0, 100));
    assert_eq!(broken(disturbed_often, &rules), []);
}
