//! Fences: what an owner decided counts for nothing once his shard has changed hands.

use tidemill_kernel::{Id, Shard, TenantName};

use super::fixture::{
    Shared, append, at, attempt, claim, completion, create, failure, keyed, lease, read, record, running,
    settle, task, unfinished,
};
use crate::Error;
use crate::task::{Claim, Completion, Failure, Fence, Progress, TaskState};

async fn take(store: &Shared, owner: &str, pairs: Vec<(Shard, i64)>, second: i64) {
    store.claim_shards(Claim { take: pairs, force: true, ..claim(owner) }, at(second)).await.unwrap();
}

/// What the tenants have, all of it that a step under a fence could change.
async fn everything(store: &Shared, tenants: &[&TenantName]) -> String {
    let mut seen = String::new();
    for tenant in tenants {
        let tasks = store.page_tasks(tenant, None, None, super::fixture::page(100)).await.unwrap().items;
        let counts = store.count_tasks(tenant).await.unwrap();
        let queues = store.queues(Shard::of_tenant(tenant)).await.unwrap();
        let running = running(store, tenant).await;
        seen += &format!("{tasks:#?} {counts:?} {queues:?} {running:?}");
    }
    seen
}

/// Tries each step under a fence; it is refused and nothing is changed, not even a key taken.
async fn refuses(store: &Shared, tenants: &[&TenantName], tasks: &[Id], fence: &Fence, wrong: (Shard, i64)) {
    let before = everything(store, tenants).await;
    let expected = Error::Fenced { shard: wrong.0.number(), epoch: wrong.1 };
    let follow_ups = vec![task(50), keyed(51, "followed")];
    let completions = vec![Completion { follow_ups, ..completion(attempt(tasks[0], 1)) }];
    let failures = vec![
        failure(attempt(tasks[1], 1)),
        Failure { retry_at: Some(at(9)), ..failure(attempt(tasks[2], 1)) },
    ];
    let settled = store.settle_tasks(fence.clone(), completions, failures, at(8)).await;
    assert_eq!(settled, Err(expected.clone()));
    let leases = vec![lease(tasks[0], 7), lease(tasks[1], 8)];
    let recorded = store.record_leases(fence.clone(), leases, vec![tasks[2]]).await;
    assert_eq!(recorded, Err(expected.clone()));
    let progress = tasks.iter().map(|task| Progress {
        task: *task,
        progress: "far".to_owned(),
        checkpoint: Some(vec![1]),
    });
    assert_eq!(store.save_progress(fence.clone(), progress.collect()).await, Err(expected));
    assert_eq!(everything(store, tenants).await, before);
    for tenant in tenants {
        assert!(unfinished(store, tenant).await.iter().all(|task| task.new.key != "followed"));
    }
}

/// Nothing at all, whether the epoch is one that was or one that never was.
pub async fn a_passed_fence_changes_nothing_at_all(store: Shared) {
    let acme = create(&store, "acme").await;
    let shard = Shard::of_tenant(&acme);
    let tasks = append(&store, &acme, (1..=3).map(task).collect()).await;
    record(&store, tasks[2], 1).await;
    take(&store, "a", vec![(shard, 0)], 1).await;
    take(&store, "b", vec![(shard, 1)], 2).await;
    for epoch in [0, 1, 3] {
        refuses(&store, &[&acme], &tasks, &Fence(vec![(shard, epoch)]), (shard, epoch)).await;
    }
    let fence = Fence(vec![(shard, 2)]);
    let done = vec![completion(attempt(tasks[0], 1))];
    let settled = store.settle_tasks(fence.clone(), done, vec![], at(9)).await.unwrap();
    assert_eq!(settled.accepted, [true]);
    store.record_leases(fence.clone(), vec![lease(tasks[1], 2)], vec![tasks[2]]).await.unwrap();
    let progress = Progress { task: tasks[2], progress: "half".to_owned(), checkpoint: None };
    store.save_progress(fence, vec![progress]).await.unwrap();
    let states: Vec<_> =
        unfinished(&store, &acme).await.into_iter().map(|task| (task.state, task.progress)).collect();
    assert_eq!(states, [(TaskState::Running, String::new()), (TaskState::Waiting, "half".to_owned())]);
}

/// One that has moved on refuses the tasks of all, wherever it stands in the fence.
pub async fn a_fence_of_several_shards_needs_all(store: Shared) {
    let (acme, beta) = (create(&store, "acme").await, create(&store, "default").await);
    let (one, other) = (Shard::of_tenant(&acme), Shard::of_tenant(&beta));
    assert_ne!(one, other);
    let mut tasks = append(&store, &acme, vec![task(1)]).await;
    tasks.extend(append(&store, &beta, vec![task(2), task(3)]).await);
    take(&store, "a", vec![(one, 0), (other, 0)], 1).await;
    take(&store, "b", vec![(other, 1)], 2).await;
    for pairs in [vec![(one, 1), (other, 1)], vec![(other, 1), (one, 1)]] {
        refuses(&store, &[&acme, &beta], &tasks, &Fence(pairs), (other, 1)).await;
    }
    let fence = Fence(vec![(other, 2), (one, 1)]);
    let done = tasks.iter().map(|task| completion(attempt(*task, 1))).collect();
    let settled = store.settle_tasks(fence, done, vec![], at(9)).await.unwrap();
    assert_eq!(settled.accepted, [true; 3]);
}

/// Only the epoch counts: before anybody took the shard, after its time, after it was given up, until it is taken.
pub async fn a_fence_holds_until_the_shard_is_taken(store: Shared) {
    let acme = create(&store, "acme").await;
    let shard = Shard::of_tenant(&acme);
    let tasks = append(&store, &acme, (1..=4).map(task).collect()).await;
    let end = async |number: usize, epoch, second| {
        let done = vec![completion(attempt(tasks[number], 1))];
        store.settle_tasks(Fence(vec![(shard, epoch)]), done, vec![], at(second)).await
    };
    assert_eq!(end(0, 0, 1).await.unwrap().accepted, [true]);
    take(&store, "a", vec![(shard, 0)], 2).await;
    assert_eq!(end(1, 1, 500).await.unwrap().accepted, [true]);
    let leave = Claim { leave: vec![(shard, 1)], ..claim("a") };
    store.claim_shards(leave, at(501)).await.unwrap();
    assert_eq!(end(2, 1, 502).await.unwrap().accepted, [true]);
    take(&store, "b", vec![(shard, 1)], 503).await;
    let refused = end(3, 1, 504).await;
    assert!(matches!(refused, Err(Error::Fenced { epoch: 1, .. })), "{refused:?}");
    assert_eq!(read(&store, &acme, tasks[3]).await.state, TaskState::Waiting);
    assert_eq!(end(3, 2, 505).await.unwrap().accepted, [true]);
}

/// Appending, cancelling and reviving are anybody's, whoever has the shard.
pub async fn steps_of_a_tenant_need_no_fence(store: Shared) {
    let acme = create(&store, "acme").await;
    take(&store, "a", vec![(Shard::of_tenant(&acme), 0)], 1).await;
    let tasks = append(&store, &acme, vec![task(1)]).await;
    store.cancel_task(&acme, tasks[0], at(3)).await.unwrap();
    store.revive_task(&acme, tasks[0], at(4)).await.unwrap();
    let settled = settle(&store, vec![completion(attempt(tasks[0], 1))], vec![], at(5)).await;
    assert_eq!(settled.accepted, [true], "a fence without shards relies on nothing");
}
