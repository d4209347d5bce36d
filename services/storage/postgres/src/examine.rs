//! What a person wants to know of a server before a mesh is put on it: read only, judged by the caller.

use std::time::Duration;

use sqlx::{Connection, FromRow};
use tidemill_kernel::Timestamp;
use tidemill_store::schema::Schema;

use crate::error::Error;
use crate::reader::ask_one;
use crate::{PostgresConfig, PostgresStore, connect, migrate, replica};

/// What a server and its database are like.
#[derive(Debug, Clone)]
pub struct Examination {
    /// Where it is, without a password.
    pub server: String,
    /// Its release, such as `15.4`.
    pub release: String,
    /// How far the schema is.
    pub schema: Schema,
    /// How many connections it allows to ordinary users.
    pub max_connections: i64,
    /// How many are open to this server by anybody.
    pub connections: i64,
    /// Whether a commit is waited for to be on the disk (`synchronous_commit` is not off).
    pub waits_for_commits: bool,
    /// Whether it asks the disk to keep what is written (`fsync`, `full_page_writes`).
    pub survives_power_loss: bool,
    /// Its clock.
    pub clock: Timestamp,
}

/// A replica of the configuration, and how it stands.
#[derive(Debug, Clone)]
pub struct ReplicaExamination {
    /// Where it is, without a password.
    pub server: String,
    /// How long it took until it showed what the primary had written when it was asked, or why it gets no reads.
    pub lag: Result<Duration, String>,
}

const QUESTION: &str = "SELECT current_setting('server_version') AS release,
        current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint
            AS max_connections,
        (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
        current_setting('synchronous_commit') <> 'off' AS waits_for_commits,
        current_setting('fsync')::boolean AND current_setting('full_page_writes')::boolean AS survives_power_loss,
        (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS clock";

#[derive(FromRow)]
struct ServerRow {
    release: String,
    max_connections: i64,
    connections: i64,
    waits_for_commits: bool,
    survives_power_loss: bool,
    clock: i64,
}

impl PostgresStore {
    /// Looks at the server and the database of the configuration. Changes nothing.
    ///
    /// # Errors
    /// As for [`PostgresStore::connect`], but for a schema that is not up to date.
    pub async fn examine(config: &PostgresConfig) -> Result<Examination, Error> {
        let (mut connection, server) = connect::first(config).await?;
        let schema = migrate::schema(&mut connection, &server).await?;
        let row = ask_one::<ServerRow>(&mut connection, QUESTION).await;
        let row = row.map_err(|error| server.fault(&error))?;
        let _ = connection.close().await;
        Ok(Examination {
            server: server.to_string(),
            release: row.release,
            schema,
            max_connections: row.max_connections,
            connections: row.connections,
            waits_for_commits: row.waits_for_commits,
            survives_power_loss: row.survives_power_loss,
            clock: Timestamp::from_micros(row.clock),
        })
    }

    /// Looks at the replicas of the configuration, for no longer than they may lag and a little more.
    ///
    /// # Errors
    /// When an address is none.
    pub async fn examine_replicas(config: &PostgresConfig) -> Result<Vec<ReplicaExamination>, Error> {
        replica::examine(config).await
    }
}
