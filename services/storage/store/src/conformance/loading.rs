//! What a shard's owner reads of the log: its queues, and whole tasks in their order.

use tidemill_kernel::{Id, Priority, Shard, TenantName};

use super::fixture::{
    Shared, append, append_one, at, attempt, create, failure, ids, lease, moved, record, settle, succeed,
    task, unknown,
};
use crate::page::LOAD_BYTES;
use crate::task::{Failure, Fence, NewTask, Progress, QueueDepth, Task, TaskState};

fn of(number: u128, kind: &str, priority: Priority) -> NewTask {
    NewTask { kind: kind.to_owned(), priority, ..task(number) }
}

/// Two tenants of one shard and one of another.
async fn three(store: &Shared) -> [TenantName; 3] {
    let of = Shard::of_tenant;
    let acme = create(store, "acme").await;
    let names = || (0..).map(|number| super::fixture::name(&format!("n{number}")));
    let near = names().find(|name| of(name) == of(&acme)).unwrap();
    let far = names().find(|name| of(name) != of(&acme)).unwrap();
    create(store, near.as_str()).await;
    create(store, far.as_str()).await;
    [acme, near, far]
}

fn start(tenant: &TenantName) -> i64 {
    Shard::of_tenant(tenant).place(0)
}

/// By tenant, priority and kind, of one shard; what is recorded as running does not wait, and empty ones are left out.
pub async fn queues_tell_how_many_wait(store: Shared) {
    let [acme, near, far] = three(&store).await;
    let tasks = vec![
        of(1, "analyze", Priority::Normal),
        of(2, "analyze", Priority::Normal),
        of(3, "analyze", Priority::Background),
        of(4, "collect", Priority::Normal),
        of(5, "analyze", Priority::Normal),
        of(6, "render", Priority::Normal),
    ];
    let stored = append(&store, &acme, tasks).await;
    append_one(&store, &near, of(7, "analyze", Priority::Normal)).await;
    let other = append_one(&store, &far, of(8, "analyze", Priority::Normal)).await;
    record(&store, stored[0], 1).await;
    record(&store, stored[3], 4).await;
    succeed(&store, stored[5], at(6)).await;
    let retry = Failure { retry_at: Some(at(9_999)), ..failure(attempt(stored[4], 1)) };
    settle(&store, vec![], vec![retry], at(6)).await;
    let depth = |tenant: &TenantName, priority, waiting| QueueDepth {
        tenant: tenant.clone(),
        priority,
        kind: "analyze".to_owned(),
        waiting,
    };
    let mut queues = store.queues(Shard::of_tenant(&acme)).await.unwrap();
    queues.depths.sort();
    let mut expected = [
        depth(&acme, Priority::Normal, 2),
        depth(&acme, Priority::Background, 1),
        depth(&near, Priority::Normal, 1),
    ];
    expected.sort();
    assert_eq!(queues.depths, expected);
    let queues = store.queues(Shard::of_tenant(&far)).await.unwrap();
    assert_eq!((queues.depths, queues.last_place), (vec![depth(&far, Priority::Normal, 1)], other.place()));
    let of_far = store.depths(&[Shard::of_tenant(&far)]).await.unwrap();
    assert_eq!(of_far, [depth(&far, Priority::Normal, 1)]);
    let mut all = store.depths(&Shard::all().collect::<Vec<_>>()).await.unwrap();
    all.sort();
    let mut expected = [&expected[..], &of_far].concat();
    expected.sort();
    assert_eq!(all, expected);
    assert_eq!(store.depths(&[]).await.unwrap(), []);
}

/// Behind every place that is there, before every place to come, also when the last task is gone.
pub async fn the_last_place_is_behind_all_that_were_given(store: Shared) {
    let acme = create(&store, "acme").await;
    let shard = Shard::of_tenant(&acme);
    let mut last = shard.place(0);
    for number in 1..=5 {
        let new = NewTask { keep: Some(std::time::Duration::ZERO), ..super::fixture::keyed(number, "k") };
        let id = append_one(&store, &acme, NewTask { key: format!("k{number}"), ..new.clone() }).await;
        assert!(id.place() > last);
        last = store.queues(shard).await.unwrap().last_place;
        assert!(id.place() <= last && shard.places().contains(&last));
        assert!(store.load_new(shard, last, 10).await.unwrap().is_empty());
        if number % 2 == 0 {
            succeed(&store, id, at(6)).await;
            assert_eq!(store.queues(shard).await.unwrap().last_place, last);
        }
    }
}

