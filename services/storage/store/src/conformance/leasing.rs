//! Leases made, renewed and given back.

use super::fixture::{Shared, append, at, completion, create, failure, grant, id, lease, start, task};
use crate::task::{Failure, Grant, Task, TaskState};

/// The answer is in the order asked; what does not wait is left out.
pub async fn a_waiting_task_is_leased_once(store: Shared) {
    let acme = create(&store, "acme").await;
    append(&store, &acme, vec![task(1), task(2), task(3)]).await;
    start(&store, task(3).id, 3).await;
    let grants = vec![grant(task(2).id, 2), grant(id(404), 9), grant(task(3).id, 4), grant(task(1).id, 1)];
    let leased = store.lease_tasks(grants, at(30), at(10)).await.unwrap();
    let running = |number| Task {
        state: TaskState::Running,
        attempt: 1,
        started_at: Some(at(10)),
        worker: "worker-1".to_owned(),
        ..Task::stored(task(number), acme.clone(), at(2))
    };
    let expected = [(running(2), lease(task(2).id, 2).token), (running(1), lease(task(1).id, 1).token)];
    assert_eq!(leased, expected);
    assert_eq!(store.task(&acme, task(2).id).await.unwrap(), Some(running(2)));
    let running = store.load_running(0, 10).await.unwrap();
    let ends: Vec<_> = running.iter().map(|row| (row.waiting.id, row.expires_at)).collect();
    assert_eq!(ends, [(task(1).id, at(30)), (task(2).id, at(30)), (task(3).id, at(14))]);
}

/// A wrong token, a task that does not run and an unknown one are told as lost.
pub async fn a_lease_can_be_renewed_while_it_is_valid(store: Shared) {
    let acme = create(&store, "acme").await;
    append(&store, &acme, vec![task(1), task(2)]).await;
    let held = start(&store, task(1).id, 1).await;
    let leases = vec![lease(id(404), 1), held, lease(task(1).id, 2), lease(task(2).id, 1)];
    let lost = store.renew_leases(leases, at(60)).await.unwrap();
    assert_eq!(lost, [id(404), task(1).id, task(2).id]);
    assert_eq!(store.load_running(0, 10).await.unwrap()[0].expires_at, at(60));
    store.settle_tasks(vec![completion(held)], vec![], at(20)).await.unwrap();
    assert_eq!(store.renew_leases(vec![held], at(90)).await.unwrap(), [task(1).id]);
}

/// The attempt is not counted; the lease is void.
pub async fn a_released_task_waits_as_if_never_started(store: Shared) {
    let acme = create(&store, "acme").await;
    append(&store, &acme, vec![task(1)]).await;
    let before = store.task(&acme, task(1).id).await.unwrap();
    let held = start(&store, task(1).id, 1).await;
    let waiting = store.release_leases(vec![lease(task(1).id, 7), held, held], at(6)).await.unwrap();
    assert_eq!(waiting, store.load_new(0, 10).await.unwrap());
    assert_eq!((waiting.len(), waiting[0].id, waiting[0].run_at), (1, task(1).id, at(3)));
    assert_eq!(store.task(&acme, task(1).id).await.unwrap(), before);
    assert_eq!(store.settle_tasks(vec![completion(held)], vec![], at(7)).await.unwrap().accepted, [false]);

    let second = start(&store, task(1).id, 2).await;
    let retry = Failure { retry_at: Some(at(8)), ..failure(second) };
    store.settle_tasks(vec![], vec![retry], at(7)).await.unwrap();
    let third = start(&store, task(1).id, 3).await;
    assert_eq!(store.load_running(0, 1).await.unwrap()[0].attempt, 2);
    store.release_leases(vec![third], at(9)).await.unwrap();
    assert_eq!(store.task(&acme, task(1).id).await.unwrap().unwrap().attempt, 1);
}

/// Also within a batch.
pub async fn the_first_of_two_grants_wins(store: Shared) {
    let acme = create(&store, "acme").await;
    append(&store, &acme, vec![task(1)]).await;
    let other = Grant { worker: "worker-2".to_owned(), ..grant(task(1).id, 2) };
    let leased = store.lease_tasks(vec![grant(task(1).id, 1), other], at(14), at(4)).await.unwrap();
    assert_eq!(leased.len(), 1);
    assert_eq!((leased[0].0.worker.as_str(), leased[0].0.attempt), ("worker-1", 1));
    let settled = [lease(task(1).id, 2), lease(task(1).id, 1)].map(completion).to_vec();
    assert_eq!(store.settle_tasks(settled, vec![], at(5)).await.unwrap().accepted, [false, true]);
}
