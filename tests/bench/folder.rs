//! A data folder for a benchmark, on the disk where cargo builds, so that durable commits cost what they cost there, and
//! a bare SQLite file in it.

use std::path::Path;

use anyhow::Result;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection};
use tempfile::TempDir;

/// An empty folder that vanishes when it goes out of scope.
pub(crate) fn fresh() -> Result<TempDir> {
    Ok(tempfile::Builder::new().prefix("bench").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?)
}

/// A new database in the folder, with the store's own settings.
pub(crate) async fn bare(folder: &Path) -> Result<SqliteConnection> {
    let options = SqliteConnectOptions::new()
        .filename(folder.join("bare.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("cache_size", "-65536")
        .pragma("temp_store", "memory")
        .pragma("wal_autocheckpoint", "8192")
        .disable_statement_logging();
    Ok(options.connect().await?)
}
