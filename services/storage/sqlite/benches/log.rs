//! Tasks per second through the store alone, appended and settled in batches, beside bare SQLite doing the least that
//! such a log must do: insert a row, delete it, in transactions of the same size and durability.
//!
//! The processor's time is that of all threads, the callers' share included; it is the figure to look at on a machine
//! that does other things too.
//!
//! `cargo bench -p tidemill-sqlite`. Without `--bench` (as a test run does) it shows only that it works.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use tidemill_kernel::{Id, Priority, Timestamp};
use tidemill_sqlite::{SqliteConfig, SqliteStore};
use tidemill_store::TenantStore;
use tidemill_store::conformance::fixture::{self, at, attempt, name};
use tidemill_store::task::{Completion, Fence, NewTask, TaskStore, TenantTasks};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many tasks a call has.
const BATCH: usize = 1_000;

/// What was done, how long it took, and how long the processors were at it.
type Phase = (String, Duration, Duration);

/// A moment on both clocks.
struct Begun(Instant, Duration);

impl Begun {
    fn now() -> Self {
        Self(Instant::now(), processor())
    }

    fn ended(&self, what: impl Into<String>) -> Phase {
        (what.into(), self.0.elapsed(), processor().saturating_sub(self.1))
    }
}

/// The processor's time of the threads that there are; nothing where the system does not tell.
fn processor() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanos = threads.filter_map(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        stat.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

fn main() {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let (count, rounds) = if is_bench { (100_000, 5) } else { (2_000, 1) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut best: Vec<Phase> = Vec::new();
    for _ in 0..rounds {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut times = bare(folder.path(), count);
        for (tenants, keep) in
            [(1, Some(Duration::ZERO)), (1, None), (100, Some(Duration::ZERO)), (100, None)]
        {
            let path = folder.path().join(format!("{tenants}-{}", keep.is_some()));
            times.extend(runtime.block_on(store(&path, count, tenants, keep)));
        }
        if best.is_empty() {
            best = times;
        } else {
            for ((_, best, least), (_, time, processor)) in best.iter_mut().zip(times) {
                (*best, *least) = (time.min(*best), processor.min(*least));
            }
        }
    }
    println!("{count} tasks of 200 bytes, {BATCH} a call, best of {rounds} rounds");
    for (what, time, processor) in best {
        let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(u32::try_from(count).unwrap());
        let (time, processor) = (each(time), each(processor));
        println!("{what:<32} {:>9.0}/s {time:>6.2} us, {processor:>6.2} us of processors", 1e6 / time);
    }
}

/// One table, nothing around it.
fn bare(folder: &Path, count: usize) -> Vec<Phase> {
    let mut file = Connection::open(folder.join("bare.db")).unwrap();
    file.execute_batch(
        "PRAGMA journal_mode = wal; PRAGMA synchronous = full; PRAGMA wal_autocheckpoint = 8192;
         CREATE TABLE tasks (id INTEGER PRIMARY KEY, payload TEXT NOT NULL)",
    )
    .unwrap();
    let payload = "x".repeat(200);
    let mut phase = |what: &str, sql: &str, has_payload: bool| {
        let begun = Begun::now();
        for first in (1..=count).step_by(BATCH) {
            let transaction = file.transaction().unwrap();
            let mut statement = transaction.prepare_cached(sql).unwrap();
            for id in first..first + BATCH {
                let id = i64::try_from(id).unwrap();
                let changed = if has_payload {
                    statement.execute(params![id, payload])
                } else {
                    statement.execute([id])
                };
                assert_eq!(changed.unwrap(), 1);
            }
            drop(statement);
            transaction.commit().unwrap();
        }
        begun.ended(what)
    };
    let insert = phase("bare SQLite: insert", "INSERT INTO tasks (id, payload) VALUES (?1, ?2)", true);
    let delete = phase("bare SQLite: delete", "DELETE FROM tasks WHERE id = ?1", false);
    vec![insert, delete]
}

/// Appends and settles, a few calls at once, as a busy scheduler does.
async fn store(path: &Path, count: usize, tenants: usize, keep: Option<Duration>) -> Vec<Phase> {
    let store =
        SqliteStore::open(SqliteConfig { path: path.to_owned(), ..SqliteConfig::default() }).await.unwrap();
    for tenant in 0..tenants {
        store.create_tenant(fixture::tenant(&format!("t{tenant}")), None).await.unwrap();
    }
    let begun = Begun::now();
    let mut ids: Vec<Id> = Vec::with_capacity(count);
    for _ in 0..count / BATCH / 4 {
        let calls = (0..4).map(|_| {
            let batch = |tenant| TenantTasks {
                tenant: name(&format!("t{tenant}")),
                tasks: (0..BATCH / tenants).map(|_| new(keep)).collect(),
            };
            store.append_tasks((0..tenants).map(batch).collect(), at(2))
        });
        let appended = futures::future::try_join_all(calls).await.unwrap();
        ids.extend(appended.iter().flatten().flatten().map(|row| row.id));
    }
    let append = begun.ended(format!("append, {tenants} tenants"));
    let begun = Begun::now();
    for ids in ids.chunks(BATCH * 4) {
        let calls = ids.chunks(BATCH).map(|ids| {
            let done = ids
                .iter()
                .map(|id| Completion { result: String::new(), ..fixture::completion(attempt(*id, 1)) });
            store.settle_tasks(Fence::default(), done.collect(), vec![], at(6))
        });
        let settled = futures::future::try_join_all(calls).await.unwrap();
        assert!(settled.iter().all(|settled| settled.accepted.iter().all(|accepted| *accepted)));
    }
    let how = if keep.is_some() { "not kept" } else { "kept" };
    let settle = begun.ended(format!("settle, {tenants} tenants, {how}"));
    store.close().await;
    vec![append, settle]
}

fn new(keep: Option<Duration>) -> NewTask {
    NewTask {
        kind: "analyze".to_owned(),
        priority: Priority::Normal,
        payload: "x".repeat(200),
        key: String::new(),
        key_until: Timestamp::from_micros(0),
        run_at: at(3),
        max_attempts: 3,
        unique: false,
        trace_parent: String::new(),
        keep,
        options: Vec::new(),
        group: String::new(),
    }
}
