//! Attempts ended: what they leave of their tasks. Analyses and follow-ups are cases of [`super::following`].

use std::time::Duration;

use tidemill_kernel::{Priority, Shard};

use super::fixture::{
    Shared, append, append_one, at, attempt, completion, create, failure, moved, page, read, record, running,
    settle, succeed, task, unfinished, unknown,
};
use crate::task::{Attempt, Completion, Failure, NewTask, Task, TaskCount, TaskState};

/// Recorded or not: the task tells the attempt, the result and when it came; nothing of it runs or waits.
pub async fn a_completion_ends_its_task(store: Shared) {
    let acme = create(&store, "acme").await;
    let stored = append(&store, &acme, vec![task(1), task(2)]).await;
    let held = record(&store, stored[0], 1).await;
    let held = Attempt { worker: "worker-2".to_owned(), started_at: at(5), number: 2, ..held };
    let done = Completion { result: "a\0b".to_owned(), ..completion(held) };
    let settled = settle(&store, vec![done, completion(attempt(stored[1], 1))], vec![], at(7)).await;
    assert_eq!((settled.accepted, settled.follow_ups), (vec![true; 2], vec![]));
    let expected = Task {
        state: TaskState::Succeeded,
        attempt: 2,
        started_at: Some(at(5)),
        finished_at: Some(at(7)),
        worker: "worker-2".to_owned(),
        result: "a\u{fffd}b".to_owned(),
        ..Task::stored(stored[0], task(1), acme.clone())
    };
    assert_eq!(read(&store, &acme, stored[0]).await, expected);
    let expected = Task {
        attempt: 1,
        started_at: Some(at(4)),
        worker: "worker-1".to_owned(),
        result: "done".to_owned(),
        ..Task { id: stored[1], new: task(2), ..expected }
    };
    assert_eq!(read(&store, &acme, stored[1]).await, expected);
    assert!(unfinished(&store, &acme).await.is_empty() && running(&store, &acme).await.is_empty());
    assert!(store.load_tasks(stored).await.unwrap().is_empty());
}

/// Of an ended, a cancelled, an unknown task and one of another moment nothing counts, and nothing of it is changed.
pub async fn only_an_unfinished_task_can_be_ended(store: Shared) {
    let acme = create(&store, "acme").await;
    let mut tasks: Vec<_> = (1..=5).map(task).collect();
    tasks[1].keep = Some(Duration::ZERO);
    let stored = append(&store, &acme, tasks).await;
    succeed(&store, stored[0], at(6)).await;
    succeed(&store, stored[1], at(6)).await;
    settle(&store, vec![], vec![failure(attempt(stored[2], 1))], at(6)).await;
    store.cancel_task(&acme, stored[3], at(6)).await.unwrap();
    let before = store.page_tasks(&acme, None, None, page(10)).await.unwrap().items;
    let counts = store.count_tasks(&acme).await.unwrap();
    let mut vain = stored[..4].to_vec();
    vain.extend([unknown(&acme), moved(stored[4])]);
    for recorded in [false, true] {
        let attempts = || vain.iter().map(|id| Attempt { recorded, ..attempt(*id, 2) });
        let done = attempts().map(|attempt| Completion { follow_ups: vec![task(9)], ..completion(attempt) });
        let retries = attempts().map(|attempt| Failure { retry_at: Some(at(9)), ..failure(attempt) });
        for settled in [
            settle(&store, done.collect(), vec![], at(8)).await,
            settle(&store, vec![], attempts().map(failure).collect(), at(8)).await,
            settle(&store, vec![], retries.collect(), at(8)).await,
        ] {
            assert_eq!((settled.accepted, settled.follow_ups.len()), (vec![false; 6], 0));
        }
    }
    assert_eq!(store.page_tasks(&acme, None, None, page(10)).await.unwrap().items, before);
    assert_eq!(store.count_tasks(&acme).await.unwrap(), counts);
}

