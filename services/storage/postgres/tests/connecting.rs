//! What a database that cannot be used is told apart by, and how to mend it; settings that change how it is used.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use futures::future::join_all;
use tidemill_kernel::ErrorKind;
use tidemill_postgres::{PostgresConfig, PostgresStore};
use tidemill_store::conformance;
use tidemill_store::conformance::fixture::{Shared, append, at, create, name, page, task};
use tidemill_store::task::TenantTasks;
use tidemill_store::{Error, TenantStore};
use tidemill_tests::harness::postgres::Server;

fn config(url: String) -> PostgresConfig {
    PostgresConfig { url, max_connections: 4, acquire_timeout_ms: 3_000, ..PostgresConfig::default() }
}

/// What connecting says, which must be of this kind and name all of these.
async fn refused(config: PostgresConfig, kind: ErrorKind, names: &[&str]) {
    let error = PostgresStore::connect(config).await.unwrap_err();
    let text = error.to_string();
    assert_eq!(error.kind(), kind, "{text}");
    for name in names {
        assert!(text.contains(name), "{text} should name `{name}`");
    }
}

#[tokio::test]
async fn a_url_that_is_none_is_refused() {
    refused(
        config("localhost".to_owned()),
        ErrorKind::Invalid,
        &["`url`", "postgres://USER@HOST:PORT/DATABASE"],
    )
    .await;
}

#[tokio::test]
async fn a_password_file_that_is_missing_is_named() {
    let password_file = Some("/nowhere/password".into());
    let config = PostgresConfig { password_file, ..PostgresConfig::default() };
    refused(config, ErrorKind::Denied, &["/nowhere/password", "`password_file`"]).await;
}

#[tokio::test]
async fn a_server_that_is_away_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let address = format!("127.0.0.1:{port}");
    let url = format!("postgres://a@{address}/b");
    refused(config(url), ErrorKind::Unavailable, &[&address, "start it", "`url`"]).await;
}

#[tokio::test]
async fn a_database_that_is_missing_is_named_and_how_to_make_it() {
    let Some(server) = Server::shared().unwrap() else { return };
    let names = ["`nowhere`", "createdb -E UTF8"];
    refused(config(server.url("nowhere")), ErrorKind::Invalid, &names).await;
}

#[tokio::test]
async fn a_wrong_password_is_told_from_a_missing_user() {
    let Some(server) = Server::start("password_encryption = 'scram-sha-256'").unwrap() else { return };
    server.psql("CREATE USER ann PASSWORD 'right'").unwrap();
    server.psql("CREATE DATABASE theirs OWNER ann").unwrap();
    server.psql("COPY (SELECT 'host all postgres all trust') TO PROGRAM 'cat > pg_hba.conf'").unwrap();
    server.psql("COPY (SELECT 'host all all all scram-sha-256') TO PROGRAM 'cat >> pg_hba.conf'").unwrap();
    server.psql("SELECT pg_reload_conf()").unwrap();
    let url = |user: &str| format!("postgres://{user}@127.0.0.1:{}/theirs", server.port());
    let names = ["user `ann`", "password authentication failed", "`password_file`"];
    refused(config(url("ann:wrong")), ErrorKind::Denied, &names).await;
    refused(config(url("bob:right")), ErrorKind::Denied, &["user `bob`"]).await;
    let folder = std::env::temp_dir().join(format!("tidemill-password-{}", std::process::id()));
    std::fs::write(&folder, "right\nanything").unwrap();
    let with_file = PostgresConfig { password_file: Some(folder.clone()), ..config(url("ann")) };
    let store = PostgresStore::connect(with_file).await;
    std::fs::remove_file(&folder).unwrap();
    store.unwrap().store_id().await.unwrap();
}

#[tokio::test]
async fn a_user_without_rights_a_foreign_database_and_another_encoding_are_told_apart() {
    let Some(server) = Server::shared().unwrap() else { return };
    let database = server.database().unwrap();
    let name = database.rsplit('/').next().unwrap();
    server.psql(&format!("CREATE USER guest_{name}")).unwrap();
    server
        .psql(&format!(
            "REVOKE ALL ON DATABASE {name} FROM public; GRANT CONNECT ON DATABASE {name} TO guest_{name}"
        ))
        .unwrap();
    let guest = database.replace("postgres@", &format!("guest_{name}@"));
    refused(config(guest), ErrorKind::Denied, &["guest_", "OWNER TO"]).await;

    server.psql(&format!("CREATE DATABASE latin_{name} ENCODING 'LATIN1' TEMPLATE template0")).unwrap();
    let latin = server.url(&format!("latin_{name}"));
    refused(config(latin), ErrorKind::Invalid, &["LATIN1", "createdb -E UTF8"]).await;

    let foreign = server.database().unwrap();
    let it = foreign.rsplit('/').next().unwrap();
    server.psql_in(it, "CREATE TABLE tenants (id integer)").unwrap();
    refused(config(foreign), ErrorKind::Invalid, &["something else", "database of its own"]).await;
}

