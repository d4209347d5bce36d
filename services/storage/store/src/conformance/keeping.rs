//! How long finished tasks and keys stay. A store that drops whole partitions may be late, so what has to be gone is
//! looked at days later.

use std::time::Duration;

use tidemill_kernel::{Id, TenantName, Timestamp};

use super::fixture::{
    Shared, append, append_at, at, attempt, completion, create, failure, keyed, page, record, settle, task,
};
use crate::task::{NewTask, TaskState};

const HOUR: Duration = Duration::from_hours(1);
const LATE: Duration = Duration::from_hours(3 * 24);
const MICRO: Duration = Duration::from_micros(1);

/// Sweeps until nothing is left to do.
async fn sweep(store: &Shared, keep: Duration, now: Timestamp) {
    for _ in 0..100 {
        if store.sweep(keep, 1_000, now).await.unwrap() == 0 {
            return;
        }
    }
    panic!("the sweep does not end");
}

async fn listed(store: &Shared, tenant: &TenantName) -> Vec<Id> {
    let mut ids: Vec<Id> = store
        .page_tasks(tenant, None, None, page(100))
        .await
        .unwrap()
        .items
        .iter()
        .map(|task| task.id)
        .collect();
    ids.reverse();
    ids
}

/// One of each ending, and those that have none; all but the first two with a keep of their own.
async fn furnish(store: &Shared, tenant: &TenantName, own: Option<Duration>) -> Vec<Id> {
    let new = |number| NewTask { keep: own, ..task(number) };
    let stored = append(store, tenant, (1..=5).map(new).collect()).await;
    settle(store, vec![completion(attempt(stored[0], 1))], vec![failure(attempt(stored[1], 1))], at(6)).await;
    store.cancel_task(tenant, stored[2], at(6)).await.unwrap();
    record(store, stored[3], 1).await;
    stored
}

/// Not a moment shorter; unfinished tasks stay whatever their age; what is gone can neither be read nor revived.
pub async fn finished_tasks_are_kept_as_long_as_the_store_keeps_tasks(store: Shared) {
    let acme = create(&store, "acme").await;
    let stored = furnish(&store, &acme, None).await;
    let counts = store.count_tasks(&acme).await.unwrap();
    sweep(&store, HOUR, at(6) + HOUR - MICRO).await;
    assert_eq!(listed(&store, &acme).await, stored);
    sweep(&store, HOUR, at(6) + HOUR + LATE).await;
    assert_eq!(listed(&store, &acme).await, stored[3..]);
    for id in &stored[..3] {
        assert_eq!(store.task(&acme, *id).await.unwrap(), None);
        let refused = store.revive_task(&acme, *id, at(9)).await;
        assert!(matches!(refused, Err(crate::Error::NotFound { what: "task", .. })), "{refused:?}");
    }
    assert_eq!(store.count_tasks(&acme).await.unwrap(), counts, "what is gone was there");
    assert_eq!(super::fixture::running(&store, &acme).await.len(), 1);
    settle(&store, vec![completion(attempt(stored[4], 1))], vec![], at(7) + HOUR + LATE).await;
    assert_eq!(store.task(&acme, stored[4]).await.unwrap().unwrap().state, TaskState::Succeeded);
}

/// A success with a time of its own stays that long, be it shorter or longer than the store's; the others do not.
pub async fn a_success_is_kept_as_long_as_it_says(store: Shared) {
    let (acme, beta) = (create(&store, "acme").await, create(&store, "beta").await);
    let (short, long) = (HOUR, LATE * 5);
    let brief = furnish(&store, &acme, Some(short)).await;
    let lasting = furnish(&store, &beta, Some(long)).await;
    sweep(&store, long, at(6) + short - MICRO).await;
    assert_eq!((listed(&store, &acme).await, listed(&store, &beta).await), (brief.clone(), lasting.clone()));
    sweep(&store, long, at(6) + short + LATE).await;
    assert_eq!(
        (listed(&store, &acme).await, listed(&store, &beta).await),
        (brief[1..].to_vec(), lasting.clone())
    );
    sweep(&store, short, at(6) + short + LATE).await;
    let rest = [&lasting[..1], &lasting[3..]].concat();
    assert_eq!(
        (listed(&store, &acme).await, listed(&store, &beta).await),
        (brief[3..].to_vec(), rest.clone())
    );
    sweep(&store, short, at(6) + long - MICRO).await;
    assert_eq!(listed(&store, &beta).await, rest);
    sweep(&store, short, at(6) + long + LATE).await;
    assert_eq!(listed(&store, &beta).await, rest[1..]);
}

