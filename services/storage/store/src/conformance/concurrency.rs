//! Many callers at once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::future::join_all;

use super::fixture::{Shared, at, completion, create, document, grant, lease, matched, page, query, task};
use crate::task::{Completion, TaskCount, TaskState};

const CALLERS: u128 = 16;
const EACH: u128 = 25;

/// Runs one future for each caller, each in a task of its own.
async fn together<F, T>(call: impl Fn(u128) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    join_all((0..CALLERS).map(|caller| tokio::spawn(call(caller))))
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect()
}

/// Appends, leases and settles race; nothing is leased twice, everything is settled once.
pub async fn sixteen_callers_lease_and_settle_each_task_once(store: Shared) {
    let acme = create(&store, "acme").await;
    let leased = together(|caller| {
        let (store, acme) = (Arc::clone(&store), acme.clone());
        async move {
            let mut leased = Vec::new();
            for number in caller * EACH..(caller + 1) * EACH {
                store.append_tasks(&acme, vec![task(number)], at(2)).await.unwrap();
                // Everybody tries to take the newest tasks of everybody.
                let grants = store.load_new(0, 50).await.unwrap().into_iter();
                let grants: Vec<_> = grants.map(|row| grant(row.id, caller)).collect();
                leased.extend(store.lease_tasks(grants, at(14), at(4)).await.unwrap());
            }
            let done = leased.iter().map(|(task, _)| Completion {
                result: caller.to_string(),
                ..completion(lease(task.new.id, caller))
            });
            let done: Vec<_> = done.collect();
            let again = done.clone();
            let settled = store.settle_tasks(done, vec![], at(6)).await.unwrap();
            assert!(settled.accepted.iter().all(|accepted| *accepted));
            let again = store.settle_tasks(again, vec![], at(7)).await.unwrap();
            assert!(!again.accepted.iter().any(|accepted| *accepted));
            leased.into_iter().map(|(task, _)| (task.new.id, caller)).collect::<Vec<_>>()
        }
    });
    let leased: Vec<_> = leased.await.into_iter().flatten().collect();
    let owners: HashMap<_, _> = leased.iter().copied().collect();
    assert_eq!(owners.len(), leased.len(), "a task was leased twice");
    let count = i64::try_from(leased.len()).unwrap();
    let all = i64::try_from(CALLERS * EACH).unwrap();
    let counts = store.count_tasks(&acme).await.unwrap();
    let of =
        |state| counts.iter().filter(|row| row.state == state).map(|row: &TaskCount| row.count).sum::<i64>();
    assert_eq!((of(TaskState::Succeeded), of(TaskState::Waiting)), (count, all - count));
    for (id, owner) in owners {
        assert_eq!(store.task(&acme, id).await.unwrap().unwrap().result, owner.to_string());
    }
}

/// The same documents from everybody: each is new to one of them, and each match makes one task.
pub async fn sixteen_callers_store_the_same_documents_once(store: Shared) {
    let acme = create(&store, "acme").await;
    store.put_query(&acme, query(1)).await.unwrap();
    let outcomes = together(|caller| {
        let (store, acme) = (Arc::clone(&store), acme.clone());
        async move {
            let rows = (0..EACH).map(|number| {
                let mut row = matched(number, &[(1, 1.0)]);
                row.matches[0].task = task(caller * EACH + number);
                row
            });
            store.append_documents(&acme, rows.collect(), 1, at(5)).await.unwrap()
        }
    });
    let outcomes: Vec<_> = outcomes.await.into_iter().flatten().collect();
    let new = outcomes.iter().filter(|row| !row.duplicate).count();
    let matches: u32 = outcomes.iter().map(|row| row.new_matches).sum();
    assert_eq!((new as u128, u128::from(matches)), (EACH, EACH));
    let tasks = store.page_tasks(&acme, None, None, page(1_000)).await.unwrap().items;
    assert_eq!(tasks.len() as u128, EACH);
}

/// While batches are stored, every reader sees each batch whole or not at all.
pub async fn readers_see_whole_steps_only(store: Shared) {
    let acme = create(&store, "acme").await;
    store.put_query(&acme, query(1)).await.unwrap();
    together(|caller| {
        let (store, acme) = (Arc::clone(&store), acme.clone());
        async move {
            if caller.is_multiple_of(4) {
                let rows = (0..EACH).map(|number| matched(caller * EACH + number, &[(1, 1.0)]));
                store.append_documents(&acme, rows.collect(), 1, at(5)).await.unwrap();
                return;
            }
            for _ in 0..10 {
                let counts = store.counts(&acme).await.unwrap();
                assert_eq!(counts.documents, counts.matches);
                assert_eq!(counts.documents % i64::try_from(EACH).unwrap(), 0);
            }
        }
    })
    .await;
    let ids: Vec<_> = (0..CALLERS * EACH).map(|number| document(number).id).collect();
    let stored: HashSet<_> =
        store.documents(&acme, &ids).await.unwrap().into_iter().map(|row| row.id).collect();
    assert_eq!(stored.len() as u128, CALLERS / 4 * EACH);
}
