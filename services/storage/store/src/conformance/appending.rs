//! Tasks appended to the log.

use std::time::Duration;

use tidemill_kernel::{Id, Priority, Shard};

use super::fixture::{
    Shared, append, append_at, at, create, ids, keyed, moved, name, page, read, settle, succeed, task,
    unfinished, unknown,
};
use crate::Error;
use crate::task::{AppendedTask, Fence, NewTask, Task, TenantTasks};

fn known(id: Id) -> AppendedTask {
    AppendedTask { id, duplicate: true }
}

/// Every field comes back; an id tells the moment and the place; places rise.
pub async fn tasks_are_stored_in_order_and_read_back(store: Shared) {
    let acme = create(&store, "acme").await;
    let full = NewTask {
        priority: Priority::Interactive,
        run_at: at(77) + Duration::from_micros(123_457),
        max_attempts: 9,
        keep: Some(Duration::from_micros(90_000_001)),
        options: vec![16, 9],
        trace_parent: String::new(),
        ..keyed(2, "k")
    };
    let now = at(2) + Duration::from_micros(654_321);
    let first = append_at(&store, &acme, vec![task(1), full.clone()], now).await;
    let second = append_at(&store, &acme, vec![task(3)], at(3)).await;
    let stored = [first[0].id, first[1].id, second[0].id];
    assert_eq!(stored.map(|id| id.moment()), [now, now, at(3)]);
    assert!(stored.is_sorted_by(|left, right| left.place() < right.place() && left < right));
    for id in stored {
        assert_eq!(id, Id::placed(id.moment(), id.place()));
        assert_eq!(Shard::of_place(id.place()), Shard::of_tenant(&acme));
        assert!(id.place() > Shard::of_tenant(&acme).place(0));
    }
    let expected = Task::stored(stored[1], full, acme.clone());
    assert_eq!(read(&store, &acme, stored[1]).await, expected);
    assert_eq!(unfinished(&store, &acme).await[1], expected);
    for other in [unknown(&acme), moved(stored[1]), super::fixture::id(404)] {
        assert_eq!(store.task(&acme, other).await.unwrap(), None);
    }
}

/// Each tenant's tasks go to its own shard; what became of them is told by tenant and in order.
pub async fn several_tenants_are_one_step(store: Shared) {
    let names = ["acme", "beta", "default"];
    let mut batches = Vec::new();
    for (number, text) in (0..).zip(names) {
        let tenant = create(&store, text).await;
        let tasks = (0..3).map(|task| keyed(number * 10 + task, "k12".get(..=task.min(1) as usize).unwrap()));
        batches.push(TenantTasks { tenant, tasks: tasks.collect() });
    }
    let appended = store.append_tasks(batches.clone(), at(2)).await.unwrap();
    assert_eq!(appended.len(), 3);
    for (batch, rows) in batches.iter().zip(appended) {
        assert_eq!(rows.iter().map(|row| row.duplicate).collect::<Vec<_>>(), [false, false, true]);
        assert_eq!(rows[2], known(rows[1].id));
        assert_eq!(Shard::of_place(rows[0].id.place()), Shard::of_tenant(&batch.tenant));
        for (row, new) in rows.iter().zip(&batch.tasks).take(2) {
            let expected = Task::stored(row.id, new.clone(), batch.tenant.clone());
            assert_eq!(read(&store, &batch.tenant, row.id).await, expected);
        }
    }
}

/// An unknown tenant refuses the whole step, wherever it stands, and takes no keys.
pub async fn a_step_is_all_or_nothing(store: Shared) {
    let acme = create(&store, "acme").await;
    let batch = |text| TenantTasks { tenant: name(text), tasks: vec![keyed(1, "k"), task(2)] };
    for batches in [vec![batch("acme"), batch("nobody")], vec![batch("nobody"), batch("acme")]] {
        let refused = store.append_tasks(batches, at(2)).await;
        assert!(matches!(refused, Err(Error::NotFound { what: "tenant", .. })), "{refused:?}");
    }
    assert!(store.count_tasks(&acme).await.unwrap().is_empty());
    assert!(unfinished(&store, &acme).await.is_empty());
    append(&store, &acme, vec![keyed(1, "k")]).await;
}

