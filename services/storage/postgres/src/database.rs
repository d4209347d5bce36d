//! The connections of a store, and what is known of its database.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, PgPool, Postgres};
use tidemill_kernel::TenantName;
use tidemill_store::Connections;

use crate::config::PostgresConfig;
use crate::error::Server;
use crate::position::Positions;
use crate::reader::Source;
use crate::replica::Replicas;

/// A connection that has been out longer goes back to the pool, which sees to its age.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// A connection of the pool.
pub(crate) struct Taken {
    pub(crate) connection: PoolConnection<Postgres>,
    /// When it left the pool.
    since: Instant,
}

/// What is said of each transaction and each fault.
pub(crate) struct Settings {
    pub(crate) server: Server,
    pub(crate) tries: u32,
    /// Whether statements stay prepared; not behind a pooler that shares connections.
    pub(crate) persistent: bool,
    begin_write: String,
    begin_read: String,
}

impl Settings {
    pub(crate) fn of(config: &PostgresConfig, server: &Server) -> Self {
        let settings = if config.shared_pooler { config.session_settings().into() } else { Vec::new() };
        let settings: String =
            settings.iter().map(|(name, value)| format!("; SET LOCAL {name} = {value}")).collect();
        Self {
            server: server.clone(),
            tries: config.tries.max(1),
            persistent: !config.shared_pooler,
            begin_write: format!("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE{settings}"),
            begin_read: format!("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY{settings}"),
        }
    }

    pub(crate) fn begin_write(&self) -> AssertSqlSafe<String> {
        AssertSqlSafe(self.begin_write.clone())
    }

    pub(crate) fn begin_read(&self) -> AssertSqlSafe<String> {
        AssertSqlSafe(self.begin_read.clone())
    }
}

/// Tenants that were seen.
#[derive(Default)]
struct Tenants {
    by_name: HashMap<TenantName, i64>,
    by_id: HashMap<i64, TenantName>,
}

/// The connections.
pub(crate) struct Database {
    pub(crate) pool: PgPool,
    pub(crate) settings: Arc<Settings>,
    /// Where reads see everything.
    pub(crate) primary: Source,
    /// Where reads may see a little less.
    pub(crate) replicas: Option<Replicas>,
    /// Where the primary's log is.
    pub(crate) positions: Positions,
    /// Spreads the tries of instances that lost together.
    pub(crate) jitter: Mutex<StdRng>,
    /// Connections that steps have just used.
    kept: Mutex<Vec<Taken>>,
    /// Numbers of tenants, which never change.
    tenants: Mutex<Tenants>,
    pub(crate) commits: AtomicU64,
    /// How many changes of counts were added since they were folded.
    pub(crate) unfolded: AtomicU64,
}

impl Database {
    pub(crate) fn new(pool: PgPool, settings: Settings, replicas: Option<Replicas>, seed: u64) -> Self {
        let settings = Arc::new(settings);
        Self {
            primary: Source::primary(&pool, &settings),
            pool,
            settings,
            replicas,
            positions: Positions::default(),
            jitter: Mutex::new(StdRng::seed_from_u64(seed)),
            kept: Mutex::default(),
            tenants: Mutex::default(),
            commits: AtomicU64::new(0),
            // What an instance that was killed left unfolded is folded with the first changes.
            unfolded: AtomicU64::new(crate::ledger::FOLD_AFTER),
        }
    }

    /// A connection for a step: the one that was used last, if one is kept.
    pub(crate) async fn acquire(&self) -> sqlx::Result<Taken> {
        let kept = self.kept().pop();
        match kept {
            Some(kept) if kept.since.elapsed() < KEPT_FOR => Ok(kept),
            _ => Ok(Taken { connection: self.pool.acquire().await?, since: Instant::now() }),
        }
    }

    /// Keeps a connection that a step has left in order for the next one: the pool would look whether it lives, and hand out
    /// another one, whose process has to be woken and knows less.
    pub(crate) fn keep(&self, taken: Taken) {
        // A quarter of them, so that reads always find one.
        let most = self.pool.options().get_max_connections() / 4;
        let mut kept = self.kept();
        if kept.len() < most as usize && !self.pool.is_closed() {
            kept.push(taken);
        }
    }

    /// Whether connections are kept.
    pub(crate) fn keeps_any(&self) -> bool {
        !self.kept().is_empty()
    }

    /// Gives the kept connections back to the pool.
    pub(crate) fn let_go(&self) {
        let kept = std::mem::take(&mut *self.kept());
        drop(kept);
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Taken>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a tenant that was seen before.
    pub(crate) fn known_tenant(&self, name: &TenantName) -> Option<i64> {
        self.seen().by_name.get(name).copied()
    }

    /// The names of those that were seen before, and the numbers of the others.
    pub(crate) fn known_names(&self, ids: &[i64]) -> (HashMap<i64, TenantName>, Vec<i64>) {
        let seen = self.seen();
        let (mut names, mut missing) = (HashMap::new(), Vec::new());
        for id in ids {
            match seen.by_id.get(id) {
                Some(name) if !names.contains_key(id) => drop(names.insert(*id, name.clone())),
                Some(_) => {}
                None => missing.push(*id),
            }
        }
        (names, missing)
    }

    pub(crate) fn learn_tenant(&self, name: &TenantName, id: i64) {
        let mut seen = self.seen();
        seen.by_name.insert(name.clone(), id);
        seen.by_id.insert(id, name.clone());
    }

    /// A connection was lost: behind the next one may be another database, restored from a backup.
    pub(crate) fn forget_tenants(&self) {
        *self.seen() = Tenants::default();
    }

    fn seen(&self) -> MutexGuard<'_, Tenants> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    pub(crate) fn connections(&self) -> Connections {
        let (open, idle) = (self.pool.size() as usize, self.pool.num_idle() + self.kept().len());
        Connections { pool: "primary", idle, used: open.saturating_sub(idle) }
    }

    pub(crate) async fn close(&self) {
        if let Some(replicas) = &self.replicas {
            replicas.close().await;
        }
        self.let_go();
        self.pool.close().await;
    }
}
