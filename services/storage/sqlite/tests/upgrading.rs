//! Folders of earlier versions: brought up to date, and nothing of them is lost.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::path::Path;

use rusqlite::{Connection, params};
use tidemill_kernel::{Id, Priority, Shard, TenantName, Timestamp};
use tidemill_sqlite::{SqliteConfig, SqliteStore};
use tidemill_store::conformance::fixture::{at, completion, keyed, lease, name, page, task};
use tidemill_store::content::ContentStore;
use tidemill_store::task::{Fence, Task, TaskCount, TaskState, TaskStore, TenantTasks};

/// The first edition of the queue.
const OLD: [&str; 3] = [
    include_str!("../migrations/0001_tenants.sql"),
    include_str!("../migrations/0002_content.sql"),
    include_str!("../migrations/0003_tasks.sql"),
];

const APPLIED: &str = "
    CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL,
        installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL, checksum BLOB NOT NULL,
        execution_time BIGINT NOT NULL);
    INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
    VALUES (1, 'tenants', true, x'00', 1), (2, 'content', true, x'00', 1), (3, 'tasks', true, x'00', 1);
    INSERT INTO tenants (id, name, tier, created_at, queries, matches, documents, query_version)
    VALUES (1, 'acme', 1, 1, 1, 1, 1, 1), (2, 'beta', 1, 1, 0, 0, 0, 0);
    INSERT INTO queries VALUES (1, 1, x'00000000000000000000000000000001', 'q', 'wind', 'brief@1', '{}', 2, 1);
    INSERT INTO documents VALUES (1, 1, x'00000000000000000000000000000002', 's', 'x', '', 'title', 'wind', NULL, 1);
    INSERT INTO matches VALUES (1, 1, 1, 1, 1.0, 1, 2);
    INSERT INTO task_counts VALUES (1, 2, 'analyze', 1, 2), (1, 2, 'analyze', 2, 1), (1, 2, 'analyze', 3, 1),
                                   (1, 2, 'analyze', 4, 1), (1, 2, 'analyze', 5, 1), (2, 2, 'analyze', 1, 1);";

/// Number, tenant, state, attempt; the sixth failed once and waits again.
const TASKS: [(i64, i64, i64, i64); 7] =
    [(1, 1, 3, 1), (2, 1, 1, 0), (3, 1, 2, 2), (4, 2, 1, 0), (5, 1, 4, 3), (6, 1, 1, 1), (9, 1, 5, 0)];

fn old_folder(path: &Path) {
    std::fs::create_dir(path).unwrap();
    let file = Connection::open(path.join("tidemill.db")).unwrap();
    OLD.iter().chain([&APPLIED]).for_each(|sql| file.execute_batch(sql).unwrap());
    for (number, tenant, state, attempt) in TASKS {
        let id = [u8::try_from(number).unwrap(); 16];
        let key = if number == 9 { String::new() } else { format!("k{number}") };
        file.execute(
            "INSERT INTO tasks VALUES (?1, ?2, ?3, 3, ?4, ?5, 'trace', ?6)",
            params![number, id, tenant, at(number).as_micros(), key, format!("payload {number}")],
        )
        .unwrap();
        let finished = (state > 2).then(|| at(60 + number).as_micros());
        let started = (attempt > 0).then(|| at(50 + number).as_micros());
        let (expires, token) = if state == 2 { (Some(1), Some([7_u8; 16])) } else { (None, None) };
        let worker = if attempt > 0 { "worker-1" } else { "" };
        let error = if state == 4 || number == 6 { "no luck" } else { "" };
        let result = if state == 3 { "done" } else { "" };
        file.execute(
            "INSERT INTO task_states VALUES (?1, ?2, 'analyze', 2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            params![
                number, tenant, state, attempt, at(3).as_micros(), started, finished, expires, token, worker, error,
                result
            ],
        )
        .unwrap();
    }
}

async fn all(store: &SqliteStore, tenant: &TenantName) -> Vec<Task> {
    store.page_tasks(tenant, None, None, page(100)).await.unwrap().items
}

fn id(tenant: &TenantName, number: i64) -> Id {
    Id::placed(at(number), Shard::of_tenant(tenant).place(number))
}

