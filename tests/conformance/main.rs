//! The store behind the storage service: the port's conformance suite run through gRPC, and what the service adds to
//! the port.
#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod grpc_store;
mod service;

use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;
use tidemill_sqlite::{SqliteConfig, SqliteStore, Synchronous};
use tidemill_store::conformance::history;
use tidemill_store::{MemoryStore, Store};

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
