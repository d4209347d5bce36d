//! Large batches, which take other ways than small ones: many rows a statement, neighbours as ranges, calls that meet.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use proptest::prelude::*;
use tempfile::TempDir;
use tidemill_kernel::Id;
use tidemill_sqlite::{SqliteConfig, SqliteStore, Synchronous};
use tidemill_store::conformance::fixture::{
    Shared, append, at, attempt, completion, create, failure, ids, page, read, settle, task, unfinished,
};
use tidemill_store::task::{Attempt, Failure, Fence, NewTask, Task, TaskState};

async fn make() -> (Shared, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let synchronous = Synchronous::Normal;
    let config = SqliteConfig { path: folder.path().join("data"), synchronous, ..SqliteConfig::default() };
    (Arc::new(SqliteStore::open(config).await.unwrap()), folder)
}

/// What becomes of a task: kept or not, and its ending, if it has one.
#[derive(Debug, Clone, Copy)]
struct Fate {
    keep: bool,
    ends: Option<TaskState>,
}

fn fate() -> impl Strategy<Value = Fate> {
    let ends = prop_oneof![
        1 => Just(None),
        8 => Just(Some(TaskState::Succeeded)),
        1 => Just(Some(TaskState::Dead)),
        1 => Just(Some(TaskState::Waiting)),
    ];
    (prop::bool::weighted(0.5), ends).prop_map(|(keep, ends)| Fate { keep, ends })
}

fn own(id: Id, number: usize) -> Attempt {
    Attempt { worker: format!("worker-{number}"), ..attempt(id, 1) }
}

async fn check(fates: Vec<Fate>) {
    let (store, _folder) = make().await;
    let acme = create(&store, "acme").await;
    let new = |(number, fate): (usize, &Fate)| NewTask {
        keep: (!fate.keep).then_some(Duration::ZERO),
        ..task(number as u128)
    };
    let stored = append(&store, &acme, fates.iter().enumerate().map(new).collect()).await;
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for (number, (fate, id)) in fates.iter().zip(&stored).enumerate() {
        let attempt = own(*id, number);
        match fate.ends {
            Some(TaskState::Succeeded) => done.push(completion(attempt)),
            Some(TaskState::Dead) => failed.push(failure(attempt)),
            Some(_) => failed.push(Failure { retry_at: Some(at(77)), ..failure(attempt) }),
            None => {}
        }
    }
    let named = done.len() + failed.len();
    let settled = settle(&store, done, failed, at(9)).await;
    assert_eq!(settled.accepted, vec![true; named]);
    let waits = |fate: &Fate| matches!(fate.ends, None | Some(TaskState::Waiting));
    let left: Vec<Id> =
        stored.iter().zip(&fates).filter(|(_, fate)| waits(fate)).map(|(id, _)| *id).collect();
    assert_eq!(ids(&unfinished(&store, &acme).await), left);
    for (number, (fate, id)) in fates.iter().zip(&stored).enumerate() {
        let there = store.task(&acme, *id).await.unwrap();
        let is_gone = !fate.keep && fate.ends == Some(TaskState::Succeeded);
        assert_eq!(there.is_none(), is_gone);
        let Some(Task { new, state, worker, error, finished_at, .. }) = there else { continue };
        let expected = fate.ends.unwrap_or(TaskState::Waiting);
        assert_eq!((new.payload, state), (format!("payload {number}"), expected));
        assert_eq!(worker, fate.ends.map_or(String::new(), |_| format!("worker-{number}")));
        assert_eq!(finished_at.is_some(), !waits(fate));
        assert_eq!(error.is_empty(), matches!(fate.ends, None | Some(TaskState::Succeeded)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_large_batch_ends_exactly_what_it_names(fates in prop::collection::vec(fate(), 1..120)) {
        tokio::runtime::Runtime::new().unwrap().block_on(check(fates));
    }
}

/// The calls share a transaction; a task that failed and runs again is none that is named twice.
#[tokio::test]
async fn attempts_of_one_task_count_each_though_their_calls_meet() {
    let (store, _folder) = make().await;
    let acme = create(&store, "acme").await;
    let stored = append(&store, &acme, (0..40).map(task).collect()).await;
    let calls = stored.iter().flat_map(|id| {
        let again = Failure { retry_at: Some(at(5)), ..failure(attempt(*id, 1)) };
        let (one, other) = (Arc::clone(&store), Arc::clone(&store));
        let done = completion(attempt(*id, 2));
        [
            tokio::spawn(async move { one.settle_tasks(Fence::default(), vec![], vec![again], at(5)).await }),
            tokio::spawn(
                async move { other.settle_tasks(Fence::default(), vec![done], vec![], at(6)).await },
            ),
        ]
    });
    for settled in join_all(calls).await {
        assert_eq!(settled.unwrap().unwrap().accepted, [true]);
    }
    for id in stored {
        let task = read(&store, &acme, id).await;
        assert_eq!((task.state, task.attempt, task.error.as_str()), (TaskState::Succeeded, 2, "no luck"));
    }
    assert_eq!(
        store.page_tasks(&acme, Some(TaskState::Succeeded), None, page(50)).await.unwrap().items.len(),
        40
    );
}
