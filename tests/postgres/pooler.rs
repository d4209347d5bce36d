//! The whole conformance suite through PgBouncer in transaction mode, and what is said where it was not expected.

use std::sync::Arc;

use tidemill_kernel::ErrorKind;
use tidemill_postgres::{PostgresConfig, PostgresStore};
use tidemill_store::{MemoryStore, Store};
use tidemill_tests::harness::pgbouncer::Pooler;
use tidemill_tests::harness::postgres::Server;

/// An empty database behind a pooler, and what has to live as long; nothing where either is missing, which has then been
/// said.
async fn behind() -> Option<(PostgresConfig, (Server, Pooler))> {
    let server = Server::shared().unwrap()?;
    let pooler = Pooler::start(&server, 5).await.unwrap()?;
    let database = server.database().unwrap();
    let url = pooler.url(database.rsplit('/').next().unwrap());
    // More connections than the pooler has, so that they are shared.
    let config =
        PostgresConfig { url, shared_pooler: true, max_connections: 12, ..PostgresConfig::default() };
    Some((config, (server, pooler)))
}

async fn made() -> (Arc<dyn Store>, Option<(Server, Pooler)>) {
    match behind().await {
        Some((config, servers)) => (Arc::new(PostgresStore::connect(config).await.unwrap()), Some(servers)),
        None => (Arc::new(MemoryStore::new("memory")), None),
    }
}

mod conformance {
    use super::made;

    tidemill_store::conformance_suite!(made().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_was_not_expected_is_told_with_the_setting_that_mends_it() {
    let Some((config, _servers)) = behind().await else { return };
    let direct = PostgresConfig { shared_pooler: false, ..config };
    let refused = PostgresStore::connect(direct).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.to_string().contains("`shared_pooler = true`"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_start_at_once_behind_a_pooler_with_few_connections() {
    let Some((config, _servers)) = behind().await else { return };
    let starts = (0..12).map(|_| tokio::spawn(PostgresStore::connect(config.clone())));
    for start in starts.collect::<Vec<_>>() {
        start.await.unwrap().unwrap();
    }
    assert!(PostgresStore::schema(&config).await.unwrap().is_current());
    assert!(PostgresStore::examine(&config).await.unwrap().schema.newer.is_empty());
}
