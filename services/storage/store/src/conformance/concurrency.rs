//! Many callers at once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::future::join_all;

use super::fixture::{
    Shared, append, append_at, at, attempt, completion, create, document, failure, ids, keyed, lease,
    matched, page, query, read, running, settle, task, unfinished,
};
use crate::task::{Completion, Fence, TaskCount, TaskState, TenantTasks};

const CALLERS: u128 = 16;
const EACH: u128 = 25;

/// Runs one future for each caller, each in a task of its own.
pub(super) async fn together<F, T>(call: impl Fn(u128) -> F) -> Vec<T>
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

/// Everybody appends and tries to end the newest tasks of everybody: each ends once, under one result.
pub async fn sixteen_callers_end_each_task_once(store: Shared) {
    let acme = create(&store, "acme").await;
    let ended = together(|caller| {
        let (store, acme) = (Arc::clone(&store), acme.clone());
        async move {
            let mut ended = Vec::new();
            for number in caller * EACH..(caller + 1) * EACH {
                append(&store, &acme, vec![task(number)]).await;
                let mut tasks = ids(&unfinished(&store, &acme).await);
                tasks.truncate(20);
                if caller % 2 == 0 {
                    tasks.reverse();
                }
                let done = tasks
                    .iter()
                    .map(|id| Completion { result: caller.to_string(), ..completion(attempt(*id, 1)) });
                let settled = settle(&store, done.collect(), vec![], at(6)).await;
                let counted = tasks.into_iter().zip(settled.accepted).filter(|(_, counted)| *counted);
                ended.extend(counted.map(|(id, _)| (id, caller)));
            }
            ended
        }
    });
    let ended: Vec<_> = ended.await.into_iter().flatten().collect();
    let enders: HashMap<_, _> = ended.iter().copied().collect();
    assert_eq!(enders.len(), ended.len(), "a task was ended twice");
    let all = i64::try_from(CALLERS * EACH).unwrap();
    let counts = store.count_tasks(&acme).await.unwrap();
    let of =
        |state| counts.iter().filter(|row| row.state == state).map(|row: &TaskCount| row.count).sum::<i64>();
    let count = i64::try_from(ended.len()).unwrap();
    assert_eq!((of(TaskState::Succeeded), of(TaskState::Waiting)), (count, all - count));
    for (id, ender) in enders {
        assert_eq!(read(&store, &acme, id).await.result, ender.to_string());
    }
}

/// A lease that is recorded while its task succeeds, dies or is cancelled leaves no trace, also once it is put back.
pub async fn a_lease_recorded_while_its_task_ends_leaves_no_trace(store: Shared) {
    let acme = create(&store, "acme").await;
    let stored = append(&store, &acme, (0..CALLERS * EACH).map(task).collect()).await;
    let stored = Arc::new(stored);
    let ended = together(|caller| {
        let (store, acme, stored) = (Arc::clone(&store), acme.clone(), Arc::clone(&stored));
        async move {
            // Each stretch of tasks has one caller that records it and one that ends it, piece by piece.
            let stretch =
                (caller / 2) as usize * stored.len() / 8..(caller / 2 + 1) as usize * stored.len() / 8;
            let mut ended = 0;
            for piece in stored[stretch].chunks(5) {
                if caller % 2 == 0 {
                    let leases = piece.iter().map(|id| lease(*id, caller)).collect();
                    store.record_leases(Fence::default(), leases, vec![]).await.unwrap();
                    continue;
                }
                let first = piece.iter().map(|id| lease(*id, 0).attempt);
                let done = first.clone().take(2).map(completion).collect();
                let dead = first.skip(2).take(2).map(failure).collect();
                let settled = settle(&store, done, dead, at(6)).await;
                assert_eq!(settled.accepted, [true; 4]);
                store.cancel_task(&acme, piece[4], at(6)).await.unwrap();
                ended += piece.len();
            }
            ended
        }
    });
    assert_eq!(ended.await.into_iter().sum::<usize>(), stored.len());
    assert!(running(&store, &acme).await.is_empty() && unfinished(&store, &acme).await.is_empty());
    let counts = store.count_tasks(&acme).await.unwrap();
    let expected = [(TaskState::Succeeded, 160), (TaskState::Dead, 160), (TaskState::Cancelled, 80)];
    assert_eq!(counts.iter().map(|row| (row.state, row.count)).collect::<Vec<_>>(), expected);
    for piece in stored.chunks(5) {
        for id in &piece[2..] {
            assert_eq!(store.revive_task(&acme, *id, at(7)).await.unwrap().state, TaskState::Waiting);
        }
    }
    assert!(running(&store, &acme).await.is_empty());
    assert!(unfinished(&store, &acme).await.iter().all(|task| task.state == TaskState::Waiting));
}

