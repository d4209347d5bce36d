//! Tasks cancelled, put back and moved to another priority by hand.

use tidemill_kernel::Priority;

use super::fixture::{
    Shared, append, append_one, at, attempt, completion, create, failure, id, ids, moved, read, record,
    running, settle, succeed, task, unfinished, unknown,
};
use crate::Error;
use crate::task::{Failure, NewTask, Task, TaskState};

/// Waiting and running ones become cancelled; again is no error; finished ones are refused.
pub async fn only_unfinished_tasks_can_be_cancelled(store: Shared) {
    let acme = create(&store, "acme").await;
    let stored = append(&store, &acme, (1..=5).map(task).collect()).await;
    record(&store, stored[1], 2).await;
    let failures = vec![
        failure(attempt(stored[3], 1)),
        Failure { retry_at: Some(at(9)), ..failure(attempt(stored[4], 1)) },
    ];
    settle(&store, vec![completion(attempt(stored[2], 1))], failures, at(6)).await;
    let expected = Task {
        state: TaskState::Cancelled,
        finished_at: Some(at(7)),
        ..Task::stored(stored[0], task(1), acme.clone())
    };
    assert_eq!(store.cancel_task(&acme, stored[0], at(7)).await.unwrap(), expected);
    assert_eq!(store.cancel_task(&acme, stored[0], at(8)).await.unwrap(), expected);
    assert_eq!(read(&store, &acme, stored[0]).await, expected);
    let running = store.cancel_task(&acme, stored[1], at(7)).await.unwrap();
    assert_eq!((running.state, running.attempt), (TaskState::Cancelled, 1));
    let retried = store.cancel_task(&acme, stored[4], at(7)).await.unwrap();
    assert_eq!(
        (retried.state, retried.attempt, retried.error.as_str()),
        (TaskState::Cancelled, 1, "no luck")
    );
    assert!(unfinished(&store, &acme).await.is_empty());
    for (number, state) in [(2, "succeeded"), (3, "dead")] {
        let before = read(&store, &acme, stored[number]).await;
        let refused = store.cancel_task(&acme, stored[number], at(8)).await;
        let Err(Error::WrongState { state: named, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(named, state);
        assert_eq!(read(&store, &acme, stored[number]).await, before);
    }
}

/// Dead and cancelled ones wait again at their old places, as if never started; the last error stays.
pub async fn only_given_up_tasks_can_be_revived(store: Shared) {
    let acme = create(&store, "acme").await;
    let full = NewTask { keep: Some(std::time::Duration::ZERO), options: vec![16, 7], ..task(1) };
    let stored = append(&store, &acme, vec![full.clone(), task(2), task(3), task(4), task(5)]).await;
    let dead = record(&store, stored[0], 1).await;
    succeed(&store, stored[2], at(6)).await;
    settle(&store, vec![], vec![failure(dead)], at(6)).await;
    record(&store, stored[1], 2).await;
    store.cancel_task(&acme, stored[1], at(6)).await.unwrap();
    record(&store, stored[3], 4).await;

    let revived = store.revive_task(&acme, stored[0], at(20)).await.unwrap();
    let new = NewTask { run_at: at(20), ..full };
    let expected = Task { error: "no luck".to_owned(), ..Task::stored(stored[0], new, acme.clone()) };
    assert_eq!(revived, expected);
    assert_eq!(read(&store, &acme, stored[0]).await, expected);
    let second = store.revive_task(&acme, stored[1], at(21)).await.unwrap();
    let new = NewTask { run_at: at(21), ..task(2) };
    assert_eq!(second, Task::stored(stored[1], new, acme.clone()));
    let waiting = unfinished(&store, &acme).await;
    assert_eq!((waiting.len(), &waiting[0], &waiting[1]), (4, &expected, &second));

    for (number, state) in [(0, "waiting"), (2, "succeeded"), (3, "running"), (4, "waiting")] {
        let refused = store.revive_task(&acme, stored[number], at(22)).await;
        let Err(Error::WrongState { state: named, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(named, state);
    }
    assert_eq!(running(&store, &acme).await.len(), 1);
    succeed(&store, stored[1], at(23)).await;
    assert_eq!(read(&store, &acme, stored[1]).await.finished_at, Some(at(23)));
}

/// Given up and put back time and again, it is one task at one place, counted once.
pub async fn a_task_can_be_revived_again_and_again(store: Shared) {
    let acme = create(&store, "acme").await;
    let id = append_one(&store, &acme, task(1)).await;
    for round in 0..4 {
        let second = 10 * (round + 1);
        if round % 2 == 0 {
            settle(&store, vec![], vec![failure(record(&store, id, 1).await)], at(second)).await;
        } else {
            store.cancel_task(&acme, id, at(second)).await.unwrap();
        }
        let count = store.count_tasks(&acme).await.unwrap();
        assert_eq!((count.len(), count[0].count), (1, 1));
        assert!(matches!(count[0].state, TaskState::Dead | TaskState::Cancelled));
        assert!(unfinished(&store, &acme).await.is_empty() && running(&store, &acme).await.is_empty());
        store.revive_task(&acme, id, at(second + 1)).await.unwrap();
        let count = store.count_tasks(&acme).await.unwrap();
        assert_eq!((count.len(), count[0].state, count[0].count), (1, TaskState::Waiting, 1));
        assert_eq!(ids(&unfinished(&store, &acme).await), [id]);
    }
}

/// It waits where its age says in the other queue, and nowhere else; what runs goes on running; counts follow.
pub async fn an_unfinished_task_moves_to_another_priority_and_keeps_its_place(store: Shared) {
    let acme = create(&store, "acme").await;
    let other = |number| NewTask { priority: Priority::Background, ..task(number) };
    let stored = append(&store, &acme, vec![other(1), task(2), other(3), task(4)]).await;
    record(&store, stored[3], 4).await;
    let before = read(&store, &acme, stored[1]).await;
    let moved = store.prioritise_task(&acme, stored[1], Priority::Background).await.unwrap();
    let mut expected = before;
    expected.new.priority = Priority::Background;
    assert_eq!(moved, expected);
    assert_eq!(read(&store, &acme, stored[1]).await, expected);
    assert_eq!(
        store.prioritise_task(&acme, stored[1], Priority::Background).await.unwrap(),
        expected,
        "again"
    );
    let running_one = store.prioritise_task(&acme, stored[3], Priority::Background).await.unwrap();
    assert_eq!((running_one.state, running_one.attempt), (TaskState::Running, 1));
    let queue = async |priority| {
        let kind = task(1).kind;
        ids(&store.load_waiting(&acme, priority, &kind, 0, 10).await.unwrap())
    };
    assert_eq!(queue(task(2).priority).await, []);
    assert_eq!(queue(Priority::Background).await, stored, "in the order of their places");
    assert_eq!(ids(&unfinished(&store, &acme).await), stored);
    assert_eq!(running(&store, &acme).await.len(), 1);
    let counts = async || {
        let counts = store.count_tasks(&acme).await.unwrap().into_iter();
        counts.map(|count| (count.priority, count.state, count.count)).collect::<Vec<_>>()
    };
    let background = Priority::Background;
    assert_eq!(counts().await, [(background, TaskState::Waiting, 3), (background, TaskState::Running, 1)]);
    let depths = store.queues(tidemill_kernel::Shard::of_tenant(&acme)).await.unwrap().depths;
    assert_eq!(
        depths.iter().map(|depth| (depth.priority, depth.waiting)).collect::<Vec<_>>(),
        [(background, 3)]
    );
    succeed(&store, stored[1], at(7)).await;
    let cancelled = store.cancel_task(&acme, stored[3], at(7)).await.unwrap();
    assert_eq!(cancelled.new.priority, background);
    store.revive_task(&acme, stored[3], at(8)).await.unwrap();
    assert_eq!(counts().await, [(background, TaskState::Waiting, 3), (background, TaskState::Succeeded, 1)]);
}

/// Whatever its end was; and it stays as it is.
pub async fn a_finished_task_has_no_priority_to_change(store: Shared) {
    let acme = create(&store, "acme").await;
    let stored = append(&store, &acme, (1..=3).map(task).collect()).await;
    settle(&store, vec![completion(attempt(stored[0], 1))], vec![failure(attempt(stored[1], 1))], at(6))
        .await;
    store.cancel_task(&acme, stored[2], at(6)).await.unwrap();
    for (number, state) in [(0, "succeeded"), (1, "dead"), (2, "cancelled")] {
        let before = read(&store, &acme, stored[number]).await;
        for priority in Priority::ALL {
            let refused = store.prioritise_task(&acme, stored[number], priority).await;
            let Err(Error::WrongState { state: named, .. }) = refused else { panic!("{refused:?}") };
            assert_eq!(named, state);
        }
        assert_eq!(read(&store, &acme, stored[number]).await, before);
    }
}

/// It is told by name; the right place at another moment is as unknown as any.
pub async fn an_unknown_task_cannot_be_steered(store: Shared) {
    let acme = create(&store, "acme").await;
    let stored = append(&store, &acme, vec![task(1), task(2)]).await;
    settle(&store, vec![], vec![failure(attempt(stored[1], 1))], at(6)).await;
    for unknown in [id(404), unknown(&acme), moved(stored[0]), moved(stored[1])] {
        let cancelled = store.cancel_task(&acme, unknown, at(7)).await;
        let revived = store.revive_task(&acme, unknown, at(7)).await;
        let moved = store.prioritise_task(&acme, unknown, Priority::Normal).await;
        for refused in [cancelled, revived, moved] {
            let Err(Error::NotFound { what: "task", name }) = refused else { panic!("{refused:?}") };
            assert_eq!(name, unknown.to_string());
        }
    }
    assert_eq!(read(&store, &acme, stored[0]).await.state, TaskState::Waiting);
    assert_eq!(read(&store, &acme, stored[1]).await.state, TaskState::Dead);
}
