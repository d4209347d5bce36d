//! PostgreSQL crashes and comes back while steps run: nothing acknowledged is lost, and nobody opens the store again.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use tidemill_kernel::{Id, TenantName};
use tidemill_postgres::{PostgresConfig, PostgresStore};
use tidemill_store::Error;
use tidemill_store::conformance::fixture::{Shared, at, completion, create, lease, page, task};
use tidemill_store::task::{Fence, TaskState, TenantTasks};
use tidemill_tests::harness::{poll, postgres::Server};

const WRITERS: u128 = 8;
const CRASHES: usize = 3;
/// How many tasks are acknowledged between two crashes.
const BETWEEN: usize = 150;

/// What one writer was told.
#[derive(Default)]
struct Told {
    stored: Vec<Id>,
    succeeded: Vec<Id>,
    unknown: usize,
}

/// Stores, leases and settles one task after another until enough have been acknowledged to all.
async fn write(store: Shared, writer: u128, acknowledged: Arc<AtomicUsize>) -> Told {
    let acme: TenantName = "acme".parse().unwrap();
    let mut told = Told::default();
    for number in 0.. {
        if acknowledged.load(Ordering::SeqCst) >= (CRASHES + 1) * BETWEEN {
            break;
        }
        let batch = TenantTasks { tenant: acme.clone(), tasks: vec![task(writer * 1_000_000 + number)] };
        let id = match store.append_tasks(vec![batch], at(2)).await {
            Ok(rows) => rows[0][0].id,
            // It may have happened or not; the writer was not told that it has.
            Err(Error::Unavailable(_)) => {
                told.unknown += 1;
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        told.stored.push(id);
        acknowledged.fetch_add(1, Ordering::SeqCst);
        let recorded = store.record_leases(Fence::default(), vec![lease(id, writer)], vec![]).await;
        if number % 2 == 0 && recorded.is_err() {
            continue;
        }
        let done = vec![completion(lease(id, writer).attempt)];
        let settled = store.settle_tasks(Fence::default(), done, vec![], at(6)).await;
        if settled.is_ok_and(|settled| settled.accepted == [true]) {
            told.succeeded.push(id);
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: crashes a database several times"]
async fn a_crash_of_the_database_loses_nothing_acknowledged_and_needs_no_reopening() {
    // With the flushes to the disk that its default asks for.
    let Some(server) = Server::start("").unwrap() else { return };
    let config = PostgresConfig {
        url: server.database().unwrap(),
        max_connections: 8,
        acquire_timeout_ms: 30_000,
        ..PostgresConfig::default()
    };
    let store: Shared = Arc::new(PostgresStore::connect(config).await.unwrap());
    let acme = create(&store, "acme").await;
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let writers =
        (0..WRITERS).map(|writer| tokio::spawn(write(Arc::clone(&store), writer, Arc::clone(&acknowledged))));
    let writers: Vec<_> = writers.collect();
    for crash in 1..=CRASHES {
        let enough =
            || std::future::ready((acknowledged.load(Ordering::SeqCst) >= crash * BETWEEN).then_some(()));
        poll::until("writers go on", Duration::from_secs(60), enough).await.unwrap();
        server.stop().unwrap();
        server.restart().unwrap();
        let (back, before) = (std::time::Instant::now(), acknowledged.load(Ordering::SeqCst));
        let more = || std::future::ready((acknowledged.load(Ordering::SeqCst) > before).then_some(()));
        poll::until("a writer is told again", Duration::from_secs(60), more).await.unwrap();
        println!("crash {crash}: a task is acknowledged {:?} after the database is back", back.elapsed());
    }
    let told: Vec<Told> = join_all(writers).await.into_iter().map(Result::unwrap).collect();

    let mut stored = HashSet::new();
    let mut next = page(1_000);
    loop {
        let page = store.page_tasks(&acme, None, None, next).await.unwrap();
        stored.extend(page.items.iter().map(|task| (task.id, task.state == TaskState::Succeeded)));
        if page.next_token.is_empty() {
            break;
        }
        next = tidemill_store::conformance::fixture::next(1_000, &page.next_token);
    }
    for told in &told {
        for id in &told.stored {
            assert!(stored.contains(&(*id, true)) || stored.contains(&(*id, false)), "{id} was lost");
        }
        for id in &told.succeeded {
            assert!(stored.contains(&(*id, true)), "the result of {id} was lost");
        }
    }
    let counted: i64 = store.count_tasks(&acme).await.unwrap().iter().map(|row| row.count).sum();
    assert_eq!(usize::try_from(counted).unwrap(), stored.len(), "the counts follow");
    let unknown: usize = told.iter().map(|told| told.unknown).sum();
    let known: usize = told.iter().map(|told| told.stored.len()).sum();
    assert!(known >= (CRASHES + 1) * BETWEEN);
    // Calls that met a crash waited for the database or were told; none hung, none was lost.
    assert!(stored.len() <= known + unknown, "{} stored, {known} told, {unknown} not", stored.len());
    println!("{known} acknowledged, {unknown} unknown, {CRASHES} crashes");
}
