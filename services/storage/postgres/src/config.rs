//! How the store reaches its database.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How the store reaches its database. Times are in milliseconds.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PostgresConfig {
    /// `postgres://user@host:port/database`; `?sslmode=verify-full&sslrootcert=FILE` for TLS. A password in it is seen
    /// by whoever sees the configuration: better in `password_file`, in `PGPASSWORD` or in `~/.pgpass`.
    pub url: String,
    /// A file with the password on its first line; read when the store is opened.
    pub password_file: Option<PathBuf>,
    /// Streaming replicas that answer pages, searches, counts and documents: URLs as `url`, with the same user settings.
    pub replicas: Vec<String>,
    /// By how much a read that a replica answers may be behind; a replica that may lag by more gets none.
    pub max_replica_lag_ms: u64,
    /// How often the primary and each replica are asked how far they are; a third of the lag that is allowed at most.
    pub replica_check_ms: u64,
    /// What the server shows as the name of its client.
    pub application_name: String,
    /// How many connections there are at most. The server must allow these for every instance.
    pub max_connections: u32,
    /// How many are kept open when nothing is to do.
    pub min_connections: u32,
    /// How long a call waits for a connection, and for the server while it is away.
    pub acquire_timeout_ms: u64,
    /// A connection that was idle for this long is closed; 0 for never.
    pub idle_timeout_ms: u64,
    /// A connection of this age is replaced, so that load spreads and the server's memory is freed; 0 for never.
    pub max_lifetime_ms: u64,
    /// A connection that was idle for this long is tried before it is used; 0 for always.
    pub ping_after_idle_ms: u64,
    /// A statement that takes longer is ended; 0 for never.
    pub statement_timeout_ms: u64,
    /// A statement that waits longer for a lock is ended and its step tried again; 0 for never.
    pub lock_timeout_ms: u64,
    /// How many times a step is tried that lost against another or lost its connection; 1 or more.
    pub tries: u32,
    /// How many transactions of one kind of step (append, settle) run at once. Each takes in what waits.
    pub lanes: u32,
    /// How many prepared statements a connection keeps.
    pub statement_cache: usize,
    /// Whether a pooler that shares connections between transactions stands in front (PgBouncer in transaction mode).
    /// Then no statement is prepared ahead, and time limits are set in each transaction.
    pub shared_pooler: bool,
    /// Whether the database is brought up to date when the store is opened; else `tidemill migrate` does it, and a
    /// database that is not is refused.
    pub migrate: bool,
}

impl Default for PostgresConfig {
    fn default() -> Self {
        Self {
            url: "postgres://tidemill@127.0.0.1:5432/tidemill".to_owned(),
            password_file: None,
            replicas: Vec::new(),
            max_replica_lag_ms: 1_000,
            replica_check_ms: 200,
            application_name: "tidemill".to_owned(),
            max_connections: 16,
            min_connections: 0,
            acquire_timeout_ms: 10_000,
            idle_timeout_ms: 600_000,
            max_lifetime_ms: 1_800_000,
            ping_after_idle_ms: 1_000,
            statement_timeout_ms: 30_000,
            lock_timeout_ms: 5_000,
            tries: 8,
            lanes: 2,
            statement_cache: 200,
            shared_pooler: false,
            migrate: true,
        }
    }
}

impl PostgresConfig {
    /// What each connection sets, or each transaction behind a pooler that shares connections.
    ///
    /// Every statement finds its rows by a key or walks an index in the order that it shows. Without statistics, as in
    /// a queue that was just filled, the planner would rather read a whole table than look 500 rows up.
    pub(crate) fn session_settings(&self) -> [(&'static str, String); 6] {
        [
            ("statement_timeout", self.statement_timeout_ms.to_string()),
            ("lock_timeout", self.lock_timeout_ms.to_string()),
            ("enable_seqscan", "off".to_owned()),
            ("random_page_cost", "1.1".to_owned()),
            // A statement is planned once, not each time for the numbers of rows that come: that takes longer than it runs.
            ("plan_cache_mode", "force_generic_plan".to_owned()),
            // Compiling a statement takes longer than any of these runs.
            ("jit", "off".to_owned()),
        ]
    }

    pub(crate) fn acquire_timeout(&self) -> Duration {
        Duration::from_millis(self.acquire_timeout_ms.max(1))
    }

    pub(crate) fn idle_timeout(&self) -> Option<Duration> {
        limit(self.idle_timeout_ms)
    }

    pub(crate) fn max_lifetime(&self) -> Option<Duration> {
        limit(self.max_lifetime_ms)
    }
}

fn limit(milliseconds: u64) -> Option<Duration> {
    (milliseconds > 0).then(|| Duration::from_millis(milliseconds))
}

impl fmt::Debug for PostgresConfig {
    /// Without the URL, which may have a password in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("PostgresConfig");
        shown.field("max_connections", &self.max_connections).field("lanes", &self.lanes);
        shown.finish_non_exhaustive()
    }
}