/// One queue, after a place, up to a limit; recorded ones too; a task that waits again keeps its place.
pub async fn a_queue_loads_in_order(store: Shared) {
    let [acme, near, _] = three(&store).await;
    let mut tasks = vec![of(1, "collect", Priority::Normal)];
    tasks.extend((2..=6).map(|number| of(number, "analyze", Priority::Normal)));
    tasks.push(of(7, "analyze", Priority::Interactive));
    let stored = append(&store, &acme, tasks).await;
    append_one(&store, &near, of(8, "analyze", Priority::Normal)).await;
    record(&store, stored[2], 3).await;
    let load = async |after, limit| -> Vec<Task> {
        store.load_waiting(&acme, Priority::Normal, "analyze", after, limit).await.unwrap()
    };
    let rows = load(start(&acme), 10).await;
    assert_eq!(ids(&rows), stored[1..6]);
    let new = of(2, "analyze", Priority::Normal);
    assert_eq!((&rows[0], rows[1].state), (&Task::stored(stored[1], new, acme.clone()), TaskState::Running));
    assert_eq!(ids(&load(rows[0].id.place(), 2).await), stored[2..4]);
    assert!(load(stored[5].place(), 2).await.is_empty());
    succeed(&store, stored[3], at(6)).await;
    let retry = Failure { retry_at: Some(at(99)), ..failure(attempt(stored[1], 1)) };
    settle(&store, vec![], vec![retry, failure(attempt(stored[4], 1))], at(6)).await;
    assert_eq!(ids(&load(start(&acme), 10).await), [stored[1], stored[2], stored[5]]);
    store.revive_task(&acme, stored[4], at(7)).await.unwrap();
    assert_eq!(ids(&load(start(&acme), 3).await), [stored[1], stored[2], stored[4]]);
    assert!(
        store.load_waiting(&acme, Priority::Normal, "simulate", start(&acme), 9).await.unwrap().is_empty()
    );
}

/// All tenants of the shard together, after a place, up to a limit; recorded ones too.
pub async fn new_tasks_of_a_shard_load_in_order(store: Shared) {
    let [acme, near, far] = three(&store).await;
    let shard = Shard::of_tenant(&acme);
    let mut stored = append(&store, &acme, vec![task(1), task(2)]).await;
    stored.extend(append(&store, &near, vec![task(3), task(4)]).await);
    let other = append_one(&store, &far, task(9)).await;
    stored.extend(append(&store, &acme, vec![task(5)]).await);
    assert!(stored.is_sorted_by_key(|id| id.place()), "places of a shard rise across its tenants");
    record(&store, stored[3], 4).await;
    let new = store.load_new(shard, shard.place(0), 10).await.unwrap();
    assert_eq!(ids(&new), stored);
    assert_eq!((&new[0].tenant, &new[2].tenant, new[3].state), (&acme, &near, TaskState::Running));
    assert_eq!(store.load_new(shard, new[1].id.place(), 2).await.unwrap(), new[2..4]);
    assert_eq!(ids(&store.load_new(Shard::of_tenant(&far), start(&far), 10).await.unwrap()), [other]);
    succeed(&store, stored[2], at(6)).await;
    store.cancel_task(&acme, stored[0], at(6)).await.unwrap();
    let rest = store.load_new(shard, shard.place(0), 10).await.unwrap();
    assert_eq!(rest, [new[1].clone(), new[3].clone(), new[4].clone()]);
}

