//! The store behind the storage service: the port's conformance suite run through gRPC, and what the service adds to
//! the port.
#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod grpc_store;
mod service;

use std::sync::{Arc, OnceLock};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tempfile::TempDir;
use tidemill_postgres::{PostgresConfig, PostgresStore};
use tidemill_sqlite::{SqliteConfig, SqliteStore, Synchronous};
use tidemill_store::conformance::history;
use tidemill_store::{MemoryStore, Store};
use tidemill_tests::harness::postgres::Server;

/// An empty store in memory.
fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new("memory"))
}

/// An empty store on SQLite, and the folder that it is in.
async fn sqlite() -> (Arc<dyn Store>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    // What the disk has seen is tested elsewhere; here it would only cost time.
    let synchronous = Synchronous::Normal;
    let config = SqliteConfig { path: folder.path().join("data"), synchronous, ..SqliteConfig::default() };
    (Arc::new(SqliteStore::open(config).await.unwrap()), folder)
}

/// An empty store on PostgreSQL, and the server that it is on; the store in memory where PostgreSQL is missing, which
/// has then been said.
async fn postgres() -> (Arc<dyn Store>, Option<Server>) {
    let Some(server) = Server::shared().unwrap() else { return (memory(), None) };
    let url = server.database().unwrap();
    let config = PostgresConfig { url, max_connections: 8, ..PostgresConfig::default() };
    (Arc::new(PostgresStore::connect(config).await.unwrap()), Some(server))
}

/// The storage service over this store, seen as a store.
fn through_grpc(store: Arc<dyn Store>) -> Arc<dyn Store> {
    Arc::new(grpc_store::GrpcStore::over(store))
}

mod memory_through_grpc {
    use super::{memory, through_grpc};

    tidemill_store::conformance_suite!((through_grpc(memory()), ()));
}

mod sqlite_through_grpc {
    use super::{sqlite, through_grpc};

    async fn made() -> (std::sync::Arc<dyn tidemill_store::Store>, tempfile::TempDir) {
        let (store, folder) = sqlite().await;
        (through_grpc(store), folder)
    }

    tidemill_store::conformance_suite!(made().await);
}

mod postgres_through_grpc {
    use super::{postgres, through_grpc};

    async fn made() -> (std::sync::Arc<dyn tidemill_store::Store>, Option<super::Server>) {
        let (store, server) = postgres().await;
        (through_grpc(store), server)
    }

    tidemill_store::conformance_suite!(made().await);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_store_answers_through_grpc_as_it_does_itself(steps in history::steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(history::check_history(memory(), through_grpc(memory()), &steps));
    }

    #[test]
    fn sqlite_through_grpc_answers_as_the_store_in_memory_does(steps in history::steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let (store, _folder) = sqlite().await;
            history::check_history(through_grpc(store), memory(), &steps).await;
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn postgres_through_grpc_answers_as_the_store_in_memory_does(steps in history::steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let (store, _server) = postgres().await;
            history::check_history(through_grpc(store), memory(), &steps).await;
        });
    }
}

/// A primary and its replica, for the cases of one test.
fn with_a_replica() -> Option<&'static (Server, Server)> {
    static SERVERS: OnceLock<Option<(Server, Server)>> = OnceLock::new();
    let start = || {
        let primary = Server::start("fsync = off").unwrap()?;
        let replica = primary.replica().unwrap();
        Some((primary, replica))
    };
    SERVERS.get_or_init(start).as_ref()
}

/// Whether a read of the store came to this server.
fn has_answered(server: &Server) -> bool {
    let asked = "SELECT count(*) > 0 FROM pg_stat_activity
                 WHERE application_name = 'tidemill' AND query LIKE '%FROM %' AND query NOT LIKE '%pg_is_in_recovery%'";
    server.psql(asked).unwrap() == "t"
}

#[test]
fn a_session_on_postgres_with_a_replica_sees_what_the_store_in_memory_shows() {
    let Some((primary, replica)) = with_a_replica() else { return };
    let mut answered = false;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut runner = TestRunner::new(ProptestConfig::with_cases(16));
    for _ in 0..16 {
        let steps = history::steps().new_tree(&mut runner).unwrap().current();
        let url = primary.database().unwrap();
        let database = url.rsplit('/').next().unwrap();
        let replicas = vec![replica.url(database)];
        let config =
            PostgresConfig { url: url.clone(), replicas, replica_check_ms: 5, ..PostgresConfig::default() };
        runtime.block_on(async {
            let store = Arc::new(PostgresStore::connect(config).await.unwrap());
            history::check_history(through_grpc(store.clone()), memory(), &steps).await;
            answered |= has_answered(replica);
            store.close().await;
        });
    }
    assert!(answered, "every read went to the primary");
}