/// The answer names the task that took the key.
pub async fn a_key_is_taken_once_within_a_batch_and_across(store: Shared) {
    let acme = create(&store, "acme").await;
    let tasks = vec![keyed(1, "k"), keyed(2, "k"), task(3), keyed(4, "K"), keyed(5, "k")];
    let rows = append_at(&store, &acme, tasks, at(2)).await;
    let first = rows[0].id;
    assert_eq!([rows[1], rows[4]], [known(first); 2]);
    assert!([0, 2, 3].iter().all(|row| !rows[*row].duplicate));
    let again = append_at(&store, &acme, vec![keyed(6, "K"), keyed(7, "k"), task(3)], at(7)).await;
    assert_eq!(again[..2], [known(rows[3].id), known(first)]);
    assert!(!again[2].duplicate);
    let expected = [first, rows[2].id, rows[3].id, again[2].id];
    assert_eq!(ids(&unfinished(&store, &acme).await), expected);
    assert_eq!(read(&store, &acme, first).await.new, keyed(1, "k"));
}

/// Whatever becomes of the task: kept, not kept, dead, cancelled; also between its time and the sweep.
pub async fn a_key_is_taken_until_it_is_swept(store: Shared) {
    let acme = create(&store, "acme").await;
    let keys = ["kept", "gone", "dead", "cancelled"];
    let mut tasks: Vec<_> = (1..).zip(keys).map(|(number, key)| keyed(number, key)).collect();
    tasks[1].keep = Some(Duration::ZERO);
    let stored = append(&store, &acme, tasks.clone()).await;
    succeed(&store, stored[0], at(6)).await;
    succeed(&store, stored[1], at(6)).await;
    let dead = super::fixture::failure(super::fixture::attempt(stored[2], 1));
    settle(&store, vec![], vec![dead], at(6)).await;
    store.cancel_task(&acme, stored[3], at(6)).await.unwrap();
    let week = Duration::from_hours(7 * 24);
    let all = stored.iter().copied().map(known).collect::<Vec<_>>();
    assert_eq!(append_at(&store, &acme, tasks.clone(), at(7)).await, all);
    let early = at(1_000) - Duration::from_micros(1);
    assert_eq!(store.sweep(week, 100, early).await.unwrap(), 0);
    assert_eq!(append_at(&store, &acme, tasks.clone(), early).await, all);
    assert_eq!(append_at(&store, &acme, tasks.clone(), at(1_001)).await, all);
    assert_eq!(store.sweep(week, 100, at(1_001)).await.unwrap(), 4);
    let anew: Vec<_> = tasks.into_iter().map(|task| NewTask { key_until: at(5_000), ..task }).collect();
    let rows = append_at(&store, &acme, anew.clone(), at(1_002)).await;
    assert!(rows.iter().zip(&stored).all(|(row, old)| !row.duplicate && row.id.place() > old.place()));
    let newer = rows.into_iter().map(|row| known(row.id)).collect::<Vec<_>>();
    assert_eq!(append_at(&store, &acme, anew, at(1_003)).await, newer);
}

/// Any number of tasks may have none.
pub async fn an_empty_key_is_no_key(store: Shared) {
    let acme = create(&store, "acme").await;
    let task = NewTask { key_until: at(9_999), ..task(1) };
    append(&store, &acme, vec![task; 50]).await;
    assert_eq!(store.page_tasks(&acme, None, None, page(100)).await.unwrap().items.len(), 50);
}

