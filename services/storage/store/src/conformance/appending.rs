//! Tasks appended to the log.

use tidemill_kernel::Priority;

use super::fixture::{Shared, append, at, completion, create, id, keyed, page, start, task};
use crate::Error;
use crate::task::{AppendedTask, NewTask, Task, TaskState};

/// Every field comes back; places in the log rise.
pub async fn tasks_are_stored_in_order_and_read_back(store: Shared) {
    let acme = create(&store, "acme").await;
    let full = NewTask { priority: Priority::Interactive, max_attempts: 9, ..keyed(2, "k") };
    let appended = store.append_tasks(&acme, vec![task(1), full.clone()], at(2)).await.unwrap();
    let later = store.append_tasks(&acme, vec![task(3)], at(3)).await.unwrap();
    assert_eq!([appended[0].id, appended[1].id, later[0].id], [task(1).id, task(2).id, task(3).id]);
    assert!(0 < appended[0].sequence);
    assert!(appended[0].sequence < appended[1].sequence && appended[1].sequence < later[0].sequence);
    let expected = Task::stored(full, acme.clone(), at(2));
    assert_eq!(store.task(&acme, task(2).id).await.unwrap(), Some(expected));
    assert_eq!(store.task(&acme, id(404)).await.unwrap(), None);
    assert!(store.queues().await.unwrap().last_sequence >= later[0].sequence);
}

/// A step whose answer was lost can be sent again.
pub async fn the_same_append_again_stores_nothing(store: Shared) {
    let acme = create(&store, "acme").await;
    let tasks = vec![task(1), keyed(2, "k")];
    append(&store, &acme, tasks.clone()).await;
    let again = store.append_tasks(&acme, tasks, at(9)).await.unwrap();
    let duplicate = |id| AppendedTask { id, duplicate: true, sequence: 0 };
    assert_eq!(again, [duplicate(task(1).id), duplicate(task(2).id)]);
    let mixed = store.append_tasks(&acme, vec![task(1), task(3), task(3)], at(9)).await.unwrap();
    assert_eq!(mixed.iter().map(|row| row.duplicate).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(store.task(&acme, task(1).id).await.unwrap().unwrap().created_at, at(2));
    assert_eq!(store.page_tasks(&acme, None, None, page(10)).await.unwrap().items.len(), 3);
}

/// The answer names the task that has the key, whatever became of it.
pub async fn a_key_is_taken_once_also_within_a_batch_and_for_ever(store: Shared) {
    let acme = create(&store, "acme").await;
    let tasks = vec![keyed(1, "k"), keyed(2, "k"), keyed(3, "K")];
    let appended = store.append_tasks(&acme, tasks, at(2)).await.unwrap();
    let seen: Vec<_> = appended.iter().map(|row| (row.id, row.duplicate, row.sequence > 0)).collect();
    let expected = [(task(1).id, false, true), (task(1).id, true, false), (task(3).id, false, true)];
    assert_eq!(seen, expected);
    let lease = start(&store, task(1).id, 1).await;
    store.settle_tasks(vec![completion(lease)], vec![], at(6)).await.unwrap();
    let again = store.append_tasks(&acme, vec![keyed(4, "k"), task(5)], at(7)).await.unwrap();
    assert_eq!(again[0], AppendedTask { id: task(1).id, duplicate: true, sequence: 0 });
    assert!(!again[1].duplicate);
    assert_eq!(store.task(&acme, task(4).id).await.unwrap(), None);
}

/// Any number of tasks may have none.
pub async fn an_empty_key_is_no_key(store: Shared) {
    let acme = create(&store, "acme").await;
    append(&store, &acme, (1..=50).map(task).collect()).await;
    assert_eq!(store.page_tasks(&acme, None, None, page(100)).await.unwrap().items.len(), 50);
}

/// A duplicate in a batch does not keep back the next task with its key or its id.
pub async fn a_task_refused_for_its_id_takes_no_key(store: Shared) {
    let acme = create(&store, "acme").await;
    append(&store, &acme, vec![task(1), keyed(2, "taken")]).await;
    let batch = vec![keyed(1, "free"), keyed(3, "free"), keyed(4, "taken"), task(4), keyed(3, "free")];
    let appended = store.append_tasks(&acme, batch, at(5)).await.unwrap();
    let seen: Vec<_> = appended.iter().map(|row| (row.id, row.duplicate)).collect();
    let (one, two, three, four) = (task(1).id, task(2).id, task(3).id, task(4).id);
    assert_eq!(seen, [(one, true), (three, false), (two, true), (four, false), (three, true)]);
    assert_eq!(store.task(&acme, three).await.unwrap().unwrap().new.key, "free");
    assert_eq!(store.task(&acme, four).await.unwrap().unwrap().new.key, "");
    assert_eq!(store.load_new(0, 10).await.unwrap().len(), 4);
}

/// An id of another tenant's task refuses the whole batch, whatever else is in it.
pub async fn a_batch_is_all_or_nothing(store: Shared) {
    let (acme, beta) = (create(&store, "acme").await, create(&store, "beta").await);
    append(&store, &beta, vec![task(2)]).await;
    let refused = store.append_tasks(&acme, vec![keyed(1, "k"), task(2), task(3)], at(5)).await;
    assert!(matches!(refused, Err(Error::Exists { what: "task", .. })), "{refused:?}");
    assert!(store.count_tasks(&acme).await.unwrap().is_empty());
    let appended = store.append_tasks(&acme, vec![keyed(1, "k")], at(6)).await.unwrap();
    assert!(!appended[0].duplicate);
    assert_eq!(store.task(&beta, task(2).id).await.unwrap().unwrap().state, TaskState::Waiting);
}

/// Steps without anything in them are answered with nothing.
pub async fn an_empty_batch_is_nothing(store: Shared) {
    let acme = create(&store, "acme").await;
    assert!(store.append_tasks(&acme, vec![], at(1)).await.unwrap().is_empty());
    assert!(store.lease_tasks(vec![], at(9), at(1)).await.unwrap().is_empty());
    assert!(store.settle_tasks(vec![], vec![], at(1)).await.unwrap().accepted.is_empty());
    assert!(store.renew_leases(vec![], at(9)).await.unwrap().is_empty());
    assert!(store.release_leases(vec![], at(1)).await.unwrap().is_empty());
    assert_eq!(store.queues().await.unwrap().last_sequence, 0);
}
