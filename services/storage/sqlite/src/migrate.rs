//! The schema of a data folder's database: how far it is, and bringing it up to date.
//!
//! What was applied stands in the table where the `sqlx` crate keeps it, which brought earlier versions up to date: a
//! folder goes on where they left it, and they refuse one that is newer than they are.

use std::path::Path;

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::{Connection, params};
use tidemill_kernel::{Shard, TenantName};
use tidemill_store::schema::{Migrated, Migration, Schema};
use tokio::task::spawn_blocking;

use crate::{Error, SqliteConfig, SqliteStore, open};

/// Version, name, statements: one transaction each, in order.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "tenants", include_str!("../migrations/0001_tenants.sql")),
    (2, "content", include_str!("../migrations/0002_content.sql")),
    (3, "tasks", include_str!("../migrations/0003_tasks.sql")),
    (4, "queue", include_str!("../migrations/0004_queue.sql")),
    (5, "settings", include_str!("../migrations/0005_settings.sql")),
    (6, "groups", include_str!("../migrations/0006_groups.sql")),
    (7, "shared settings", include_str!("../migrations/0007_shared_settings.sql")),
];

const APPLIED: &str = "
    CREATE TABLE IF NOT EXISTS _sqlx_migrations (
        version BIGINT PRIMARY KEY,
        description TEXT NOT NULL,
        installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
        success BOOLEAN NOT NULL,
        checksum BLOB NOT NULL,
        execution_time BIGINT NOT NULL
    )";

impl SqliteStore {
    /// How far the schema is: nothing is applied in a folder that is not there. Changes nothing, and may run beside a
    /// process that has the folder open.
    ///
    /// # Errors
    /// When what is there is no database of Tidemill, or cannot be read.
    pub async fn schema(config: &SqliteConfig) -> Result<Schema, Error> {
        let file = open::database(&config.path);
        off_the_loop(config, move |_| {
            if !file.exists() {
                return Ok(Schema::new(brought(), &[]));
            }
            schema(&open::look(&file)?, &file)
        })
        .await
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
        off_the_loop(config, |config| {
            let (_lock, mut writer, file) = open::begin(config)?;
            let migrated = migrate(&mut writer, &file)?;
            writer.close().map_err(|(_, error)| Error::database(&file, &error))?;
            Ok(migrated)
        })
        .await
    }
}

/// Does something with files where it may wait.
pub(crate) async fn off_the_loop<T: Send + 'static>(
    config: &SqliteConfig,
    work: impl FnOnce(&SqliteConfig) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let (path, config) = (config.path.clone(), config.clone());
    let done = spawn_blocking(move || work(&config)).await;
    done.unwrap_or_else(|fault| Err(Error::Open { path, reason: fault.to_string() }))
}

/// How far the schema is.
pub(crate) fn schema(connection: &Connection, file: &Path) -> Result<Schema, Error> {
    let applied = applied(connection).map_err(|error| Error::database(file, &error))?;
    Ok(Schema::new(brought(), &applied))
}

fn applied(connection: &Connection) -> rusqlite::Result<Vec<i64>> {
    let is_there = "SELECT count(*) > 0 FROM sqlite_schema WHERE name = '_sqlx_migrations'";
    if !connection.query_row(is_there, [], |row| row.get(0))? {
        return Ok(Vec::new());
    }
    let versions = "SELECT version FROM _sqlx_migrations WHERE success ORDER BY version";
    connection.prepare(versions)?.query_map([], |row| row.get(0))?.collect()
}

/// Brings the schema up to date.
pub(crate) fn migrate(connection: &mut Connection, file: &Path) -> Result<Migrated, Error> {
    let before = schema(connection, file)?;
    if let Some(migration) = before.newer.first() {
        return Err(Error::Newer { file: file.to_owned(), migration: *migration });
    }
    for migration in &before.outstanding {
        apply(connection, migration.version).map_err(|error| Error::database(file, &error))?;
    }
    Ok(Migrated::between(&before, schema(connection, file)?))
}

fn apply(connection: &mut Connection, outstanding: i64) -> rusqlite::Result<()> {
    for (version, name, statements) in MIGRATIONS.iter().filter(|(version, ..)| *version == outstanding) {
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
        connection.create_scalar_function("shard_of", 1, flags, shard_of)?;
        let transaction = connection.transaction()?;
        transaction.execute(APPLIED, [])?;
        transaction.execute_batch(statements)?;
        let applied = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                       VALUES (?1, ?2, 1, x'', 0)";
        transaction.execute(applied, params![version, name])?;
        transaction.commit()?;
    }
    Ok(())
}

/// The shard of the tenant with this name, for migrations.
fn shard_of(context: &Context<'_>) -> rusqlite::Result<i64> {
    let name: TenantName = context
        .get::<String>(0)?
        .parse()
        .map_err(|error| rusqlite::Error::UserFunctionError(Box::new(error)))?;
    Ok(Shard::of_tenant(&name).number().into())
}

fn brought() -> impl Iterator<Item = Migration> {
    MIGRATIONS.iter().map(|(version, name, _)| Migration { version: *version, name: (*name).to_owned() })
}
