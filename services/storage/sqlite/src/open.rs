//! Opening a data folder: the lock, the writer's connection, the schema, the readers.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection, SqlitePool};

use crate::config::{SqliteConfig, Synchronous};
use crate::error::Error;
use crate::migrate;

/// SQLite's page size; fixed when the file is made.
const PAGE_BYTES: u32 = 4_096;

/// A data folder that is open.
pub(crate) struct Opened {
    /// Held as long as the store is open.
    pub(crate) lock: File,
    pub(crate) writer: SqliteConnection,
    pub(crate) readers: SqlitePool,
}

/// Opens a data folder; makes it and brings it up to date where needed.
pub(crate) async fn open(config: &SqliteConfig) -> Result<Opened, Error> {
    let (lock, mut writer, file) = begin(config).await?;
    if config.migrate {
        migrate::migrate(&mut writer, &file).await?;
    } else if let Some(missing) = migrate::schema(&mut writer, &file).await?.outstanding.first() {
        return Err(Error::Outdated { file, migration: missing.version });
    }
    let readers = SqlitePoolOptions::new()
        .max_connections(config.readers.max(1))
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_with(reader_options(config, &file))
        .await
        .map_err(|error| Error::database(&file, &error))?;
    Ok(Opened { lock, writer, readers })
}

/// The lock of a data folder, which is made where needed, and a connection that may write its database.
pub(crate) async fn begin(config: &SqliteConfig) -> Result<(File, SqliteConnection, PathBuf), Error> {
    let folder = &config.path;
    make(folder)?;
    let lock = lock(folder)?;
    let file = database(folder);
    if file.exists() {
        is_ours(&file).await?;
    }
    let writer = writer_options(config, &file).connect().await;
    let writer = writer.map_err(|error| Error::database(&file, &error))?;
    Ok((lock, writer, file))
}

/// The database of a data folder.
pub(crate) fn database(folder: &Path) -> PathBuf {
    folder.join("tidemill.db")
}

/// A connection that only reads, also while another process has the folder open.
pub(crate) async fn look(file: &Path) -> Result<SqliteConnection, Error> {
    is_ours(file).await?;
    let looker = shared_options(file).read_only(true).connect().await;
    looker.map_err(|error| Error::database(file, &error))
}

fn make(folder: &Path) -> Result<(), Error> {
    match std::fs::create_dir(folder) {
        Ok(()) => Ok(()),
        Err(_) if folder.is_dir() => Ok(()),
        Err(_) if folder.exists() => Err(Error::NotAFolder(folder.to_owned())),
        Err(error) => {
            let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.exists());
            Err(match parent {
                Some(parent) => Error::NoParent { folder: folder.to_owned(), parent: parent.to_owned() },
                None => Error::file(folder, &error),
            })
        }
    }
}

/// The lock is the system's, on the open file: it goes when the process ends, however it ends.
fn lock(folder: &Path) -> Result<File, Error> {
    let path: PathBuf = folder.join("lock");
    let options = File::options().write(true).create(true).truncate(false).open(&path);
    let lock = options.map_err(|error| Error::file(&path, &error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(Error::InUse(folder.to_owned())),
        Err(TryLockError::Error(error)) => Err(Error::file(&path, &error)),
    }
}

/// Refuses a database of something else before anything of it is changed: it has tables, but not ours.
async fn is_ours(file: &Path) -> Result<(), Error> {
    let refuse = |error: sqlx::Error| Error::database(file, &error);
    let mut connection = shared_options(file).read_only(true).connect().await.map_err(refuse)?;
    let count = "SELECT count(*) = 0 OR sum(name = '_sqlx_migrations') = 1 FROM sqlite_schema";
    let ours: bool = sqlx::query_scalar(count).fetch_one(&mut connection).await.map_err(refuse)?;
    connection.close().await.map_err(refuse)?;
    if ours { Ok(()) } else { Err(Error::NotADatabase(file.to_owned())) }
}

fn writer_options(config: &SqliteConfig, file: &Path) -> SqliteConnectOptions {
    let synchronous = match config.synchronous {
        Synchronous::Full => SqliteSynchronous::Full,
        Synchronous::Normal => SqliteSynchronous::Normal,
    };
    let options = shared_options(file)
        .create_if_missing(true)
        .page_size(PAGE_BYTES)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .pragma("cache_size", cache_pages(config.cache_bytes.saturating_mul(4)))
        // What a savepoint needs to undo its pages stays in memory, not in a file beside the log.
        .pragma("temp_store", "memory")
        // The log is copied into the file at 32 MiB, and cut back to that after a long read kept it longer.
        .pragma("wal_autocheckpoint", "8192")
        .pragma("journal_size_limit", "33554432")
        .thread_name(|number| format!("sqlite-writer-{number}"));
    match config.max_bytes {
        Some(bytes) => options.pragma("max_page_count", max_pages(bytes).to_string()),
        None => options,
    }
}

fn reader_options(config: &SqliteConfig, file: &Path) -> SqliteConnectOptions {
    shared_options(file)
        .read_only(true)
        .pragma("query_only", "on")
        .pragma("cache_size", cache_pages(config.cache_bytes))
        .pragma("mmap_size", config.map_bytes.to_string())
        .thread_name(|number| format!("sqlite-reader-{number}"))
}

fn shared_options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        .disable_statement_logging()
}

/// As SQLite wants it: negative is a size in KiB.
fn cache_pages(bytes: u32) -> String {
    format!("-{}", (bytes / 1_024).max(1))
}

/// How many pages a file of this size has.
pub(crate) fn max_pages(bytes: u64) -> u64 {
    (bytes / u64::from(PAGE_BYTES)).max(1)
}
