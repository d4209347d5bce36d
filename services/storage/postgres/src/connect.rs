//! Opening the database: what the configuration says, one connection that checks the server and brings the schema up
//! to date, then the pool.
//!
//! Instances that start together wait for one another at a lock that belongs to the transaction of the migrations, so
//! that it goes with it whatever happens, behind a pooler too.

use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgPool};

use crate::config::PostgresConfig;
use crate::database::{Database, Settings};
use crate::error::{Error, Server};

/// The oldest release that has everything that the statements use.
const OLDEST: i32 = 130_000;

/// Nobody else's advisory lock: 0x546b << 48.
const LOCK: &str = "SELECT pg_advisory_xact_lock(21611::bigint << 48)";

/// Connects; brings the schema up to date.
pub(crate) async fn connect(config: &PostgresConfig) -> Result<Database, Error> {
    let options = options(config)?;
    let server = Server::of(&options);
    let first = tokio::time::timeout(config.acquire_timeout(), options.clone().connect()).await;
    let first = first.map_err(|_| server.away("it does not answer"))?;
    let mut first = first.map_err(|error| server.fault(&error))?;
    let seed = check(&mut first, &server).await?;
    if config.migrate {
        migrate(&mut first, &server).await?;
    }
    // It has no more to say; the pool opens its own.
    let _ = first.close().await;
    let settings = Settings::of(config, &server);
    Ok(Database::new(pool(config, options), settings, seed))
}

fn options(config: &PostgresConfig) -> Result<PgConnectOptions, Error> {
    let mut options =
        PgConnectOptions::from_str(&config.url).map_err(|error| Error::Url(error.to_string()))?;
    options = options.application_name(&config.application_name).disable_statement_logging();
    if let Some(path) = &config.password_file {
        let refuse =
            |error: std::io::Error| Error::PasswordFile { path: path.clone(), reason: error.to_string() };
        let text = std::fs::read_to_string(path).map_err(refuse)?;
        options = options.password(text.lines().next().unwrap_or_default());
    }
    if config.shared_pooler {
        // Such a pooler refuses settings that it does not know when a connection is opened.
        return Ok(options.statement_cache_capacity(0).extra_float_digits(None));
    }
    let limits = config.session_settings().into_iter().chain([
        // A step sends its statements without a pause: one that pauses has lost its program.
        ("idle_in_transaction_session_timeout", "60000".to_owned()),
    ]);
    Ok(options.statement_cache_capacity(config.statement_cache).options(limits))
}

fn pool(config: &PostgresConfig, options: PgConnectOptions) -> PgPool {
    let ping_after = Duration::from_millis(config.ping_after_idle_ms);
    PgPoolOptions::new()
        .max_connections(config.max_connections.max(1))
        .min_connections(config.min_connections)
        .acquire_timeout(config.acquire_timeout())
        .idle_timeout(config.idle_timeout())
        .max_lifetime(config.max_lifetime())
        .test_before_acquire(false)
        .before_acquire(move |connection, state| {
            Box::pin(async move {
                if state.idle_for >= ping_after {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options)
}

/// Refuses a server that cannot hold the store; a number that no other instance has at this time.
async fn check(connection: &mut PgConnection, server: &Server) -> Result<u64, Error> {
    let state = sqlx::query_as::<_, (i32, bool, String, i32)>(
        "SELECT current_setting('server_version_num')::integer, pg_is_in_recovery(),
                current_setting('server_encoding'), pg_backend_pid()",
    );
    let state = state.persistent(false).fetch_one(connection).await;
    let (version, is_replica, encoding, process) = state.map_err(|error| server.fault(&error))?;
    if version < OLDEST {
        return Err(Error::TooOld {
            server: server.clone(),
            version: version / 10_000,
            oldest: OLDEST / 10_000,
        });
    }
    if is_replica {
        return Err(Error::ReadOnly(server.clone()));
    }
    if encoding != "UTF8" {
        return Err(Error::Encoding { server: server.clone(), encoding });
    }
    Ok(u64::from(process.unsigned_abs()))
}

async fn migrate(connection: &mut PgConnection, server: &Server) -> Result<(), Error> {
    let mut migrations: Migrator = sqlx::migrate!();
    migrations.set_locking(false);
    let fault = |error: sqlx::Error| server.fault(&error);
    // Waiting for another instance's migrations is no fault, however long they take.
    let begin = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
                 SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0";
    let mut transaction = connection.begin_with(AssertSqlSafe(begin)).await.map_err(fault)?;
    sqlx::raw_sql(LOCK).execute(&mut *transaction).await.map_err(fault)?;
    migrations
        .run_direct(None, &mut *transaction, false)
        .await
        .map_err(|error| server.migration_fault(&error))?;
    transaction.commit().await.map_err(fault)
}
