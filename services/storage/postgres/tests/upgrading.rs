//! Databases of earlier versions: brought up to date, and nothing of them is lost.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::fmt::Write as _;
use std::time::Duration;

use tidemill_kernel::{Id, Priority, Shard, TenantName, Timestamp};
use tidemill_postgres::{PostgresConfig, PostgresStore};
use tidemill_store::conformance::fixture::{at, completion, keyed, lease, name, page, task};
use tidemill_store::content::ContentStore;
use tidemill_store::task::{Fence, Task, TaskCount, TaskState, TaskStore, TenantTasks};
use tidemill_tests::harness::postgres::Server;

/// The first edition of the queue.
const OLD: [&str; 3] = [
    include_str!("../migrations/0001_tenants.sql"),
    include_str!("../migrations/0002_content.sql"),
    include_str!("../migrations/0003_tasks.sql"),
];

const APPLIED: &str = "
    CREATE TABLE _sqlx_migrations (version bigint PRIMARY KEY, description text NOT NULL,
        installed_on timestamptz NOT NULL DEFAULT now(), success boolean NOT NULL, checksum bytea NOT NULL,
        execution_time bigint NOT NULL);
    INSERT INTO tenants (name, tier, created_at) VALUES ('acme', 1, 1), ('beta', 1, 1);
    INSERT INTO queries (tenant_id, query_id, name, expression, recipe, parameters, priority, created_at)
    VALUES (1, '00000000-0000-0000-0000-000000000001', 'q', 'wind', 'brief@1', '{}', 2, 1);
    INSERT INTO documents VALUES (1, 1, '00000000-0000-0000-0000-000000000002', 's', 'x', '', 'title', 'wind', NULL, 1, '', '',
        false);
    INSERT INTO matches VALUES (1, 1, 1, 1, 1.0, 1, 2);
    INSERT INTO counts VALUES (1, 1, 2, 'analyze', 2), (1, 2, 2, 'analyze', 1), (1, 3, 2, 'analyze', 1),
                              (1, 4, 2, 'analyze', 1), (1, 5, 2, 'analyze', 1), (2, 1, 2, 'analyze', 1);
    SELECT setval('task_log', 9);";

/// Number, tenant, state, attempt; the sixth failed once and waits again.
const TASKS: [(i64, i64, i32, i64); 7] =
    [(1, 1, 3, 1), (2, 1, 1, 0), (3, 1, 2, 2), (4, 2, 1, 0), (5, 1, 4, 3), (6, 1, 1, 1), (9, 1, 5, 0)];

/// A database as the first edition has left it; its URL.
fn old_database(server: &Server) -> String {
    let url = server.database().unwrap();
    let database = url.rsplit('/').next().unwrap();
    let mut sql = OLD.join("\n") + APPLIED;
    for migration in sqlx::migrate!().iter().take(3) {
        let checksum: String = migration.checksum.iter().map(|byte| format!("{byte:02x}")).collect();
        let (version, what) = (migration.version, &migration.description);
        let row = format!("({version}, '{what}', true, '\\x{checksum}', 0)");
        write!(sql, "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES {row};")
            .unwrap();
    }
    for (number, tenant, state, attempt) in TASKS {
        let key = if number == 9 { String::new() } else { format!("k{number}") };
        let (created, run_at) = (at(number).as_micros(), at(3).as_micros());
        let started = (attempt > 0).then(|| at(50 + number).as_micros().to_string());
        let started = started.unwrap_or("NULL".to_owned());
        let uuid = format!("00000000-0000-0000-0000-00000000010{number}");
        let worker = if attempt > 0 { "worker-1" } else { "" };
        let error = if state == 4 || number == 6 { "no luck" } else { "" };
        let result = if state == 3 { "done" } else { "" };
        write!(
            sql,
            "INSERT INTO tasks VALUES ({tenant}, {number}, '{uuid}', 'analyze', 2, 3, {created}, '{key}', 'trace',
                                       'payload {number}');"
        )
        .unwrap();
        if state > 2 {
            let finished = at(60 + number).as_micros();
            write!(
                sql,
                "INSERT INTO finished VALUES ({tenant}, {number}, {state}, 'analyze', {attempt}, {run_at}, {started}, {finished},
                                              '{worker}', '{error}', '{result}');"
            )
            .unwrap();
            continue;
        }
        // The queue has the attempts of before the lease.
        let before = if state == 2 { attempt - 1 } else { attempt };
        write!(
            sql,
            "INSERT INTO queue VALUES ({tenant}, 2, 'analyze', {number}, '{uuid}', {run_at}, {before}, {started}, '{worker}',
                                       '{error}');"
        )
        .unwrap();
        if state == 2 {
            write!(
                sql,
                "INSERT INTO leases VALUES ('{uuid}', {tenant}, 2, 'analyze', {number}, '{}', 1, {started}, {attempt},
                                            '{worker}');",
                Id::from_bytes([7; 16])
            )
            .unwrap();
        }
    }
    server.psql_in(database, &sql).unwrap();
    url
}

