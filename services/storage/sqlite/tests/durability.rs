//! What was acknowledged is there after a crash, a full disk loses nothing and leaves nothing half done, and callers
//! share transactions.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::sync::Arc;

use futures::future::join_all;
use tempfile::TempDir;
use tidemill_kernel::{ErrorKind, Id, Shard, TenantName, Timestamp};
use tidemill_sqlite::{SqliteConfig, SqliteStore};
use tidemill_store::conformance::fixture::{
    at, attempt, completion, document, lease, matched, name, page, query, task, tenant, unmatched,
};
use tidemill_store::content::{ContentStore, Document};
use tidemill_store::task::{AppendedTask, Fence, NewTask, TaskState, TaskStore, TenantTasks};
use tidemill_store::{Error, TenantStore};

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

async fn open(path: &Path, max_bytes: Option<u64>) -> SqliteStore {
    SqliteStore::open(SqliteConfig { path: path.to_owned(), max_bytes, ..SqliteConfig::default() })
        .await
        .unwrap()
}

async fn acme(store: &SqliteStore) -> TenantName {
    store.create_tenant(tenant("acme"), None).await.unwrap();
    name("acme")
}

async fn append(
    store: &SqliteStore,
    tenant: &TenantName,
    tasks: Vec<NewTask>,
    now: Timestamp,
) -> tidemill_store::Result<Vec<AppendedTask>> {
    let batch = TenantTasks { tenant: tenant.clone(), tasks };
    Ok(store.append_tasks(vec![batch], now).await?.remove(0))
}

async fn record(store: &SqliteStore, tasks: &[Id]) {
    let leases = (0..).zip(tasks).map(|(token, task)| lease(*task, token)).collect();
    assert_eq!(store.record_leases(Fence::default(), leases, vec![]).await.unwrap(), []);
}