/// Each time some, in the end all, be it tasks or keys; 0 says that it is the end.
pub async fn a_sweep_is_bounded(store: Shared) {
    let (acme, beta) = (create(&store, "acme").await, create(&store, "beta").await);
    let finished = append(&store, &beta, (1..=9).map(task).collect()).await;
    let done = finished.iter().map(|id| completion(attempt(*id, 1))).collect();
    settle(&store, done, vec![], at(6)).await;
    let mut steps = 0;
    while !listed(&store, &beta).await.is_empty() {
        let removed = store.sweep(HOUR, 2, at(6) + HOUR + LATE).await.unwrap();
        assert!((1..=2).contains(&removed), "{removed}");
        steps += 1;
    }
    assert!((1..=9).contains(&steps));
    sweep(&store, HOUR, at(6) + HOUR + LATE).await;

    let (keys, now) = (["a", "b", "c", "d", "e"], at(100_000));
    let tasks = (1..).zip(keys).map(|(number, key)| keyed(number, key));
    for id in append(&store, &acme, tasks.collect()).await {
        store.cancel_task(&acme, id, now - HOUR).await.unwrap();
    }
    assert_eq!(store.sweep(LATE, 2, at(1_000) - MICRO).await.unwrap(), 0);
    let mut steps = Vec::new();
    for _ in 0..4 {
        steps.push(store.sweep(LATE, 2, now).await.unwrap());
    }
    assert_eq!(steps, [2, 2, 1, 0]);
    let rows = keys.map(|key| NewTask { key_until: at(900_000), ..keyed(9, key) });
    assert!(append_at(&store, &acme, rows.to_vec(), now).await.iter().all(|row| !row.duplicate));
    assert_eq!(listed(&store, &acme).await.len(), 10, "keys go, tasks stay");
}

/// However long it waits or runs: a second one with its key would be made while it does.
pub async fn the_key_of_a_task_that_has_not_ended_stays(store: Shared) {
    let acme = create(&store, "acme").await;
    let unique = |number, key: &str| NewTask { unique: true, ..keyed(number, key) };
    let tasks = vec![unique(1, "waits"), keyed(2, "runs"), unique(3, "ended")];
    let stored = append(&store, &acme, tasks.clone()).await;
    record(&store, stored[1], 1).await;
    store.cancel_task(&acme, stored[2], at(6)).await.unwrap();
    let long = LATE * 100;
    sweep(&store, long, at(2_000)).await;
    let anew: Vec<NewTask> =
        tasks.into_iter().map(|task| NewTask { key_until: at(900_000), ..task }).collect();
    let rows = append_at(&store, &acme, anew.clone(), at(2_001)).await;
    let duplicates: Vec<bool> = rows.iter().map(|row| row.duplicate).collect();
    assert_eq!((duplicates, rows[0].id, rows[1].id), (vec![true, true, false], stored[0], stored[1]));
    store.cancel_task(&acme, stored[0], at(2_002)).await.unwrap();
    settle(&store, vec![completion(attempt(stored[1], 1))], vec![], at(2_002)).await;
    sweep(&store, long, at(2_003)).await;
    let rows = append_at(&store, &acme, anew, at(2_004)).await;
    let duplicates: Vec<bool> = rows.iter().map(|row| row.duplicate).collect();
    assert_eq!(duplicates, [false, false, true], "the keys of those that have ended are gone");
}

/// A task that was put back is not swept for having been finished once.
pub async fn a_revived_task_is_not_swept(store: Shared) {
    let acme = create(&store, "acme").await;
    let stored = furnish(&store, &acme, None).await;
    store.revive_task(&acme, stored[1], at(7)).await.unwrap();
    store.revive_task(&acme, stored[2], at(7)).await.unwrap();
    sweep(&store, HOUR, at(6) + HOUR + LATE).await;
    assert_eq!(listed(&store, &acme).await, stored[1..]);
    let later = at(8) + HOUR + LATE;
    settle(&store, vec![], vec![failure(attempt(stored[1], 1))], later).await;
    sweep(&store, HOUR, later + HOUR - MICRO).await;
    assert_eq!(listed(&store, &acme).await, stored[1..]);
}
