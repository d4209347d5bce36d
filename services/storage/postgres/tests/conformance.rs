//! The suite that defines the port, and random histories against the store in memory, on a real PostgreSQL.
//!
//! Without PostgreSQL the suite runs against the store in memory instead and says that it was skipped.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use proptest::prelude::*;
use tidemill_postgres::{PostgresConfig, PostgresStore};
use tidemill_store::MemoryStore;
use tidemill_store::conformance::fixture::Shared;
use tidemill_store::conformance::history;
use tidemill_tests::harness::postgres::Server;

async fn make() -> (Shared, Option<Server>) {
    let Some(server) = Server::shared().unwrap() else {
        return (Arc::new(MemoryStore::new("memory")), None);
    };
    (open(server.database().unwrap()).await, Some(server))
}

async fn open(url: String) -> Shared {
    let config = PostgresConfig { url, max_connections: 8, ..PostgresConfig::default() };
    Arc::new(PostgresStore::connect(config).await.unwrap())
}

tidemill_store::conformance_suite!(make().await);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn it_agrees_with_the_store_in_memory_under_any_history(steps in history::steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let (store, _server) = make().await;
            history::check_history(store, Arc::new(MemoryStore::new("model")), &steps).await;
        });
    }
}
