//! Tasks cancelled and put back by hand.

use super::fixture::{Shared, append, at, completion, create, failure, id, start, task};
use crate::Error;
use crate::task::{Task, TaskState};

/// Waiting and running ones become cancelled; again is no error; finished ones are refused.
pub async fn only_unfinished_tasks_can_be_cancelled(store: Shared) {
    let acme = create(&store, "acme").await;
    append(&store, &acme, (1..=4).map(task).collect()).await;
    let leases = [start(&store, task(2).id, 2).await, start(&store, task(3).id, 3).await];
    let dead = start(&store, task(4).id, 4).await;
    store.settle_tasks(vec![completion(leases[1])], vec![failure(dead)], at(6)).await.unwrap();
    let expected = Task {
        state: TaskState::Cancelled,
        finished_at: Some(at(7)),
        ..Task::stored(task(1), acme.clone(), at(2))
    };
    assert_eq!(store.cancel_task(&acme, task(1).id, at(7)).await.unwrap(), expected);
    assert_eq!(store.cancel_task(&acme, task(1).id, at(8)).await.unwrap(), expected);
    assert_eq!(store.task(&acme, task(1).id).await.unwrap(), Some(expected));
    let running = store.cancel_task(&acme, task(2).id, at(7)).await.unwrap();
    assert_eq!((running.state, running.attempt), (TaskState::Cancelled, 1));
    for (number, state) in [(3, "succeeded"), (4, "dead")] {
        let refused = store.cancel_task(&acme, task(number).id, at(8)).await;
        let Err(Error::WrongState { state: named, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(named, state);
    }
}

/// What its worker sends later does not count.
pub async fn a_cancelled_lease_is_void(store: Shared) {
    let acme = create(&store, "acme").await;
    append(&store, &acme, vec![task(1)]).await;
    let held = start(&store, task(1).id, 1).await;
    store.cancel_task(&acme, task(1).id, at(5)).await.unwrap();
    assert_eq!(store.renew_leases(vec![held], at(50)).await.unwrap(), [task(1).id]);
    assert!(store.release_leases(vec![held], at(6)).await.unwrap().is_empty());
    let settled = store.settle_tasks(vec![completion(held)], vec![failure(held)], at(6)).await.unwrap();
    assert_eq!(settled.accepted, [false, false]);
    assert!(
        store.lease_tasks(vec![super::fixture::grant(task(1).id, 2)], at(9), at(6)).await.unwrap().is_empty()
    );
    assert_eq!(store.task(&acme, task(1).id).await.unwrap().unwrap().state, TaskState::Cancelled);
}

/// Dead and cancelled ones wait again with all attempts before them; the last error stays.
pub async fn only_given_up_tasks_can_be_revived(store: Shared) {
    let acme = create(&store, "acme").await;
    append(&store, &acme, (1..=4).map(task).collect()).await;
    let dead = start(&store, task(1).id, 1).await;
    let done = start(&store, task(3).id, 3).await;
    store.settle_tasks(vec![completion(done)], vec![failure(dead)], at(6)).await.unwrap();
    store.cancel_task(&acme, task(2).id, at(6)).await.unwrap();
    start(&store, task(4).id, 4).await;

    let (revived, waiting) = store.revive_task(&acme, task(1).id, at(20)).await.unwrap();
    let mut expected = Task { error: "no luck".to_owned(), ..Task::stored(task(1), acme.clone(), at(2)) };
    expected.new.run_at = at(20);
    assert_eq!(revived, expected);
    assert_eq!(store.task(&acme, task(1).id).await.unwrap(), Some(expected));
    store.revive_task(&acme, task(2).id, at(21)).await.unwrap();
    let new = store.load_new(0, 10).await.unwrap();
    assert_eq!((new.len(), &new[0]), (2, &waiting));
    assert_eq!(new[1].run_at, at(21));

    for (number, state) in [(1, "waiting"), (3, "succeeded"), (4, "running")] {
        let refused = store.revive_task(&acme, task(number).id, at(22)).await;
        let Err(Error::WrongState { state: named, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(named, state);
    }
    start(&store, task(1).id, 9).await;
    assert_eq!(store.load_running(0, 10).await.unwrap()[0].attempt, 1);
}

/// It is told by name.
pub async fn an_unknown_task_cannot_be_steered(store: Shared) {
    let acme = create(&store, "acme").await;
    let refused = store.cancel_task(&acme, id(404), at(1)).await;
    assert!(matches!(refused, Err(Error::NotFound { what: "task", .. })), "{refused:?}");
    let refused = store.revive_task(&acme, id(404), at(1)).await;
    assert!(matches!(refused, Err(Error::NotFound { what: "task", .. })), "{refused:?}");
}