/// Of thousands, each with a key, sent again in other company.
pub async fn a_large_batch_is_one_step(store: Shared) {
    let (acme, beta) = (create(&store, "acme").await, create(&store, "beta").await);
    let tasks = |numbers: std::ops::Range<u128>| -> Vec<NewTask> {
        numbers.map(|number| keyed(number, &format!("key {number}"))).collect()
    };
    let first = append_at(&store, &acme, tasks(0..2_000), at(2)).await;
    assert!(first.is_sorted_by_key(|row| row.id.place()));
    let batches = [(acme.clone(), 1_000..3_000), (beta, 0..1_000)];
    let batches = batches.map(|(tenant, numbers)| TenantTasks { tenant, tasks: tasks(numbers) });
    let appended = store.append_tasks(batches.to_vec(), at(3)).await.unwrap();
    let expected: Vec<_> = first[1_000..].iter().map(|row| known(row.id)).collect();
    assert_eq!(appended[0][..1_000], expected);
    let mut new = appended[0][1_000..].iter().chain(&appended[1]);
    assert!(appended[1].len() == 1_000 && new.all(|row| !row.duplicate));
    let (mut after, mut seen) = (Shard::of_tenant(&acme).place(0), 0);
    loop {
        let loaded = store.load_new(Shard::of_tenant(&acme), after, 700).await.unwrap();
        let Some(last) = loaded.last() else { break };
        assert!(loaded.len() <= 700 && loaded.is_sorted_by_key(|task| task.id.place()));
        assert!(loaded[0].id.place() > after);
        (after, seen) = (last.id.place(), seen + loaded.len());
    }
    assert_eq!(seen, 4_000, "both tenants are of one shard");
}

/// A place says who came first, whatever the clock says.
pub async fn places_rise_although_the_clock_goes_back(store: Shared) {
    let acme = create(&store, "acme").await;
    let mut stored = Vec::new();
    for second in [9, 5, 7, 5] {
        stored.push(append_at(&store, &acme, vec![task(1)], at(second)).await[0].id);
    }
    assert!(stored.is_sorted_by_key(|id| id.place()));
    assert_eq!(stored.iter().map(|id| id.moment()).collect::<Vec<_>>(), [9, 5, 7, 5].map(at));
    assert_eq!(ids(&unfinished(&store, &acme).await), stored);
    stored.reverse();
    assert_eq!(ids(&store.page_tasks(&acme, None, None, page(9)).await.unwrap().items), stored);
}

/// Steps without anything in them are answered with nothing.
pub async fn an_empty_batch_is_nothing(store: Shared) {
    let acme = create(&store, "acme").await;
    let none = Fence::default;
    assert!(store.append_tasks(vec![], at(1)).await.unwrap().is_empty());
    assert!(append_at(&store, &acme, vec![], at(1)).await.is_empty());
    assert!(store.record_leases(none(), vec![], vec![]).await.unwrap().is_empty());
    store.save_progress(none(), vec![]).await.unwrap();
    let settled = store.settle_tasks(none(), vec![], vec![], at(1)).await.unwrap();
    assert!(settled.accepted.is_empty() && settled.follow_ups.is_empty());
    assert!(store.load_tasks(vec![]).await.unwrap().is_empty());
    assert_eq!(store.sweep(Duration::ZERO, 10, at(1)).await.unwrap(), 0);
    for shard in Shard::all() {
        let queues = store.queues(shard).await.unwrap();
        assert_eq!((queues.depths.len(), queues.last_place), (0, shard.place(0)));
    }
}

/// It takes the key of a task that has ended, however it did; within a batch the first one does. Others do not.
pub async fn a_unique_task_counts_those_alone_that_have_not_ended(store: Shared) {
    let acme = create(&store, "acme").await;
    let unique = |number| NewTask { unique: true, ..keyed(number, "k") };
    let first = append_at(&store, &acme, vec![unique(1), unique(2)], at(2)).await;
    assert_eq!((first[0].duplicate, first[1]), (false, known(first[0].id)));
    assert_eq!(append_at(&store, &acme, vec![unique(3)], at(2)).await, [known(first[0].id)]);
    succeed(&store, first[0].id, at(3)).await;
    assert_eq!(append_at(&store, &acme, vec![keyed(4, "k")], at(4)).await, [known(first[0].id)]);
    let batch = vec![keyed(5, "k"), unique(6), unique(7), keyed(8, "k")];
    let second = append_at(&store, &acme, batch, at(5)).await;
    assert_eq!(second[0], known(first[0].id), "it is not unique");
    assert!(!second[1].duplicate);
    assert_eq!(second[2..], [known(second[1].id); 2]);
    store.cancel_task(&acme, second[1].id, at(6)).await.unwrap();
    let third = append_at(&store, &acme, vec![unique(9)], at(7)).await;
    assert!(!third[0].duplicate);
    assert_eq!(unfinished(&store, &acme).await.len(), 1);
    assert_eq!(append_at(&store, &acme, vec![keyed(10, "k")], at(8)).await, [known(third[0].id)]);
}
