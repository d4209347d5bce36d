//! The schema of a data folder's database: how far it is, and bringing it up to date.

use std::path::Path;

use sqlx::migrate::Migrator;
use sqlx::{Connection, SqliteConnection};
use tidemill_store::schema::{Migrated, Migration, Schema};

use crate::{Error, SqliteConfig, SqliteStore, open};

static MIGRATIONS: Migrator = sqlx::migrate!();

impl SqliteStore {
    /// How far the schema is: nothing is applied in a folder that is not there. Changes nothing, and may run beside a
    /// process that has the folder open.
    ///
    /// # Errors
    /// When what is there is no database of Tidemill, or cannot be read.
    pub async fn schema(config: &SqliteConfig) -> Result<Schema, Error> {
        let file = open::database(&config.path);
        if !file.exists() {
            return Ok(Schema::new(brought(), &[]));
        }
        let mut looker = open::look(&file).await?;
        let schema = schema(&mut looker, &file).await?;
        let _ = looker.close().await;
        Ok(schema)
    }

    /// Brings the schema up to date; makes the folder where needed. One process at a time.
    ///
    /// # Errors
    /// [`Error::InUse`] when there is something to do and another process has the folder open; else as for
    /// [`SqliteStore::open`].
    pub async fn migrate(config: &SqliteConfig) -> Result<Migrated, Error> {
        let before = Self::schema(config).await?;
        if before.is_current() && before.newer.is_empty() {
            return Ok(Migrated { applied: Vec::new(), schema: before });
        }
        let (_lock, mut writer, file) = open::begin(config).await?;
        let migrated = migrate(&mut writer, &file).await?;
        writer.close().await.map_err(|error| Error::database(&file, &error))?;
        Ok(migrated)
    }
}

/// How far the schema is.
pub(crate) async fn schema(connection: &mut SqliteConnection, file: &Path) -> Result<Schema, Error> {
    let fault = |error: sqlx::Error| Error::database(file, &error);
    let is_there = "SELECT count(*) > 0 FROM sqlite_schema WHERE name = '_sqlx_migrations'";
    let is_there: bool = sqlx::query_scalar(is_there).fetch_one(&mut *connection).await.map_err(fault)?;
    let mut applied: Vec<i64> = Vec::new();
    if is_there {
        let versions = "SELECT version FROM _sqlx_migrations WHERE success ORDER BY version";
        applied = sqlx::query_scalar(versions).fetch_all(connection).await.map_err(fault)?;
    }
    Ok(Schema::new(brought(), &applied))
}

/// Brings the schema up to date.
pub(crate) async fn migrate(connection: &mut SqliteConnection, file: &Path) -> Result<Migrated, Error> {
    let before = schema(connection, file).await?;
    MIGRATIONS.run(&mut *connection).await.map_err(|error| Error::migration(file, &error))?;
    Ok(Migrated::between(&before, schema(connection, file).await?))
}

fn brought() -> impl Iterator<Item = Migration> {
    MIGRATIONS
        .iter()
        .map(|migration| Migration { version: migration.version, name: migration.description.to_string() })
}
