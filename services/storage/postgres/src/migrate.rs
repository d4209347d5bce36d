//! The schema of a database: how far it is, and bringing it up to date.
//!
//! Whoever migrates at the same time waits for one another at a lock that belongs to the transaction of the migrations,
//! so that it goes with it whatever happens, behind a pooler too. All of them apply in that one transaction, or none.

use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tidemill_store::schema::{Migrated, Migration, Schema};

use crate::connect;
use crate::error::{Error, Server};
use crate::reader::{ask, ask_one};
use crate::{PostgresConfig, PostgresStore};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// Nobody else's advisory lock: 0x546b << 48.
const LOCK: &str = "SELECT pg_advisory_xact_lock(21611::bigint << 48)";

/// The migrator prepares statements by names that it counts from 1. A pooler hands the connection to the next client with
/// those names taken.
const FORGET: &str = "DEALLOCATE ALL";

impl PostgresStore {
    /// How far the database's schema is. Changes nothing.
    ///
    /// # Errors
    /// As for [`PostgresStore::connect`].
    pub async fn schema(config: &PostgresConfig) -> Result<Schema, Error> {
        let (mut connection, server) = connect::first(config).await?;
        let schema = schema(&mut connection, &server).await?;
        let _ = connection.close().await;
        Ok(schema)
    }

    /// Brings the database's schema up to date. Several may do so at once: one does it, the others wait for it.
    ///
    /// # Errors
    /// As for [`PostgresStore::connect`].
    pub async fn migrate(config: &PostgresConfig) -> Result<Migrated, Error> {
        let (mut connection, server) = connect::first(config).await?;
        let migrated = migrate(&mut connection, &server).await?;
        let _ = connection.close().await;
        Ok(migrated)
    }
}

/// How far the schema is.
pub(crate) async fn schema(connection: &mut PgConnection, server: &Server) -> Result<Schema, Error> {
    let fault = |error: sqlx::Error| server.fault(&error);
    let is_there = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";
    let (is_there,) = ask_one::<(bool,)>(connection, is_there).await.map_err(fault)?;
    let mut applied: Vec<i64> = Vec::new();
    if is_there {
        let versions = "SELECT version FROM _sqlx_migrations WHERE success ORDER BY version";
        let versions = ask::<(i64,)>(connection, versions).await.map_err(fault)?;
        applied = versions.into_iter().map(|(version,)| version).collect();
    }
    let brought = MIGRATIONS
        .iter()
        .map(|migration| Migration { version: migration.version, name: migration.description.to_string() });
    Ok(Schema::new(brought, &applied))
}

/// Brings the schema up to date.
pub(crate) async fn migrate(connection: &mut PgConnection, server: &Server) -> Result<Migrated, Error> {
    let mut migrations: Migrator = sqlx::migrate!();
    migrations.set_locking(false);
    let fault = |error: sqlx::Error| server.fault(&error);
    // Waiting for another one's migrations is no fault, however long they take.
    let begin = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
                 SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0";
    let mut transaction = connection.begin_with(AssertSqlSafe(begin)).await.map_err(fault)?;
    sqlx::raw_sql(LOCK).execute(&mut *transaction).await.map_err(fault)?;
    sqlx::raw_sql(FORGET).execute(&mut *transaction).await.map_err(fault)?;
    let before = schema(&mut transaction, server).await?;
    migrations
        .run_direct(None, &mut *transaction, false)
        .await
        .map_err(|error| server.migration_fault(&error))?;
    let after = schema(&mut transaction, server).await?;
    sqlx::raw_sql(FORGET).execute(&mut *transaction).await.map_err(fault)?;
    transaction.commit().await.map_err(fault)?;
    Ok(Migrated::between(&before, after))
}
