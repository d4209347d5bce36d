//! Which database stands behind storage: PostgreSQL where one is configured, else SQLite in the data folder.

use std::sync::Arc;

use anyhow::{Context, Result};
use tidemill_postgres::PostgresStore;
use tidemill_sqlite::SqliteStore;
use tidemill_store::Store;
use tidemill_store::schema::{Migrated, Schema};

use crate::config::Config;

/// The database of a process that runs storage.
#[derive(Clone)]
pub(crate) enum Database {
    /// In the data folder.
    Sqlite(Arc<SqliteStore>),
    /// On a server.
    Postgres(Arc<PostgresStore>),
}

impl Database {
    /// Opens or connects, and brings it up to date unless the configuration says otherwise.
    pub(super) async fn open(config: &Config) -> Result<Self> {
        Ok(match &config.postgres {
            None => Self::Sqlite(Arc::new(SqliteStore::open(config.store.clone()).await?)),
            Some(postgres) => {
                let store = PostgresStore::connect(postgres.clone()).await.context("PostgreSQL")?;
                Self::Postgres(Arc::new(store))
            }
        })
    }

    /// It, as the port that storage knows.
    pub(super) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(store) => store.clone(),
            Self::Postgres(store) => store.clone(),
        }
    }

    /// Whether it is a folder, which only this process has open.
    pub(super) fn is_folder(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    /// Finishes the writes that wait.
    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(store) => store.close().await,
            Self::Postgres(store) => store.close().await,
        }
    }
}

/// How far the schema of the database is. Changes nothing.
pub(crate) async fn schema(config: &Config) -> Result<Schema> {
    match &config.postgres {
        None => Ok(SqliteStore::schema(&config.store).await?),
        Some(postgres) => PostgresStore::schema(postgres).await.context("PostgreSQL"),
    }
}

/// Brings the schema of the database up to date.
pub(crate) async fn migrate(config: &Config) -> Result<Migrated> {
    match &config.postgres {
        None => Ok(SqliteStore::migrate(&config.store).await?),
        Some(postgres) => PostgresStore::migrate(postgres).await.context("PostgreSQL"),
    }
}

/// Where a process that runs storage keeps its data, for people: without what may be a password.
pub(crate) fn place(config: &Config) -> String {
    match &config.postgres {
        None => config.store.path.display().to_string(),
        Some(postgres) => match url::Url::parse(&postgres.url) {
            Ok(url) => format!("PostgreSQL at {}{}", url.host_str().unwrap_or("its socket"), url.path()),
            Err(_) => "PostgreSQL".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_tells_no_password() {
        let postgres = tidemill_postgres::PostgresConfig {
            url: "postgres://me:secret@db.example/mesh?password=secret".to_owned(),
            ..tidemill_postgres::PostgresConfig::default()
        };
        let config = Config { postgres: Some(postgres), ..Config::default() };
        assert_eq!(place(&config), "PostgreSQL at db.example/mesh");
    }
}