/// With a time it waits again, at its place; without one it is dead; its record goes.
pub async fn a_failure_retries_or_ends(store: Shared) {
    let acme = create(&store, "acme").await;
    let stored = append(&store, &acme, (1..=3).map(task).collect()).await;
    let (first, second) = (record(&store, stored[0], 1).await, record(&store, stored[1], 2).await);
    let retry = |attempt| Failure { retry_at: Some(at(50)), error: "a\0b".to_owned(), ..failure(attempt) };
    let failures = vec![retry(first), failure(second), retry(attempt(stored[2], 1))];
    assert_eq!(settle(&store, vec![], failures, at(7)).await.accepted, [true; 3]);
    let waits = |number: u128| {
        let new = NewTask { run_at: at(50), ..task(number) };
        Task {
            attempt: 1,
            started_at: Some(at(4)),
            worker: "worker-1".to_owned(),
            error: "a\u{fffd}b".to_owned(),
            ..Task::stored(stored[number as usize - 1], new, acme.clone())
        }
    };
    assert_eq!(unfinished(&store, &acme).await, [waits(1), waits(3)]);
    assert!(running(&store, &acme).await.is_empty());
    let dead = Task {
        state: TaskState::Dead,
        finished_at: Some(at(7)),
        error: "no luck".to_owned(),
        ..Task { id: stored[1], new: task(2), ..waits(1) }
    };
    assert_eq!(read(&store, &acme, stored[1]).await, dead);
    // The second attempt is like the first; its last error stays with it.
    settle(&store, vec![completion(attempt(stored[0], 2))], vec![], at(60)).await;
    let done = read(&store, &acme, stored[0]).await;
    assert_eq!((done.state, done.attempt, done.error.as_str()), (TaskState::Succeeded, 2, "a\u{fffd}b"));
}

/// An attempt that is not spent says how many there were before it.
pub async fn a_snooze_spends_no_attempt(store: Shared) {
    let acme = create(&store, "acme").await;
    let id = append_one(&store, &acme, task(1)).await;
    let snooze = |attempt, second| Failure {
        retry_at: Some(at(second)),
        error: "too early".to_owned(),
        ..failure(attempt)
    };
    let held = record(&store, id, 1).await;
    settle(&store, vec![], vec![snooze(Attempt { number: 0, ..held }, 50)], at(7)).await;
    let waits = read(&store, &acme, id).await;
    assert_eq!((waits.state, waits.attempt, waits.new.run_at), (TaskState::Waiting, 0, at(50)));
    assert_eq!((waits.started_at, waits.error.as_str()), (Some(at(4)), "too early"));
    settle(&store, vec![], vec![snooze(attempt(id, 1), 60)], at(51)).await;
    settle(&store, vec![], vec![snooze(attempt(id, 1), 70)], at(61)).await;
    let waits = read(&store, &acme, id).await;
    assert_eq!((waits.attempt, waits.new.run_at), (1, at(70)));
    let held = record(&store, id, 1).await;
    settle(&store, vec![], vec![snooze(Attempt { number: 0, ..held }, 80)], at(71)).await;
    assert_eq!(read(&store, &acme, id).await.attempt, 0, "its owner knows how many there were");
}

/// The first time; completions are looked at before failures.
pub async fn a_task_named_twice_counts_once(store: Shared) {
    let acme = create(&store, "acme").await;
    let stored = append(&store, &acme, (1..=3).map(task).collect()).await;
    let first = record(&store, stored[0], 1).await;
    let done = |attempt| Completion { follow_ups: vec![task(9)], ..completion(attempt) };
    let later = |attempt| Completion { result: "again".to_owned(), ..done(attempt) };
    let retry = |id, second| Failure { retry_at: Some(at(second)), ..failure(attempt(id, 1)) };
    let failures = vec![
        failure(first.clone()),
        failure(attempt(stored[1], 1)),
        retry(stored[2], 50),
        retry(stored[1], 51),
        retry(stored[2], 52),
        failure(attempt(stored[2], 2)),
    ];
    let settled = settle(&store, vec![done(first.clone()), later(first)], failures, at(7)).await;
    assert_eq!(settled.accepted, [true, false, false, true, true, false, false, false]);
    assert_eq!(settled.follow_ups.len(), 1);
    let (one, two) = (read(&store, &acme, stored[0]).await, read(&store, &acme, stored[1]).await);
    assert_eq!((one.state, one.result.as_str(), two.state), (TaskState::Succeeded, "done", TaskState::Dead));
    let three = read(&store, &acme, stored[2]).await;
    assert_eq!((three.state, three.attempt, three.new.run_at), (TaskState::Waiting, 1, at(50)));
}

