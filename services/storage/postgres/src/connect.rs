//! Opening the database: what the configuration says, one connection that checks the server and brings the schema up
//! to date, or refuses one that is not, then the pool.

use std::str::FromStr;
use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};

use crate::config::PostgresConfig;
use crate::database::{Database, Settings};
use crate::error::{Error, Server};
use crate::migrate;
use crate::reader::ask_one;
use crate::replica::Replicas;

/// The oldest release that has everything that the statements use.
const OLDEST: i32 = 130_000;

/// How long a read waits for a connection to a replica.
const REPLICA_PATIENCE: Duration = Duration::from_secs(1);

/// Connects; brings the schema up to date, or refuses one that is not.
pub(crate) async fn connect(config: &PostgresConfig) -> Result<Database, Error> {
    let (mut connection, server) = first(config).await?;
    let seed = process(&mut connection, &server).await?;
    if config.migrate {
        migrate::migrate(&mut connection, &server).await?;
    } else {
        let schema = migrate::schema(&mut connection, &server).await?;
        if let Some(missing) = schema.outstanding.first() {
            return Err(Error::Outdated { server, migration: missing.version });
        }
    }
    // It has no more to say; the pool opens its own.
    let _ = connection.close().await;
    let settings = Settings::of(config, &server);
    let replicas = Replicas::start(config, seed)?;
    Ok(Database::new(pool(config, options(config, &config.url)?), settings, replicas, seed))
}

/// A connection to a server that can hold the store.
pub(crate) async fn first(config: &PostgresConfig) -> Result<(PgConnection, Server), Error> {
    let options = options(config, &config.url)?;
    let server = Server::of(&options);
    let connection = tokio::time::timeout(config.acquire_timeout(), options.connect()).await;
    let connection = connection.map_err(|_| server.away("it does not answer"))?;
    let mut connection = connection.map_err(|error| server.fault(&error))?;
    check(&mut connection, &server).await?;
    Ok((connection, server))
}

/// How a server is reached, and what each connection sets.
pub(crate) fn options(config: &PostgresConfig, url: &str) -> Result<PgConnectOptions, Error> {
    let mut options = PgConnectOptions::from_str(url).map_err(|error| Error::Url(error.to_string()))?;
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
    pool_options(config).connect_lazy_with(options)
}

/// Connections to a replica, each looked at by `guard` before it is used. A read waits less for one than for one to the
/// primary, which is there too.
pub(crate) fn replica_pool<G>(config: &PostgresConfig, options: PgConnectOptions, guard: G) -> PgPool
where
    G: for<'a> Fn(&'a mut PgConnection) -> BoxFuture<'a, sqlx::Result<()>> + Send + Sync + 'static,
{
    let pool = pool_options(config).acquire_timeout(config.acquire_timeout().min(REPLICA_PATIENCE));
    pool.after_connect(move |connection, _| guard(connection)).connect_lazy_with(options)
}

fn pool_options(config: &PostgresConfig) -> PgPoolOptions {
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
}

/// Refuses a server that cannot hold the store.
async fn check(connection: &mut PgConnection, server: &Server) -> Result<(), Error> {
    const QUESTION: &str = "SELECT current_setting('server_version_num')::integer, pg_is_in_recovery(),
            current_setting('server_encoding')";
    let state = ask_one::<(i32, bool, String)>(connection, QUESTION).await;
    let (version, is_replica, encoding) = state.map_err(|error| server.fault(&error))?;
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
    Ok(())
}

/// A number that no other instance has at this time.
async fn process(connection: &mut PgConnection, server: &Server) -> Result<u64, Error> {
    let process = ask_one::<(i32,)>(connection, "SELECT pg_backend_pid()").await;
    process.map(|(process,)| u64::from(process.unsigned_abs())).map_err(|error| server.fault(&error))
}
