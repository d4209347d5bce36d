//! Opening data folders that are in use, newer, damaged, something else, or out of reach: each told with its mend.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::path::Path;

use tempfile::TempDir;
use tidemill_kernel::ErrorKind;
use tidemill_sqlite::{Error, SqliteConfig, SqliteStore};
use tidemill_store::TenantStore;

fn config(path: &Path) -> SqliteConfig {
    SqliteConfig { path: path.to_owned(), ..SqliteConfig::default() }
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

async fn refused(path: &Path) -> Error {
    SqliteStore::open(config(path)).await.unwrap_err()
}

/// Another program's hand on the database file.
fn tamper(file: &Path, statement: &str) {
    rusqlite::Connection::open(file).unwrap().execute_batch(statement).unwrap();
}

#[tokio::test]
async fn a_folder_in_use_is_refused_until_it_is_closed() {
    let folder = folder();
    let first = SqliteStore::open(config(folder.path())).await.unwrap();
    let id = first.store_id().await.unwrap();
    let error = refused(folder.path()).await;
    assert!(matches!(error, Error::InUse(_)), "{error}");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let text = error.to_string();
    assert!(text.contains(&folder.path().display().to_string()) && text.contains("choose another"), "{text}");
    first.close().await;
    let second = SqliteStore::open(config(folder.path())).await.unwrap();
    assert_eq!(second.store_id().await.unwrap(), id);
}

#[tokio::test]
async fn two_folders_are_two_stores() {
    let (one, other) = (folder(), folder());
    let one = SqliteStore::open(config(one.path())).await.unwrap();
    let other = SqliteStore::open(config(other.path())).await.unwrap();
    assert_ne!(one.store_id().await.unwrap(), other.store_id().await.unwrap());
}

#[tokio::test]
async fn a_missing_parent_is_named() {
    let folder = folder();
    let error = refused(&folder.path().join("none/data")).await;
    let Error::NoParent { parent, .. } = &error else { panic!("{error}") };
    assert_eq!(parent, &folder.path().join("none"));
    assert!(!folder.path().join("none").exists());
}

#[tokio::test]
async fn a_file_in_place_of_the_folder_is_refused() {
    let folder = folder();
    let path = folder.path().join("data");
    std::fs::write(&path, "x").unwrap();
    let error = refused(&path).await;
    assert!(matches!(error, Error::NotAFolder(_)), "{error}");
    let error = refused(&path.join("deeper")).await;
    assert!(matches!(error, Error::NotAFolder(_)), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"x");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_kept() {
    let folder = folder();
    let file = folder.path().join("tidemill.db");
    let text = "this is somebody's letter\n".repeat(400);
    std::fs::write(&file, &text).unwrap();
    let error = refused(folder.path()).await;
    assert!(matches!(error, Error::NotADatabase(_)), "{error}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
}

#[tokio::test]
async fn a_database_of_another_program_is_refused_and_kept() {
    let folder = folder();
    let file = folder.path().join("tidemill.db");
    tamper(&file, "CREATE TABLE tenants (a); INSERT INTO tenants VALUES (7)");
    let error = refused(folder.path()).await;
    assert!(matches!(error, Error::NotADatabase(_)), "{error}");
    tamper(&file, "CREATE TABLE mine AS SELECT a FROM tenants WHERE a = 7; DROP TABLE tenants");
    let error = refused(folder.path()).await;
    assert!(matches!(error, Error::NotADatabase(_)), "{error}");
}

#[tokio::test]
async fn a_newer_database_is_refused() {
    let folder = folder();
    SqliteStore::open(config(folder.path())).await.unwrap().close().await;
    tamper(
        &folder.path().join("tidemill.db"),
        "INSERT INTO _sqlx_migrations SELECT 9999, 'from the future', installed_on, 1, checksum, execution_time
         FROM _sqlx_migrations LIMIT 1",
    );
    let error = refused(folder.path()).await;
    assert!(matches!(error, Error::Newer { migration: 9999, .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn a_damaged_database_is_told() {
    let folder = folder();
    SqliteStore::open(config(folder.path())).await.unwrap().close().await;
    let file = folder.path().join("tidemill.db");
    let mut bytes = std::fs::read(&file).unwrap();
    // The header stays; the schema behind it does not.
    bytes[100..4_096].fill(0xa5);
    std::fs::write(&file, bytes).unwrap();
    let error = refused(folder.path()).await;
    let text = error.to_string();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert!(text.contains("backup"), "{text}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_folder_without_permission_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    let path = folder.path().join("data");
    std::fs::create_dir(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o500)).unwrap();
    if std::fs::write(path.join("probe"), "x").is_ok() {
        println!("skipped: this user may write anywhere");
        return;
    }
    let error = refused(&path).await;
    assert!(matches!(error, Error::NoAccess { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Denied);
}

#[tokio::test]
async fn a_closed_store_answers_that_it_is() {
    let folder = folder();
    let store = SqliteStore::open(config(folder.path())).await.unwrap();
    store.close().await;
    let error = store.store_id().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let tenant = tidemill_store::conformance::fixture::tenant("acme");
    let error = store.create_tenant(tenant, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    store.close().await;
}

#[tokio::test]
async fn migrations_are_looked_at_beside_an_open_folder_and_asked_for_by_hand() {
    let folder = folder();
    let by_hand = SqliteConfig { migrate: false, ..config(&folder.path().join("data")) };
    let brought = SqliteStore::schema(&by_hand).await.unwrap().outstanding;
    assert!(brought.len() >= 3 && !by_hand.path.exists(), "looking makes nothing");
    let error = SqliteStore::open(by_hand.clone()).await.unwrap_err();
    assert!(matches!(error, Error::Outdated { migration: 1, .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let migrated = SqliteStore::migrate(&by_hand).await.unwrap();
    assert_eq!(migrated.applied, brought);
    let open = SqliteStore::open(by_hand.clone()).await.unwrap();
    assert!(SqliteStore::schema(&by_hand).await.unwrap().is_current());
    assert!(SqliteStore::migrate(&by_hand).await.unwrap().applied.is_empty(), "nothing to do needs no lock");
    open.close().await;
    // An older program's folder: to be changed by one at a time.
    tamper(&by_hand.path.join("tidemill.db"), "DELETE FROM _sqlx_migrations");
    let held = std::fs::File::open(by_hand.path.join("lock")).unwrap();
    held.lock().unwrap();
    assert!(matches!(SqliteStore::migrate(&by_hand).await, Err(Error::InUse(_))));
}