#[tokio::test]
async fn the_tasks_of_the_first_edition_are_there_in_their_states_and_order() {
    let folder = tempfile::tempdir().unwrap();
    let config = SqliteConfig { path: folder.path().join("data"), ..SqliteConfig::default() };
    old_folder(&config.path);
    let store = SqliteStore::open(config).await.unwrap();
    let (acme, beta) = (name("acme"), name("beta"));
    let tasks = all(&store, &acme).await;
    let seen: Vec<_> = tasks.iter().map(|task| (task.id, task.state, task.attempt)).collect();
    let expected =
        TASKS.iter().rev().filter(|(_, tenant, ..)| *tenant == 1).map(|(number, _, state, attempt)| {
            let state = TaskState::from_number(i32::try_from(*state).unwrap()).unwrap();
            (id(&acme, *number), state, u32::try_from(*attempt).unwrap())
        });
    assert_eq!(seen, expected.collect::<Vec<_>>());
    assert_eq!(all(&store, &beta).await.len(), 1);
    let dead = store.task(&acme, id(&acme, 5)).await.unwrap().unwrap();
    let finished = (dead.finished_at, dead.started_at, dead.worker.as_str(), dead.error.as_str());
    assert_eq!(finished, (Some(at(65)), Some(at(55)), "worker-1", "no luck"));
    let expected = (at(5), at(3), "payload 5", "k5", "trace", 3, None);
    let new = &dead.new;
    let seen = (
        dead.created_at(),
        new.run_at,
        new.payload.as_str(),
        new.key.as_str(),
        new.trace_parent.as_str(),
        new.max_attempts,
        new.keep,
    );
    assert_eq!(seen, expected);
    assert_eq!(store.task(&acme, id(&acme, 1)).await.unwrap().unwrap().result, "done");
    let counts = |state, count| TaskCount { priority: Priority::Normal, state, count };
    let [waiting, running, succeeded, dead, cancelled] = TaskState::ALL;
    let expected =
        [counts(waiting, 2), counts(running, 1), counts(succeeded, 1), counts(dead, 1), counts(cancelled, 1)];
    assert_eq!(store.count_tasks(&acme).await.unwrap(), expected);
}

#[tokio::test]
async fn a_folder_of_the_first_edition_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let config = SqliteConfig { path: folder.path().join("data"), ..SqliteConfig::default() };
    old_folder(&config.path);
    let store = SqliteStore::open(config.clone()).await.unwrap();
    let acme = name("acme");
    let shard = Shard::of_tenant(&acme);
    // What ran is known to run, under its token.
    let running = store.load_running(shard, shard.place(0), 9).await.unwrap();
    assert_eq!((running.len(), running[0].0.id, running[0].1), (1, id(&acme, 3), Id::from_bytes([7; 16])));
    let done = completion(lease(id(&acme, 3), 0).attempt);
    let settled = store.settle_tasks(Fence::default(), vec![done], vec![], at(99)).await.unwrap();
    assert_eq!(settled.accepted, [true]);
    // Keys are known, new tasks come behind the old ones.
    let tasks = vec![keyed(1, "k1"), keyed(6, "k6"), task(10)];
    let batch = TenantTasks { tenant: acme.clone(), tasks };
    let appended = store.append_tasks(vec![batch], at(99)).await.unwrap().remove(0);
    let seen: Vec<_> = appended.iter().map(|row| (row.id, row.duplicate)).collect();
    let new = Id::placed(at(99), shard.place(10));
    assert_eq!(seen, [(id(&acme, 1), true), (id(&acme, 6), true), (new, false)]);
    // A query that goes takes the task of its match with it.
    store.remove_query(&acme, "q", at(99)).await.unwrap();
    let state = store.task(&acme, id(&acme, 2)).await.unwrap().unwrap().state;
    assert_eq!(state, TaskState::Cancelled);
    let before = all(&store, &acme).await;
    store.close().await;
    let store = SqliteStore::open(config).await.unwrap();
    assert_eq!(all(&store, &acme).await, before, "brought up to date once");
    assert_eq!(store.sweep(std::time::Duration::ZERO, 100, Timestamp::from_micros(0)).await.unwrap(), 0);
}