/// With their tokens, after a place, up to a limit, of one shard.
pub async fn running_tasks_of_a_shard_load_in_order(store: Shared) {
    let [acme, near, far] = three(&store).await;
    let shard = Shard::of_tenant(&acme);
    let mut stored = append(&store, &acme, (1..=3).map(task).collect()).await;
    stored.extend(append(&store, &near, vec![task(4), task(5)]).await);
    let other = append_one(&store, &far, task(6)).await;
    for (token, number) in [(7, 4), (8, 0), (9, 2)] {
        record(&store, stored[number], token).await;
    }
    record(&store, other, 10).await;
    let pairs = async |after, limit| -> Vec<(Id, Id)> {
        let running = store.load_running(shard, after, limit).await.unwrap();
        running.into_iter().map(|(task, token)| (task.id, token)).collect()
    };
    let pair = |number: usize, token| (stored[number], lease(stored[number], token).token);
    assert_eq!(pairs(shard.place(0), 10).await, [pair(0, 8), pair(2, 9), pair(4, 7)]);
    assert_eq!(pairs(shard.place(0), 2).await, [pair(0, 8), pair(2, 9)]);
    assert_eq!(pairs(stored[2].place(), 2).await, [pair(4, 7)]);
    succeed(&store, stored[1], at(6)).await;
    store.cancel_task(&near, stored[4], at(6)).await.unwrap();
    assert_eq!(pairs(stored[0].place(), 10).await, [pair(2, 9)]);
}

/// By their ids, of any shards; those that are finished or unknown are left out.
pub async fn single_tasks_load_by_their_ids(store: Shared) {
    let [acme, _, far] = three(&store).await;
    let mut stored = append(&store, &acme, (1..=4).map(task).collect()).await;
    stored.push(append_one(&store, &far, task(5)).await);
    record(&store, stored[1], 2).await;
    succeed(&store, stored[2], at(6)).await;
    let asked = vec![stored[4], stored[2], unknown(&acme), moved(stored[0]), stored[1], stored[3]];
    let mut loaded = store.load_tasks(asked).await.unwrap();
    loaded.sort_by_key(|task| task.new.payload.clone());
    assert_eq!(ids(&loaded), [stored[1], stored[3], stored[4]]);
    assert_eq!(
        (loaded[0].state, &loaded[2]),
        (TaskState::Running, &Task::stored(stored[4], task(5), far.clone()))
    );
}

/// Whatever makes the tasks large, no load brings much more than it may; all come in the end, small ones at once.
pub async fn loads_are_bounded_in_bytes(store: Shared) {
    let acme = create(&store, "acme").await;
    let shard = Shard::of_tenant(&acme);
    // As large as a payload may be on its way to a service.
    let large = LOAD_BYTES / 16;
    let mut stored = Vec::new();
    for number in 0..48_u128 {
        let mut new = task(number);
        if number % 3 < 2 {
            new.payload = "x".repeat(large);
        }
        let id = append_one(&store, &acme, new).await;
        if number % 3 == 2 {
            let row = Progress { task: id, progress: String::new(), checkpoint: Some(vec![9; large]) };
            store.save_progress(Fence::default(), vec![row]).await.unwrap();
        }
        record(&store, id, number).await;
        stored.push(id);
    }
    stored.extend(append(&store, &acme, (100..200).map(task).collect()).await);
    let check = |loaded: &[Task]| {
        let bytes: usize = loaded.iter().map(Task::bytes).sum();
        assert!(!loaded.is_empty());
        assert!(loaded.len() == 1 || bytes <= LOAD_BYTES + large * 2, "{bytes}");
    };
    let (mut seen, mut after) = ([Vec::new(), Vec::new(), Vec::new()], [shard.place(0); 3]);
    for _ in 0..stored.len() {
        let queue = store.load_waiting(&acme, Priority::Normal, "analyze", after[0], 1_000).await.unwrap();
        let new = store.load_new(shard, after[1], 1_000).await.unwrap();
        let running = store.load_running(shard, after[2], 1_000).await.unwrap();
        let running = running.into_iter().map(|(task, _)| task).collect();
        for (number, loaded) in [queue, new, running].into_iter().enumerate() {
            if let Some(last) = loaded.last() {
                check(&loaded);
                after[number] = last.id.place();
                seen[number].extend(ids(&loaded));
            }
        }
    }
    assert_eq!(seen, [stored.clone(), stored.clone(), stored[..48].to_vec()]);
    let mut missing = stored.clone();
    while !missing.is_empty() {
        let loaded = store.load_tasks(missing.clone()).await.unwrap();
        check(&loaded);
        missing.retain(|id| !loaded.iter().any(|task| task.id == *id));
    }
    let small = store.load_new(shard, stored[47].place(), 1_000).await.unwrap();
    assert_eq!(small.len(), 100, "what is small is bounded by its number alone");
}
