//! The suite that defines the port, and random histories against the store in memory.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;
use tidemill_sqlite::{SqliteConfig, SqliteStore, Synchronous};
use tidemill_store::MemoryStore;
use tidemill_store::conformance::fixture::Shared;
use tidemill_store::conformance::history;

async fn make() -> (Shared, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    // What the disk has seen is tested elsewhere; here it would only cost time.
    let synchronous = Synchronous::Normal;
    let config = SqliteConfig { path: folder.path().join("data"), synchronous, ..SqliteConfig::default() };
    (Arc::new(SqliteStore::open(config).await.unwrap()), folder)
}

tidemill_store::conformance_suite!(make().await);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn it_agrees_with_the_store_in_memory_under_any_history(steps in history::steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let (store, _folder) = make().await;
            history::check_history(store, Arc::new(MemoryStore::new("model")), &steps).await;
        });
    }
}
