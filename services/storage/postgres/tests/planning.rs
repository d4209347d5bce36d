//! What statements cost that were planned before their tables grew.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::ops::Range;
use std::sync::Arc;

use tidemill_kernel::{Priority, Shard, TenantName};
use tidemill_postgres::{PostgresConfig, PostgresStore};
use tidemill_store::conformance::fixture::{
    Shared, analysis, at, attempt, completion, create, document, matched, page, query, settle, task,
};
use tidemill_store::task::{Completion, TaskState, TenantTasks};
use tidemill_tests::harness::postgres::Server;

/// How many documents come after the statements were planned.
const ALL: u128 = 1_000;
const TABLES: [&str; 6] = ["tenants", "queries", "documents", "matches", "analyses", "queue"];

/// A store that has one connection, with one plan of each statement.
async fn open(url: &str) -> Shared {
    let config = PostgresConfig { url: url.to_owned(), max_connections: 1, ..PostgresConfig::default() };
    Arc::new(PostgresStore::connect(config).await.unwrap())
}

/// How many rows of these tables were looked at so far by sessions that are over.
fn looked_at(server: &Server, database: &str) -> u64 {
    let ended =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
                 AND application_name = 'tidemill'";
    while server.psql_in(database, ended).unwrap() != "0" {
        std::thread::yield_now();
    }
    let sum = format!(
        "SELECT coalesce(sum(i.idx_tup_read), 0) + (SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE relname IN ({0}))
         FROM pg_stat_user_indexes i WHERE i.relname IN ({0})",
        TABLES.map(|table| format!("'{table}'")).join(", ")
    );
    server.psql_in(database, &sum).unwrap().parse().unwrap()
}

/// Stores documents with a match each, has those of the first `some` analysed and read, and stores these again.
async fn round(store: &Shared, acme: &TenantName, numbers: Range<u128>, some: usize) {
    let rows = |numbers: Range<u128>| numbers.map(|number| matched(number, &[(1, 0.5)])).collect();
    let again = numbers.start..numbers.start + some as u128;
    let before = store.load_new(Shard::of_tenant(acme), 0, 5_000).await.unwrap();
    let after = before.last().map_or(0, |last| last.id.place());
    for rows in [rows(numbers.clone()), rows(again.clone())] {
        store.append_documents(acme, rows, 1, at(5)).await.unwrap();
    }
    let tasks = store.load_new(Shard::of_tenant(acme), after, 5_000).await.unwrap();
    let done = tasks.iter().zip(again.clone()).map(|(task, number)| {
        let of = (query(1).id, document(number).id, analysis("brief"));
        Completion { analysis: Some(of), ..completion(attempt(task.id, 1)) }
    });
    let settled = settle(store, done.collect(), vec![], at(6)).await;
    assert_eq!(settled.accepted, vec![true; some]);
    let ids: Vec<_> = again.map(|number| document(number).id).collect();
    assert_eq!(store.documents(acme, &ids).await.unwrap().len(), some);
    for of in [Some("q1"), None] {
        let page = store.page_results(acme, of, page(500)).await.unwrap();
        assert!(page.items.len() >= some);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_costs_what_it_holds_although_it_was_planned_when_the_tables_were_empty() {
    let Some(server) = Server::shared().unwrap() else { return };
    let url = server.database().unwrap();
    let database = url.rsplit('/').next().unwrap().to_owned();
    let store = open(&url).await;
    let acme = create(&store, "acme").await;
    store.put_query(&acme, query(1)).await.unwrap();
    for table in TABLES {
        server.psql_in(&database, &format!("ALTER TABLE {table} SET (autovacuum_enabled = false)")).unwrap();
    }
    // Statements are planned once for a connection, here with what the tables are like now.
    round(&store, &acme, 0..1, 1).await;
    round(&store, &acme, 1..1 + ALL, 500).await;
    drop(store);
    let cost = looked_at(&server, &database);
    assert!(
        cost < 50_000,
        "{cost} rows were looked at for {ALL} documents, of which 500 were looked up five times"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_small_queue_costs_what_it_holds_beside_a_large_one() {
    let Some(server) = Server::shared().unwrap() else { return };
    let url = server.database().unwrap();
    let database = url.rsplit('/').next().unwrap().to_owned();
    let store = open(&url).await;
    let flood = create(&store, "acme").await;
    // Its tasks lie among those of the flood.
    let beside = (0..).map(|number| format!("beside-{number}"));
    let beside = beside.filter(|name| Shard::of_tenant(&name.parse().unwrap()) == Shard::of_tenant(&flood));
    let small = create(&store, &beside.into_iter().next().unwrap()).await;
    let append = async |tenant: &TenantName, count: u128| {
        let batch = TenantTasks { tenant: tenant.clone(), tasks: (0..count).map(task).collect() };
        store.append_tasks(vec![batch], at(2)).await.unwrap();
    };
    for count in [4_000, 1_000] {
        append(&flood, count).await;
        append(&small, 1).await;
    }
    server.psql_in(&database, "ANALYZE queue").unwrap();
    drop(store);
    let before = looked_at(&server, &database);

    let store = open(&url).await;
    let waiting = store.load_waiting(&small, Priority::Normal, "analyze", 0, 1_000).await.unwrap();
    assert_eq!(waiting.len(), 2);
    for state in [None, Some(TaskState::Waiting)] {
        assert_eq!(store.page_tasks(&small, state, None, page(1_000)).await.unwrap().items.len(), 2);
    }
    let one = store.task(&small, waiting[1].id).await.unwrap();
    assert_eq!(one.unwrap().id, waiting[1].id);
    drop(store);
    let cost = looked_at(&server, &database) - before;
    assert!(cost < 200, "{cost} rows were looked at for two tasks of a small queue");
}