/// Either a task is cancelled or its result counts.
pub async fn a_task_is_cancelled_or_ended_not_both(store: Shared) {
    let acme = create(&store, "acme").await;
    let stored = Arc::new(append(&store, &acme, (0..EACH).map(task).collect()).await);
    let won = together(|caller| {
        let (store, acme, stored) = (Arc::clone(&store), acme.clone(), Arc::clone(&stored));
        async move {
            let mut won = Vec::new();
            for id in &*stored {
                let ended = if caller % 2 == 0 {
                    settle(&store, vec![completion(attempt(*id, 1))], vec![], at(6)).await.accepted[0]
                } else {
                    let cancelled = store.cancel_task(&acme, *id, at(6)).await;
                    cancelled.is_ok_and(|task| task.worker.is_empty()) && caller == 1
                };
                if ended {
                    won.push((*id, caller % 2 == 0));
                }
            }
            won
        }
    });
    let ended: HashMap<_, _> = won.await.into_iter().flatten().filter(|(_, ended)| *ended).collect();
    for id in &*stored {
        let state = read(&store, &acme, *id).await.state;
        let expected = if ended.contains_key(id) { TaskState::Succeeded } else { TaskState::Cancelled };
        assert_eq!(state, expected);
    }
}

/// The same keys from everybody, of two tenants and in every order: one task each, and everybody is told which.
pub async fn sixteen_callers_take_each_key_once(store: Shared) {
    let tenants = [create(&store, "acme").await, create(&store, "default").await];
    let told = together(|caller| {
        let (store, tenants) = (Arc::clone(&store), tenants.clone());
        async move {
            let numbers = (0..EACH).map(|number| (number * (caller + 1) + caller) % EACH);
            let mut numbers: Vec<u128> = numbers.collect();
            numbers.dedup();
            let of = |tenant: &tidemill_kernel::TenantName| {
                let tasks = numbers.iter().map(|number| keyed(*number, &format!("k{number}")));
                TenantTasks { tenant: tenant.clone(), tasks: tasks.collect() }
            };
            let mut batches: Vec<_> = tenants.iter().map(of).collect();
            if caller % 2 == 0 {
                batches.reverse();
            }
            let mut told = Vec::new();
            let appended = store.append_tasks(batches.clone(), at(2)).await.unwrap();
            for (batch, rows) in batches.into_iter().zip(appended) {
                let keys = batch.tasks.into_iter().map(|task| (batch.tenant.clone(), task.key));
                told.extend(keys.zip(rows));
            }
            told
        }
    });
    let told: Vec<_> = told.await.into_iter().flatten().collect();
    let made = told.iter().filter(|(_, row)| !row.duplicate);
    let made: HashMap<_, _> = made.map(|(key, row)| (key.clone(), row.id)).collect();
    assert!(told.iter().all(|(key, row)| made[key] == row.id));
    assert_eq!(told.iter().filter(|(_, row)| !row.duplicate).count(), made.len());
    let count = unfinished(&store, &tenants[0]).await.len() + unfinished(&store, &tenants[1]).await.len();
    assert_eq!(count, made.len());
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
                append_at(&store, &acme, (0..EACH).map(task).collect(), at(5)).await;
                return;
            }
            for _ in 0..10 {
                let counts = store.counts(&acme).await.unwrap();
                assert_eq!(counts.documents, counts.matches);
                assert_eq!(counts.documents % i64::try_from(EACH).unwrap(), 0);
                assert_eq!(unfinished(&store, &acme).await.len() as u128 % EACH, 0);
            }
        }
    })
    .await;
    let ids: Vec<_> = (0..CALLERS * EACH).map(|number| document(number).id).collect();
    let stored: HashSet<_> =
        store.documents(&acme, &ids).await.unwrap().into_iter().map(|row| row.id).collect();
    assert_eq!(stored.len() as u128, CALLERS / 4 * EACH);
}