#[tokio::test]
async fn a_server_that_is_full_of_connections_or_takes_no_writes_says_so() {
    let Some(server) = Server::start("fsync = off\nsuperuser_reserved_connections = 1").unwrap() else {
        return;
    };
    server.psql("CREATE USER ann").unwrap();
    server.psql("CREATE DATABASE theirs OWNER ann").unwrap();
    server.psql("ALTER USER ann CONNECTION LIMIT 0").unwrap();
    let url = format!("postgres://ann@127.0.0.1:{}/theirs", server.port());
    let names = ["takes no more connections", "max_connections", "PgBouncer"];
    refused(config(url.clone()), ErrorKind::Unavailable, &names).await;
    server.psql("ALTER USER ann CONNECTION LIMIT -1").unwrap();

    let store: Shared = Arc::new(PostgresStore::connect(config(url.clone())).await.unwrap());
    let acme = create(&store, "acme").await;
    server.psql("ALTER SYSTEM SET default_transaction_read_only = on").unwrap();
    server.psql("SELECT pg_reload_conf()").unwrap();
    // A step says what it needs, so a default does not matter.
    append(&store, &acme, vec![task(1)]).await;
}

#[tokio::test]
async fn a_newer_database_is_refused_and_left_alone() {
    let Some(server) = Server::shared().unwrap() else { return };
    let url = server.database().unwrap();
    let name = url.rsplit('/').next().unwrap();
    PostgresStore::connect(config(url.clone())).await.unwrap().close().await;
    server.psql_in(name, "INSERT INTO _sqlx_migrations VALUES (9999, 'later', now(), true, '', 0)").unwrap();
    refused(config(url.clone()), ErrorKind::Unsupported, &["9999", "newer version"]).await;
    // A program that leaves migrations to others works with what it needs.
    let as_it_is = PostgresConfig { migrate: false, ..config(url) };
    PostgresStore::connect(as_it_is).await.unwrap().store_id().await.unwrap();
}

#[tokio::test]
async fn migrations_are_looked_at_asked_for_by_hand_and_done_once() {
    let Some(server) = Server::shared().unwrap() else { return };
    let url = server.database().unwrap();
    let by_hand = PostgresConfig { migrate: false, ..config(url.clone()) };
    let outstanding = PostgresStore::schema(&by_hand).await.unwrap().outstanding;
    assert!(outstanding.len() >= 3 && outstanding[0].name == "tenants", "{outstanding:?}");
    refused(by_hand.clone(), ErrorKind::Conflict, &["migration 1", "`tidemill migrate`"]).await;
    let runs = join_all((0..6).map(|_| PostgresStore::migrate(&by_hand))).await;
    let runs: Vec<_> = runs.into_iter().map(Result::unwrap).collect();
    let mut applied: Vec<_> = runs.iter().map(|run| run.applied.len()).collect();
    applied.sort_unstable();
    assert_eq!(applied, [0, 0, 0, 0, 0, outstanding.len()], "one of them did it");
    assert!(runs.iter().all(|run| run.schema.is_current() && run.schema.newer.is_empty()));
    PostgresStore::connect(by_hand).await.unwrap().store_id().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_stays_in_a_session_behind_a_pooler_that_shares_connections() {
    let Some(server) = Server::shared().unwrap() else { return };
    let url = server.database().unwrap();
    let database = url.rsplit('/').next().unwrap().to_owned();
    let shared = PostgresConfig { shared_pooler: true, max_connections: 1, ..config(url) };
    let open = PostgresStore::connect(shared).await.unwrap();
    let store: Shared = Arc::new(open);
    conformance::concurrency::readers_see_whole_steps_only(Arc::clone(&store)).await;
    let acme = name("acme");
    store.page_tasks(&acme, None, None, page(3)).await.unwrap();
    store.search_documents(&acme, "turbine", page(3)).await.unwrap();
    let left = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(server.psql_in(&database, left).unwrap(), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_not_had_in_time_is_tried_again_and_then_said() {
    let Some(server) = Server::shared().unwrap() else { return };
    for shared_pooler in [false, true] {
        let url = server.database().unwrap();
        let database = url.rsplit('/').next().unwrap().to_owned();
        let impatient = PostgresConfig { lock_timeout_ms: 20, tries: 3, shared_pooler, ..config(url) };
        let store: Shared = Arc::new(PostgresStore::connect(impatient).await.unwrap());
        let acme = create(&store, "acme").await;
        let locker =
            server.psql_until(&database, "BEGIN; LOCK TABLE queue; SELECT 'locked'", "locked").unwrap();
        let refused = store
            .append_tasks(vec![TenantTasks { tenant: acme.clone(), tasks: vec![task(1)] }], at(2))
            .await
            .unwrap_err();
        assert!(
            matches!(refused, Error::Unavailable(_)) && refused.to_string().contains("lock timeout"),
            "{refused}"
        );
        drop(locker);
        append(&store, &acme, vec![task(1)]).await;
    }
}
