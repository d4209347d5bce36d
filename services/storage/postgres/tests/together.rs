//! Several instances on one database, as in a mesh: they start at once, write at once, follow one log.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;
use tidemill_kernel::{Id, Shard, TenantName};
use tidemill_postgres::{PostgresConfig, PostgresStore};
use tidemill_store::conformance::fixture::{
    Shared, append, append_at, append_one, at, completion, create, keyed, lease, match_task, matched, name,
    page, query, running, task, unfinished,
};
use tidemill_store::task::{Fence, NewTask, TaskState, TenantTasks};
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
            let shard = Shard::of_tenant(&name("acme"));
            let (mut seen, mut through) = (Vec::new(), shard.place(0));
            loop {
                // Asked before the read: what was stored by then must be in it.
                let last = done.load(Ordering::SeqCst);
                let new = store.load_new(shard, through, 40).await.unwrap();
                through = new.last().map_or(through, |task| task.id.place());
                let is_empty = new.is_empty();
                seen.extend(new.into_iter().map(|task| task.id));
                if last && is_empty {
                    return seen;
                }
            }
        }
    });
    let writers = (0..WRITERS).map(|writer| {
        let (store, acme) = (Arc::clone(if writer % 2 == 0 { &one } else { &other }), acme.clone());
        tokio::spawn(async move {
            let mut stored = Vec::new();
            for number in 0..EACH {
                // Some with keys: they take another way.
                let tasks = (0..1 + number % 3).map(|row| match (writer + number) % 4 {
                    0 => keyed(number, &format!("{writer}/{number}/{row}")),
                    _ => task(number),
                });
                stored.extend(append(&store, &acme, tasks.collect()).await);
            }
            stored
        })
    });
    let mut stored: Vec<Id> = join_all(writers).await.into_iter().flat_map(Result::unwrap).collect();
    done.store(true, Ordering::SeqCst);
    let seen = follower.await.unwrap();
    stored.sort_by_key(Id::place);
    assert_eq!(seen, stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_record_and_settle_each_task_once() {
    const TASKS: usize = 200;
    let Some((one, other, _server)) = two().await else { return };
    let acme = create(&one, "acme").await;
    let tasks = append(&one, &acme, (0..TASKS as u128).map(task).collect()).await;
    // Both want all, each in another order.
    let workers = [(one.clone(), 0_u128), (other.clone(), 1)].map(|(store, token)| {
        let mut tasks = tasks.clone();
        tokio::spawn(async move {
            if token == 1 {
                tasks.reverse();
            }
            let mut mine = 0;
            for piece in tasks.chunks(10) {
                let leases: Vec<_> = piece.iter().map(|id| lease(*id, token)).collect();
                let done = leases.iter().map(|lease| completion(lease.attempt.clone())).collect();
                if piece[0].place() % 20 < 10 {
                    store.record_leases(Fence::default(), leases, vec![]).await.unwrap();
                }
                let settled = store.settle_tasks(Fence::default(), done, vec![], at(6)).await.unwrap();
                mine += settled.accepted.iter().filter(|accepted| **accepted).count();
            }
            mine
        })
    });
    let counts: usize = join_all(workers).await.into_iter().map(Result::unwrap).sum();
    assert_eq!(counts, TASKS);
    let counts = other.count_tasks(&acme).await.unwrap();
    assert_eq!(
        counts.iter().map(|row| (row.state, row.count)).collect::<Vec<_>>(),
        [(TaskState::Succeeded, 200)]
    );
    assert!(running(&one, &acme).await.is_empty());
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
            futures::join!(append_at(&one, &acme, forth, at(2)), append_at(&other, &acme, back, at(2)));
        let new = forth.into_iter().chain(back).filter(|row| !row.duplicate).count();
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
        assert!(match_task(&one, &acme, round, round).await.is_some());
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
                // Recorded and settled while the query may be going.
                let Some(task) = match_task(&store, &acme, number, 1).await else { return };
                let lease = lease(task.id, 1);
                let done = vec![completion(lease.attempt.clone())];
                store.record_leases(Fence::default(), vec![lease], vec![]).await.unwrap();
                store.settle_tasks(Fence::default(), done, vec![], at(7)).await.unwrap();
            })
        });
        let writers: Vec<_> = writers.collect();
        one.remove_query(&acme, "q1", at(8)).await.unwrap();
        join_all(writers).await.into_iter().for_each(Result::unwrap);
    }
    let counts = one.counts(&acme).await.unwrap();
    assert_eq!((counts.queries, counts.matches), (0, 0));
    assert!(one.page_results(&acme, None, page(10)).await.unwrap().items.is_empty());
    assert!(unfinished(&one, &acme).await.is_empty(), "a task waits for a match that is gone");
    assert!(running(&one, &acme).await.is_empty());
    let tasks: i64 = one.count_tasks(&acme).await.unwrap().iter().map(|row| row.count).sum();
    assert_eq!(tasks, i64::try_from(all_tasks(&one).await).unwrap(), "the counts follow");
}

/// How many tasks can be listed.
async fn all_tasks(store: &Shared) -> usize {
    store.page_tasks(&name("acme"), None, None, page(1_000)).await.unwrap().items.len()
}

fn batch(tenant: &TenantName, task: NewTask) -> Vec<TenantTasks> {
    vec![TenantTasks { tenant: tenant.clone(), tasks: vec![task] }]
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
    join_all(callers.collect::<Vec<_>>()).await.into_iter().for_each(|stored| drop(stored.unwrap()));
    let commits = store.commits() - before;
    assert!((1..200).contains(&commits), "{commits} commits for 200 callers");
    // One that is refused fails alone.
    let stranger = name("nobody");
    let (refused, stored) = futures::join!(
        shared.append_tasks(batch(&stranger, task(900)), at(2)),
        shared.append_tasks(batch(&acme, task(901)), at(2))
    );
    assert!(matches!(refused, Err(Error::NotFound { .. })), "{refused:?}");
    assert!(!stored.unwrap()[0][0].duplicate);
    store.close().await;
    let closed = shared.append_tasks(batch(&acme, task(902)), at(2)).await;
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
                let id = append_one(&store, &acme, task(worker * 1_000 + number)).await;
                let waiting = store.count_tasks(&acme).await.unwrap()[0].count;
                assert!(waiting > i64::try_from(number).unwrap(), "{waiting} at {number}");
                store.cancel_task(&acme, id, at(3)).await.unwrap();
                append(&store, &acme, vec![task(worker * 1_000 + number + 100_000)]).await;
            }
        })
    });
    join_all(workers).await.into_iter().for_each(Result::unwrap);
    let counts = one.count_tasks(&acme).await.unwrap();
    let counts: Vec<_> = counts.iter().map(|row| (row.state, row.count)).collect();
    assert_eq!(counts, [(TaskState::Waiting, 1_400), (TaskState::Cancelled, 1_400)]);
    assert_eq!(one.queues(Shard::of_tenant(&acme)).await.unwrap().depths[0].waiting, 1_400);
}