async fn open(url: &str) -> PostgresStore {
    let config = PostgresConfig { url: url.to_owned(), max_connections: 4, ..PostgresConfig::default() };
    PostgresStore::connect(config).await.unwrap()
}

async fn all(store: &PostgresStore, tenant: &TenantName) -> Vec<Task> {
    store.page_tasks(tenant, None, None, page(100)).await.unwrap().items
}

fn id(tenant: &TenantName, number: i64) -> Id {
    Id::placed(at(number), Shard::of_tenant(tenant).place(number))
}

#[tokio::test]
async fn the_tasks_of_the_first_edition_are_there_in_their_states_and_order() {
    let Some(server) = Server::shared().unwrap() else { return };
    let store = open(&old_database(&server)).await;
    let (acme, beta) = (name("acme"), name("beta"));
    let tasks = all(&store, &acme).await;
    let seen: Vec<_> = tasks.iter().map(|task| (task.id, task.state, task.attempt)).collect();
    let of_acme = TASKS.iter().rev().filter(|(_, tenant, ..)| *tenant == 1);
    let expected = of_acme.map(|(number, _, state, attempt)| {
        (id(&acme, *number), TaskState::from_number(*state).unwrap(), u32::try_from(*attempt).unwrap())
    });
    assert_eq!(seen, expected.collect::<Vec<_>>());
    assert_eq!(all(&store, &beta).await.len(), 1);
    let dead = store.task(&acme, id(&acme, 5)).await.unwrap().unwrap();
    let finished = (dead.finished_at, dead.started_at, dead.worker.as_str(), dead.error.as_str());
    assert_eq!(finished, (Some(at(65)), Some(at(55)), "worker-1", "no luck"));
    let new = &dead.new;
    let seen =
        (dead.created_at(), new.run_at, new.payload.as_str(), new.key.as_str(), new.trace_parent.as_str());
    assert_eq!(seen, (at(5), at(3), "payload 5", "k5", "trace"));
    assert_eq!((new.max_attempts, new.keep), (3, None));
    assert_eq!(store.task(&acme, id(&acme, 1)).await.unwrap().unwrap().result, "done");
    let counts = |state, count| TaskCount { priority: Priority::Normal, state, count };
    let [waiting, running, succeeded, dead, cancelled] = TaskState::ALL;
    let expected =
        [counts(waiting, 2), counts(running, 1), counts(succeeded, 1), counts(dead, 1), counts(cancelled, 1)];
    assert_eq!(store.count_tasks(&acme).await.unwrap(), expected);
}

#[tokio::test]
async fn a_database_of_the_first_edition_goes_on() {
    let Some(server) = Server::shared().unwrap() else { return };
    let url = old_database(&server);
    let store = open(&url).await;
    let acme = name("acme");
    let shard = Shard::of_tenant(&acme);
    // What waits is known to wait, what ran to run, under its token.
    let queues = store.queues(shard).await.unwrap();
    let waiting: Vec<i64> =
        queues.depths.iter().filter(|queue| queue.tenant == acme).map(|queue| queue.waiting).collect();
    assert_eq!((waiting, queues.last_place), (vec![2], shard.place(9)));
    let running = store.load_running(shard, shard.place(0), 9).await.unwrap();
    assert_eq!((running.len(), running[0].0.id, running[0].1), (1, id(&acme, 3), Id::from_bytes([7; 16])));
    let done = completion(lease(id(&acme, 3), 0).attempt);
    let settled = store.settle_tasks(Fence::default(), vec![done], vec![], at(99)).await.unwrap();
    assert_eq!(settled.accepted, [true]);
    // Keys are known, new tasks come behind the old ones.
    let batch = TenantTasks { tenant: acme.clone(), tasks: vec![keyed(1, "k1"), keyed(6, "k6"), task(10)] };
    let appended = store.append_tasks(vec![batch], at(99)).await.unwrap().remove(0);
    assert_eq!((appended[0].id, appended[0].duplicate), (id(&acme, 1), true));
    assert_eq!((appended[1].id, appended[1].duplicate), (id(&acme, 6), true));
    assert!(!appended[2].duplicate && appended[2].id.place() > shard.place(9));
    // A query that goes takes the task of its match with it.
    store.remove_query(&acme, "q", at(99)).await.unwrap();
    let state = store.task(&acme, id(&acme, 2)).await.unwrap().unwrap().state;
    assert_eq!(state, TaskState::Cancelled);
    let before = all(&store, &acme).await;
    store.close().await;
    let store = open(&url).await;
    assert_eq!(all(&store, &acme).await, before, "brought up to date once");
    assert_eq!(store.sweep(Duration::ZERO, 100, Timestamp::from_micros(0)).await.unwrap(), 0);
}