/// It is gone at once, counted, and its key is taken; a task that dies or is cancelled stays to be looked at.
pub async fn a_success_that_is_not_kept_leaves_its_count(store: Shared) {
    let acme = create(&store, "acme").await;
    let fleeting = |number| NewTask { keep: Some(Duration::ZERO), ..task(number) };
    let kept = NewTask { keep: Some(Duration::from_micros(1)), ..task(9) };
    let mut tasks: Vec<_> = (1..=5).map(fleeting).collect();
    tasks[4].priority = Priority::Interactive;
    tasks.push(kept);
    let stored = append(&store, &acme, tasks).await;
    let first = record(&store, stored[0], 1).await;
    let done = vec![completion(first), completion(attempt(stored[4], 1)), completion(attempt(stored[5], 1))];
    let failures = vec![failure(attempt(stored[2], 1))];
    assert_eq!(settle(&store, done, failures, at(7)).await.accepted, [true; 4]);
    store.cancel_task(&acme, stored[3], at(7)).await.unwrap();
    for id in [stored[0], stored[4]] {
        assert_eq!(store.task(&acme, id).await.unwrap(), None);
        let refused = store.cancel_task(&acme, id, at(8)).await;
        assert!(matches!(refused, Err(crate::Error::NotFound { what: "task", .. })), "{refused:?}");
        let refused = store.revive_task(&acme, id, at(8)).await;
        assert!(matches!(refused, Err(crate::Error::NotFound { what: "task", .. })), "{refused:?}");
    }
    let listed = store.page_tasks(&acme, None, None, page(10)).await.unwrap().items;
    assert_eq!(super::fixture::ids(&listed), [stored[5], stored[3], stored[2], stored[1]]);
    let count = |priority, state, count| TaskCount { priority, state, count };
    let expected = [
        count(Priority::Interactive, TaskState::Succeeded, 1),
        count(Priority::Normal, TaskState::Waiting, 1),
        count(Priority::Normal, TaskState::Succeeded, 2),
        count(Priority::Normal, TaskState::Dead, 1),
        count(Priority::Normal, TaskState::Cancelled, 1),
    ];
    assert_eq!(store.count_tasks(&acme).await.unwrap(), expected);
    let last = store.queues(Shard::of_tenant(&acme)).await.unwrap().last_place;
    succeed(&store, stored[1], at(9)).await;
    assert_eq!(store.queues(Shard::of_tenant(&acme)).await.unwrap().last_place, last);
    let next = append_one(&store, &acme, task(10)).await;
    assert!(next.place() > last, "a place is not given twice");
}

/// Of several tenants in several shards; a thousand at once.
pub async fn many_attempts_end_in_one_step(store: Shared) {
    let mut stored = Vec::new();
    for text in ["acme", "beta", "default"] {
        let tenant = create(&store, text).await;
        let tasks = (0..400)
            .map(|number| NewTask { keep: (number % 3 == 0).then_some(Duration::ZERO), ..task(number) });
        stored.extend(append(&store, &tenant, tasks.collect()).await);
    }
    let leases = stored.iter().step_by(2).map(|id| super::fixture::lease(*id, 1)).collect();
    assert!(store.record_leases(crate::task::Fence::default(), leases, vec![]).await.unwrap().is_empty());
    let attempts = stored.iter().enumerate();
    let attempts = attempts.map(|(number, id)| Attempt { recorded: number % 2 == 0, ..attempt(*id, 1) });
    let (done, failed): (Vec<_>, Vec<_>) = attempts.partition(|attempt| attempt.task.place() % 5 != 0);
    assert!(done.len() > 900 && failed.len() > 200);
    let (successes, deaths) = (done.len(), failed.len());
    let done = done.into_iter().map(completion).collect();
    let settled = settle(&store, done, failed.into_iter().map(failure).collect(), at(7)).await;
    assert_eq!(settled.accepted, vec![true; 1_200]);
    let mut counts = std::collections::HashMap::new();
    for text in ["acme", "beta", "default"] {
        let tenant = super::fixture::name(text);
        assert!(unfinished(&store, &tenant).await.is_empty() && running(&store, &tenant).await.is_empty());
        for row in store.count_tasks(&tenant).await.unwrap() {
            *counts.entry(row.state).or_insert(0) += usize::try_from(row.count).unwrap();
        }
    }
    assert_eq!(counts, [(TaskState::Succeeded, successes), (TaskState::Dead, deaths)].into());
}
