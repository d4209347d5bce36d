//! What the tables are like: history in days that go whole, and a queue that stays quick while somebody holds a transaction
//! open and nothing that is dead can be removed.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;
use std::time::Duration;

use tidemill_kernel::{Id, Priority, Shard, TenantName, Timestamp};
use tidemill_postgres::{PostgresConfig, PostgresStore};
use tidemill_store::conformance::fixture::{
    Shared, append_one, at, attempt, completion, create, settle, succeed, task, unfinished,
};
use tidemill_store::task::{Fence, NewTask, TenantTasks};
use tidemill_tests::harness::postgres::Server;

const DAY: Duration = Duration::from_secs(86_400);

/// A store and the name of its database.
async fn open(server: &Server) -> (Shared, String) {
    let url = server.database().unwrap();
    let database = url.rsplit('/').next().unwrap().to_owned();
    (reopen(&url).await, database)
}

async fn reopen(url: &str) -> Shared {
    let config = PostgresConfig { url: url.to_owned(), max_connections: 4, ..PostgresConfig::default() };
    Arc::new(PostgresStore::connect(config).await.unwrap())
}

/// The tables that have finished tasks, with how many, as `table|count`.
fn kept(server: &Server, database: &str) -> Vec<String> {
    let kept = "SELECT tableoid::regclass::text, count(*) FROM history GROUP BY 1 ORDER BY 1";
    server.psql_in(database, kept).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_day_of_history_goes_whole_and_what_has_a_time_of_its_own_goes_alone() {
    let Some(server) = Server::shared().unwrap() else { return };
    let (store, database) = open(&server).await;
    let (acme, keep) = (create(&store, "acme").await, DAY * 30);
    let day = at(2).as_micros() / 86_400_000_000;
    // The end of the day on which all are made.
    let end = Timestamp::from_micros((day + 1) * 86_400_000_000);
    assert_eq!(store.sweep(keep, 100, at(0)).await.unwrap(), 0);
    let plain = append_one(&store, &acme, task(1)).await;
    let late = append_one(&store, &acme, task(2)).await;
    let own = append_one(&store, &acme, NewTask { keep: Some(DAY * 40), ..task(3) }).await;
    succeed(&store, plain, at(10)).await;
    succeed(&store, late, end + DAY * 3).await;
    succeed(&store, own, at(10)).await;
    assert_eq!(kept(&server, &database), [format!("history_{day}|1"), "history_apart|2".to_owned()]);

    let is_there = async |id: Id| store.task(&acme, id).await.unwrap().is_some();
    let mut last = end + keep + DAY;
    // The day before, which is empty, is over.
    assert_eq!(store.sweep(keep, 100, Timestamp::from_micros(last.as_micros() - 1)).await.unwrap(), 1);
    assert!(is_there(plain).await);
    // Somebody reads it: the sweep goes on without, and comes back.
    let reader = "BEGIN; SELECT count(*) > 0 FROM history; SELECT 'reads'";
    let reader = server.psql_until(&database, reader, "reads").unwrap();
    assert_eq!(store.sweep(keep, 100, last).await.unwrap(), 0);
    drop(reader);
    assert_eq!(store.sweep(keep, 100, last).await.unwrap(), 1, "a day counts as one");
    assert!(!is_there(plain).await && is_there(late).await && is_there(own).await);
    last = end + DAY * 3 + keep;
    // With days that were made ahead and stayed empty.
    assert!(store.sweep(keep, 100, last).await.unwrap() >= 1);
    assert!(!is_there(late).await && is_there(own).await);
    assert!(store.sweep(keep, 100, at(10) + DAY * 40).await.unwrap() >= 1);
    assert!(!is_there(own).await);
    assert_eq!(store.count_tasks(&acme).await.unwrap()[0].count, 3, "they count for ever");
    let ahead = server.psql_in(&database, "SELECT max(day) FROM history_days").unwrap();
    assert!(ahead.parse::<i64>().unwrap() >= day + 42, "days are made ahead: {ahead}");
}

/// Stores a thousand tasks, follows the log, refills a queue and ends the tasks: each from where the last pass stopped.
async fn pass(store: &Shared, acme: &TenantName, after: &mut i64) {
    let shard = Shard::of_tenant(acme);
    let tasks = (0..1_000).map(|number| NewTask { keep: Some(Duration::ZERO), ..task(number) });
    let batch = TenantTasks { tenant: acme.clone(), tasks: tasks.collect() };
    store.append_tasks(vec![batch], at(2)).await.unwrap();
    let new = store.load_new(shard, *after, 1_000).await.unwrap();
    let queue = store.load_waiting(acme, Priority::Normal, "analyze", *after, 1_000).await.unwrap();
    assert_eq!((new.len(), &new), (1_000, &queue));
    *after = new[999].id.place();
    let done = new.iter().map(|task| completion(attempt(task.id, 1)));
    assert!(settle(store, done.collect(), vec![], at(6)).await.accepted.iter().all(|accepted| *accepted));
    assert!(store.load_new(shard, *after, 1_000).await.unwrap().is_empty());
}

/// How many blocks of the queue and entries of its indexes were looked at so far by sessions that are over.
fn looked_at(server: &Server, database: &str) -> (i64, i64) {
    let blocks = "SELECT heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit
                  FROM pg_statio_user_tables WHERE relname = 'queue'";
    let entries = "SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'queue'";
    let number = |sql| server.psql_in(database, sql).unwrap().parse().unwrap();
    (number(blocks), number(entries))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_transaction_elsewhere_makes_no_pass_of_the_queue_slower_and_vacuum_keeps_up_when_it_ends() {
    let Some(server) = Server::shared().unwrap() else { return };
    let (store, database) = open(&server).await;
    let (url, acme, mut after) = (server.url(&database), create(&store, "acme").await, 0);
    let held = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM queue; SELECT 'held'";
    let held = server.psql_until(&database, held, "held").unwrap();
    // What a session has looked at is told when it ends.
    let mut costs = Vec::new();
    for passes in [2, 1, 46, 1] {
        // The planner is told what it looks like: hardly a row that is alive.
        server.psql_in(&database, "ANALYZE queue").unwrap();
        let before = looked_at(&server, &database);
        let store = reopen(&url).await;
        for _ in 0..passes {
            pass(&store, &acme, &mut after).await;
        }
        drop(store);
        let ended = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
                     AND application_name = 'tidemill'";
        while server.psql_in(&database, ended).unwrap() != "1" {
            tokio::task::yield_now().await;
        }
        let now = looked_at(&server, &database);
        costs.push((now.0 - before.0, now.1 - before.1));
    }
    server.psql_in(&database, "VACUUM queue").unwrap();
    let dead = "SELECT n_dead_tup >= 49000 FROM pg_stat_user_tables WHERE relname = 'queue'";
    assert_eq!(server.psql_in(&database, dead).unwrap(), "t", "something could be removed");
    let (first, last) = (costs[1], costs[3]);
    assert!(last.0 * 2 < first.0 * 3, "blocks of the third and of the last pass: {first:?}, {last:?}");
    assert!(last.1 * 2 < first.1 * 3, "entries of the third and of the last pass: {first:?}, {last:?}");

    drop(held);
    server.psql_in(&database, "VACUUM queue").unwrap();
    let left = "SELECT pg_relation_size('queue') + pg_relation_size('queue_pkey') + pg_relation_size('queue_in_order')";
    let size = || server.psql_in(&database, left).unwrap().parse::<i64>().unwrap();
    let before = size();
    for _ in 0..5 {
        pass(&store, &acme, &mut after).await;
        server.psql_in(&database, "VACUUM queue").unwrap();
    }
    assert!(size() <= before + (1 << 20), "the queue grows: {before} then {}", size());
    assert!(unfinished(&store, &acme).await.is_empty());
    let fence = Fence::default();
    assert!(store.settle_tasks(fence, vec![], vec![], at(7)).await.unwrap().accepted.is_empty());
}
