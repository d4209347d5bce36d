//! The store on PostgreSQL: native SQL, group commit across callers, safe with many instances on one database.
//!
//! Invariants:
//! - A step is one transaction, and nobody is answered before its commit. Steps of one kind that wait together share a
//!   transaction (`writer`). A transaction that lost against another (deadlock, lock timeout) is run again.
//! - Places of a shard's log are given under its lock, which lasts until they are committed (`take_places` in the
//!   migrations): who follows the log misses nothing. Shards wait for nothing of each other.
//! - What a shard's owner decides is written while nobody can take the shard from it (`task::fence`).
//! - A queue's rows come and go and are hardly ever updated; what is read of it is read from a place on. So rows that are
//!   dead and cannot be removed, while somebody holds a transaction open, are in nobody's way.
//! - Lookups and pages cost what they give, whatever the planner believes: a plan is kept while tables grow, and one tenant's flood
//!   makes the statistics of all. Rows are named by ranges of whole keys (`content::lookup`, `task::row`). Not so yet: what a
//!   retry by hand takes out of history, and a search, until their tables are first analysed.
//! - Rows are locked in one order (see `0004_queue.sql`), batches in the order of their keys.
//! - Rows travel as arrays: a batch is a handful of statements, never one for each row. Statements are literals,
//!   prepared once for each connection, or not at all behind a pooler that shares connections.
//! - Nothing depends on a session: no session lock, no setting, no temporary table outlives a transaction.
//! - A read that a replica answers misses nothing that was acknowledged longer ago than is allowed, nothing that its
//!   caller wrote before and says so (`replica`). What decides (leases, keys, queries to match against) reads the primary.
//! - Counts are sums of changes that steps only add; no count reads a table through, no step waits for a counter.
//!
//! To add a step: a type with `writer::Write` in the file of its noun, one line in the trait's method. To change the
//! schema: a new file in `migrations/`, never a change of an old one, and such that the version before still works.
//!
//! Sources: `https://www.postgresql.org/docs/current/explicit-locking.html`,
//! `https://www.postgresql.org/docs/current/textsearch.html`, `https://www.pgbouncer.org/features.html`.

pub mod config;
mod connect;
mod content;
mod database;
pub mod error;
pub mod examine;
mod ledger;
mod migrate;
mod page;
mod position;
mod reader;
mod replica;
mod setting;
mod task;
mod tenant;
mod writer;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tidemill_store::{Connections, Freshness, Position, Store};

pub use config::PostgresConfig;
use database::Database;
pub use error::Error;
pub use examine::{Examination, ReplicaExamination};
use reader::Source;
use replica::Replicas;
use writer::Lanes;

/// The store in a database. Cheap calls may come from any number of tasks, and other instances may use the database.
pub struct PostgresStore {
    database: Arc<Database>,
    lanes: Arc<AllLanes>,
    /// What pages, searches, counts and documents have to show.
    freshness: Freshness,
}

struct AllLanes {
    appends: Lanes<task::AppendTasks>,
    settles: Lanes<task::SettleTasks>,
}

impl PostgresStore {
    /// Connects to the database and, unless told otherwise, brings it up to date.
    ///
    /// # Errors
    /// Says what is wrong with the settings, the server or the database, and how to mend it.
    pub async fn connect(config: PostgresConfig) -> Result<Self, Error> {
        let database = Arc::new(connect::connect(&config).await?);
        let lanes = config.lanes.max(1);
        let lanes =
            AllLanes { appends: Lanes::start(&database, lanes), settles: Lanes::start(&database, lanes) };
        Ok(Self { database, lanes: Arc::new(lanes), freshness: Freshness::Latest })
    }

    /// Finishes the writes that wait and closes every connection. Calls that come later are answered
    /// [`tidemill_store::Error::Unavailable`].
    pub async fn close(&self) {
        let AllLanes { appends, settles } = &*self.lanes;
        futures::join!(appends.close(), settles.close());
        self.database.close().await;
    }

    /// How many transactions were committed since it was opened: less than the calls that wrote, when calls met.
    pub fn commits(&self) -> u64 {
        self.database.commits()
    }

    /// Runs a read of what may be a little old.
    async fn read<T, F>(&self, run: impl Fn(Source) -> F) -> Result<T, tidemill_store::Error>
    where
        F: Future<Output = Result<T, tidemill_store::Error>> + Send,
    {
        self.database.read(self.freshness, run).await
    }
}

#[async_trait]
impl Store for PostgresStore {
    fn system(&self) -> &'static str {
        "postgresql"
    }

    fn connections(&self) -> Vec<Connections> {
        let replicas = self.database.replicas.as_ref().map(Replicas::connections);
        [self.database.connections()].into_iter().chain(replicas).collect()
    }

    fn reading(self: Arc<Self>, freshness: Freshness) -> Arc<dyn Store> {
        if freshness == self.freshness || self.database.replicas.is_none() {
            return self;
        }
        let (database, lanes) = (Arc::clone(&self.database), Arc::clone(&self.lanes));
        Arc::new(Self { database, lanes, freshness })
    }

    async fn position(&self) -> Option<Position> {
        self.database.replicas.as_ref()?;
        Some(self.database.positions.now(&self.database.primary).await)
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("commits", &self.commits()).finish_non_exhaustive()
    }
}