/// The files as a crash at this moment would leave them.
fn crash(from: &Path) -> TempDir {
    let to = folder();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_crash() {
    let folder = folder();
    let store = open(folder.path(), None).await;
    let tenant = acme(&store).await;
    store.put_query(&tenant, query(1)).await.unwrap();
    store.append_documents(&tenant, vec![matched(1, &[(1, 1.0)])], 1, at(5)).await.unwrap();
    let stored = append(&store, &tenant, (1..=100).map(task).collect(), at(2)).await.unwrap();
    let stored: Vec<Id> = stored.into_iter().map(|row| row.id).collect();
    record(&store, &stored[..50]).await;
    let done = |id: &Id| completion(lease(*id, 0).attempt);
    let (fence, shard) = (Fence::default, Shard::of_tenant(&tenant));
    store.settle_tasks(fence(), stored[..25].iter().map(done).collect(), vec![], at(6)).await.unwrap();
    let expected = (store.count_tasks(&tenant).await.unwrap(), store.counts(&tenant).await.unwrap());
    let last = store.queues(shard).await.unwrap().last_place;

    let left = crash(folder.path());
    let store = open(left.path(), None).await;
    assert_eq!((store.count_tasks(&tenant).await.unwrap(), store.counts(&tenant).await.unwrap()), expected);
    assert_eq!(store.load_running(shard, shard.place(0), 1_000).await.unwrap().len(), 25);
    assert_eq!(store.search_documents(&tenant, "turbine", page(9)).await.unwrap().items.len(), 1);
    let again = vec![done(&stored[24]), done(&stored[25])];
    let settled = store.settle_tasks(fence(), again, vec![], at(9)).await.unwrap();
    assert_eq!(settled.accepted, [false, true]);
    let later = append(&store, &tenant, vec![task(500)], at(9)).await.unwrap();
    assert!(later[0].id.place() > last);
    let documents = vec![unmatched(document(1)), unmatched(document(2))];
    let appended = store.append_documents(&tenant, documents, 1, at(9)).await.unwrap();
    assert_eq!([appended[0].duplicate, appended[1].duplicate], [true, false]);
}

#[tokio::test]
async fn a_dropped_store_finishes_what_it_took_and_lets_go() {
    let folder = folder();
    let store = open(folder.path(), None).await;
    let tenant = acme(&store).await;
    let stored = append(&store, &tenant, vec![task(1)], at(2)).await.unwrap();
    drop(store);
    let store = loop {
        let config = SqliteConfig { path: folder.path().to_owned(), ..SqliteConfig::default() };
        match SqliteStore::open(config).await {
            Ok(store) => break store,
            Err(tidemill_sqlite::Error::InUse(_)) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    assert!(store.task(&tenant, stored[0].id).await.unwrap().is_some());
}

fn large(number: u128) -> tidemill_store::content::MatchedDocument {
    unmatched(Document { body: format!("word{number} ").repeat(1_000), ..document(number) })
}

#[tokio::test]
async fn a_full_disk_refuses_whole_steps_and_goes_on_when_there_is_room() {
    let folder = folder();
    let store = open(folder.path(), Some(1 << 20)).await;
    let tenant = acme(&store).await;
    let mut stored = 0;
    let error = loop {
        let rows = (stored * 4..stored * 4 + 4).map(large).collect();
        match store.append_documents(&tenant, rows, 0, at(5)).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 1_000, "the limit has no effect");
    };
    assert!(matches!(error, Error::Full(_)), "{error}");
    assert_eq!(error.kind(), ErrorKind::Exhausted);
    assert!(stored > 2, "the limit is too low to show anything");
    let expected = i64::try_from(stored * 4).unwrap();
    assert_eq!(store.counts(&tenant).await.unwrap().documents, expected);
    let hits = async |number| {
        store.search_documents(&tenant, &format!("word{number}"), page(1)).await.unwrap().items
    };
    assert_eq!((hits(0).await.len(), hits(stored * 4).await.len()), (1, 0));
    let refused: Vec<_> = (stored * 4..stored * 4 + 4).map(|number| document(number).id).collect();
    assert!(store.documents(&tenant, &refused).await.unwrap().is_empty());

    store.set_max_bytes(None).await.unwrap();
    let rows = (stored * 4..stored * 4 + 4).map(large).collect();
    let appended = store.append_documents(&tenant, rows, 0, at(6)).await.unwrap();
    assert!(appended.iter().all(|row| !row.duplicate));
    assert_eq!(store.counts(&tenant).await.unwrap().documents, expected + 4);
    store.close().await;
    let store = open(folder.path(), None).await;
    assert_eq!(store.counts(&tenant).await.unwrap().documents, expected + 4);
}

#[tokio::test]
async fn on_a_full_disk_only_the_steps_that_need_room_fail() {
    let folder = folder();
    let store = Arc::new(open(folder.path(), Some(1 << 20)).await);
    let tenant = acme(&store).await;
    let stored = append(&store, &tenant, vec![task(1)], at(2)).await.unwrap()[0].id;
    let rows: Vec<_> = (0..400).map(large).collect();
    let (full, settled) = tokio::join!(
        store.append_documents(&tenant, rows, 0, at(5)),
        store.settle_tasks(Fence::default(), vec![completion(attempt(stored, 1))], vec![], at(6)),
    );
    assert!(matches!(full, Err(Error::Full(_))), "{full:?}");
    assert_eq!(settled.unwrap().accepted, [true]);
    assert_eq!(store.task(&tenant, stored).await.unwrap().unwrap().state, TaskState::Succeeded);
    assert_eq!(store.counts(&tenant).await.unwrap().documents, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_meet_share_a_transaction() {
    let folder = folder();
    let store = Arc::new(open(folder.path(), None).await);
    let tenant = acme(&store).await;
    let before = store.commits();
    let calls = (0..500).map(|number| {
        let (store, tenant) = (Arc::clone(&store), tenant.clone());
        async move { append(&store, &tenant, vec![task(number)], at(2)).await.unwrap() }
    });
    let appended = join_all(calls).await;
    let mut places: Vec<i64> = appended.iter().map(|rows| rows[0].id.place()).collect();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), 500);
    let commits = store.commits() - before;
    assert!(commits <= 50, "{commits} transactions for 500 calls that met");
    assert_eq!(store.page_tasks(&tenant, None, None, page(1_000)).await.unwrap().items.len(), 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_leaves_those_it_met_alone() {
    let folder = folder();
    let store = Arc::new(open(folder.path(), None).await);
    let tenant = acme(&store).await;
    let calls = (0..100).map(|number: u128| {
        let (store, tenant) = (Arc::clone(&store), tenant.clone());
        // Every tenth asks for a tenant that is not there, behind one that is.
        let other = if number.is_multiple_of(10) { name("nobody") } else { tenant.clone() };
        let tasks = |tenant, number| TenantTasks { tenant, tasks: vec![task(number)] };
        let batches = vec![tasks(tenant, number), tasks(other, 1_000 + number)];
        async move { store.append_tasks(batches, at(2)).await }
    });
    let outcomes = join_all(calls).await;
    for (number, outcome) in outcomes.iter().enumerate() {
        assert_eq!(outcome.is_err(), number.is_multiple_of(10), "{outcome:?}");
    }
    let tasks = store.page_tasks(&tenant, None, None, page(1_000)).await.unwrap().items;
    assert_eq!(tasks.len(), 180);
    let counted: i64 = store.count_tasks(&tenant).await.unwrap().iter().map(|row| row.count).sum();
    assert_eq!(counted, 180);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_read_while_one_writes() {
    let folder = folder();
    let store = Arc::new(open(folder.path(), None).await);
    let tenant = acme(&store).await;
    let writer = {
        let (store, tenant) = (Arc::clone(&store), tenant.clone());
        tokio::spawn(async move {
            for batch in 0..20 {
                let tasks = (batch * 100..(batch + 1) * 100).map(task).collect();
                append(&store, &tenant, tasks, at(2)).await.unwrap();
            }
        })
    };
    let readers = (0..12).map(|_| {
        let (store, tenant) = (Arc::clone(&store), tenant.clone());
        tokio::spawn(async move {
            let mut seen = 0;
            while seen < 2_000 {
                let counted: i64 =
                    store.count_tasks(&tenant).await.unwrap().iter().map(|row| row.count).sum();
                assert!(counted >= seen && counted % 100 == 0, "{counted} after {seen}");
                seen = counted;
            }
        })
    });
    for done in join_all(readers).await {
        done.unwrap();
    }
    writer.await.unwrap();
}
