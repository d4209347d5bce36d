//! Several instances on one database, as in a mesh: they start at once, write at once, follow one log.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;
use tidemill_postgres::{PostgresConfig, PostgresStore};
use tidemill_store::conformance::fixture::{
    Shared, append, at, completion, create, grant, keyed, lease, match_task, matched, name, page, query, task,
};
use tidemill_store::task::TaskState;
use tidemill_store::{Error, TenantStore};
use tidemill_tests::harness::postgres::Server;

async fn open(url: &str) -> PostgresStore {
    let config = PostgresConfig { url: url.to_owned(), max_connections: 8, ..PostgresConfig::default() };
    PostgresStore::connect(config).await.unwrap()
}

/// Two instances on one database; nothing without PostgreSQL.
async fn two() -> Option<(Shared, Shared, Server)> {
    let server = Server::shared().unwrap()?;
    let url = server.database().unwrap();
    let (one, other) = (Arc::new(open(&url).await), Arc::new(open(&url).await));
    Some((one, other, server))
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_that_start_at_once_on_an_empty_database_agree_who_migrates() {
    let Some(server) = Server::shared().unwrap() else { return };
    let url = server.database().unwrap();
    let stores = join_all((0..12).map(|_| {
        tokio::spawn({
            let url = url.clone();
            async move { open(&url).await }
        })
    }))
    .await;
    let stores: Vec<PostgresStore> = stores.into_iter().map(Result::unwrap).collect();
    let ids = join_all(stores.iter().map(TenantStore::store_id)).await;
    let ids: HashSet<String> = ids.into_iter().map(Result::unwrap).collect();
    assert_eq!(ids.len(), 1, "one store was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_the_log_misses_no_task_whatever_the_order_of_the_commits() {
    const WRITERS: u128 = 12;
    const EACH: u128 = 60;
    let Some((one, other, _server)) = two().await else { return };
    let acme = create(&one, "acme").await;
    let done = Arc::new(AtomicBool::new(false));
    let follower = tokio::spawn({
        let (store, done) = (Arc::clone(&one), Arc::clone(&done));
        async move {
            let (mut seen, mut through) = (HashSet::new(), 0);
            loop {
                // Asked before the read: what was stored by then must be in it.
                let last = done.load(Ordering::SeqCst);
                let new = store.load_new(through, 40).await.unwrap();
                through = new.last().map_or(through, |row| row.sequence);
                let is_empty = new.is_empty();
                seen.extend(new.into_iter().map(|row| row.id));
                if last && is_empty {
                    return seen;
                }
            }
        }
    });
    let writers = (0..WRITERS).map(|writer| {
        let (store, acme) = (Arc::clone(if writer % 2 == 0 { &one } else { &other }), acme.clone());
        tokio::spawn(async move {
            for number in 0..EACH {
                let first = (writer * EACH + number) * 3;
                append(&store, &acme, (first..first + 1 + number % 3).map(task).collect()).await;
            }
        })
    });
    join_all(writers).await.into_iter().for_each(Result::unwrap);
    done.store(true, Ordering::SeqCst);
    let seen = follower.await.unwrap();
    let stored: HashSet<_> = (0..WRITERS * EACH)
        .flat_map(|number| (number * 3..number * 3 + 1 + (number % EACH) % 3).map(|task_of| task(task_of).id))
        .collect();
    assert_eq!(seen.len(), stored.len());
    assert_eq!(seen, stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_lease_and_settle_each_task_once() {
    const TASKS: u128 = 200;
    let Some((one, other, _server)) = two().await else { return };
    let acme = create(&one, "acme").await;
    append(&one, &acme, (0..TASKS).map(task).collect()).await;
    // Both want all, each in another order.
    let workers = [(one.clone(), 0_u128), (other.clone(), 1)].map(|(store, token)| {
        tokio::spawn(async move {
            let mut mine = 0;
            for piece in 0..TASKS / 10 {
                let first = if token == 0 { piece * 10 } else { TASKS - (piece + 1) * 10 };
                let mut grants: Vec<_> =
                    (first..first + 10).map(|number| grant(task(number).id, token)).collect();
                if token == 1 {
                    grants.reverse();
                }
                let leased = store.lease_tasks(grants, at(14), at(4)).await.unwrap();
                let done = leased.iter().map(|(task, _)| completion(lease(task.new.id, token))).collect();
                let settled = store.settle_tasks(done, vec![], at(6)).await.unwrap();
                mine += settled.accepted.iter().filter(|accepted| **accepted).count();
            }
            mine
        })
    });
    let counts: usize = join_all(workers).await.into_iter().map(Result::unwrap).sum();
    assert_eq!(counts as u128, TASKS);
    let counts = other.count_tasks(&acme).await.unwrap();
    assert_eq!(
        counts.iter().map(|row| (row.state, row.count)).collect::<Vec<_>>(),
        [(TaskState::Succeeded, 200)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_with_the_same_keys_in_another_order_wait_for_each_other_and_both_end() {
    let Some((one, other, _server)) = two().await else { return };
    let acme = create(&one, "acme").await;
    for round in 0..20_u128 {
        let forth: Vec<_> =
            (0..30).map(|number| keyed(round * 100 + number, &format!("{round}/{number}"))).collect();
        let back: Vec<_> = (0..30)
            .rev()
            .map(|number| keyed(round * 100 + 50 + number, &format!("{round}/{number}")))
            .collect();
        let (forth, back) =
            futures::join!(one.append_tasks(&acme, forth, at(2)), other.append_tasks(&acme, back, at(2)));
        let new = forth.unwrap().into_iter().chain(back.unwrap()).filter(|row| !row.duplicate).count();
        assert_eq!(new, 30, "each key was taken once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_match_of_a_stored_document_is_made_once_by_two_that_meet() {
    let Some((one, other, _server)) = two().await else { return };
    let acme = create(&one, "acme").await;
    for round in 0..15_u128 {
        let version = one.load_queries(&acme, None).await.unwrap().version;
        one.append_documents(&acme, vec![matched(round, &[])], version, at(5)).await.unwrap();
        one.put_query(&acme, query(round)).await.unwrap();
        let step = |store: &Shared| {
            let (store, acme) = (Arc::clone(store), acme.clone());
            async move {
                store.append_documents(&acme, vec![matched(round, &[(round, 1.0)])], version + 1, at(6)).await
            }
        };
        let (left, right) = futures::join!(step(&one), step(&other));
        assert_eq!(left.unwrap()[0].new_matches + right.unwrap()[0].new_matches, 1);
        assert!(one.task(&acme, match_task(round, round)).await.unwrap().is_some());
    }
    assert_eq!(one.counts(&acme).await.unwrap().matches, 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_removed_under_load_leaves_neither_matches_nor_waiting_tasks() {
    let Some((one, other, _server)) = two().await else { return };
    let acme = create(&one, "acme").await;
    for round in 0..10_u128 {
        one.put_query(&acme, query(1)).await.unwrap();
        let version = one.load_queries(&acme, None).await.unwrap().version;
        let writers = (0..6_u128).map(|writer| {
            let (store, acme) = (Arc::clone(&other), acme.clone());
            tokio::spawn(async move {
                let number = round * 100 + writer;
                let rows = vec![matched(number, &[(1, 1.0)])];
                match store.append_documents(&acme, rows, version, at(5)).await {
                    Err(Error::StaleQueries { .. }) => return,
                    outcome => outcome.unwrap(),
                };
                // Leased and settled while the query may be going.
                let id = match_task(number, 1);
                let leased = store.lease_tasks(vec![grant(id, 1)], at(14), at(6)).await.unwrap();
                if !leased.is_empty() {
                    store.settle_tasks(vec![completion(lease(id, 1))], vec![], at(7)).await.unwrap();
                }
            })
        });
        let writers: Vec<_> = writers.collect();
        one.remove_query(&acme, "q1", at(8)).await.unwrap();
        join_all(writers).await.into_iter().for_each(Result::unwrap);
    }
    let counts = one.counts(&acme).await.unwrap();
    assert_eq!((counts.queries, counts.matches), (0, 0));
    assert!(one.page_results(&acme, None, page(10)).await.unwrap().items.is_empty());
    assert!(one.load_new(0, 100).await.unwrap().is_empty(), "a task waits for a match that is gone");
    assert!(one.load_running(0, 100).await.unwrap().is_empty());
    let tasks: i64 = one.count_tasks(&acme).await.unwrap().iter().map(|row| row.count).sum();
    assert_eq!(tasks, i64::try_from(all_tasks(&one).await).unwrap(), "the counts follow");
}

/// How many tasks can be listed.
async fn all_tasks(store: &Shared) -> usize {
    store.page_tasks(&name("acme"), None, None, page(1_000)).await.unwrap().items.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_meet_share_commits() {
    let Some(server) = Server::shared().unwrap() else { return };
    let store = Arc::new(open(&server.database().unwrap()).await);
    let shared: Shared = store.clone();
    let acme = create(&shared, "acme").await;
    let before = store.commits();
    let callers = (0..200_u128).map(|number| {
        let (store, acme) = (Arc::clone(&shared), acme.clone());
        tokio::spawn(async move { append(&store, &acme, vec![task(number)]).await })
    });
    join_all(callers.collect::<Vec<_>>()).await.into_iter().for_each(Result::unwrap);
    let commits = store.commits() - before;
    assert!((1..200).contains(&commits), "{commits} commits for 200 callers");
    // One that is refused fails alone.
    let stranger = name("nobody");
    let (refused, stored) = futures::join!(
        shared.append_tasks(&stranger, vec![task(900)], at(2)),
        shared.append_tasks(&acme, vec![task(901)], at(2))
    );
    assert!(matches!(refused, Err(Error::NotFound { .. })), "{refused:?}");
    assert!(!stored.unwrap()[0].duplicate);
    store.close().await;
    let closed = shared.append_tasks(&acme, vec![task(902)], at(2)).await;
    assert!(matches!(closed, Err(Error::Unavailable(_))), "{closed:?}");
    assert!(matches!(shared.counts(&acme).await, Err(Error::Unavailable(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_stay_right_while_they_are_folded() {
    let Some((one, other, _server)) = two().await else { return };
    let acme = create(&one, "acme").await;
    // Each task changes one count as it comes, two as it goes: several folds, some of both at once.
    let workers = [(one.clone(), 0_u128), (other.clone(), 1)].map(|(store, worker)| {
        let acme = acme.clone();
        tokio::spawn(async move {
            for number in 0..700 {
                append(&store, &acme, vec![task(worker * 1_000 + number)]).await;
                let waiting = store.count_tasks(&acme).await.unwrap()[0].count;
                assert!(waiting > i64::try_from(number).unwrap(), "{waiting} at {number}");
                store.cancel_task(&acme, task(worker * 1_000 + number).id, at(3)).await.unwrap();
                append(&store, &acme, vec![task(worker * 1_000 + number + 100_000)]).await;
            }
        })
    });
    join_all(workers).await.into_iter().for_each(Result::unwrap);
    let counts = one.count_tasks(&acme).await.unwrap();
    let counts: Vec<_> = counts.iter().map(|row| (row.state, row.count)).collect();
    assert_eq!(counts, [(TaskState::Waiting, 1_400), (TaskState::Cancelled, 1_400)]);
    assert_eq!(one.queues().await.unwrap().depths[0].waiting, 1_400);
}
