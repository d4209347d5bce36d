//! The connections of a store, and reads on them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use futures::TryStreamExt;
use rand::SeedableRng;
use rand::rngs::StdRng;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::QueryAs;
use sqlx::{AssertSqlSafe, Connection, FromRow, PgPool, Postgres};
use tidemill_kernel::TenantName;
use tidemill_store::{Connections, Result};

use crate::config::PostgresConfig;
use crate::error::{Server, is_lost};
use crate::page::PageRows;

/// A statement with its parameters, whose rows are read as `T`.
pub(crate) type Rows<'a, T> = QueryAs<'a, Postgres, T, PgArguments>;

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
}

/// The connections.
pub(crate) struct Database {
    pub(crate) pool: PgPool,
    pub(crate) settings: Settings,
    /// Spreads the tries of instances that lost together.
    pub(crate) jitter: Mutex<StdRng>,
    /// Numbers of tenants, which never change.
    tenants: Mutex<HashMap<TenantName, i64>>,
    pub(crate) commits: AtomicU64,
    /// How many changes of counts were added since they were folded.
    pub(crate) unfolded: AtomicU64,
}

impl Database {
    pub(crate) fn new(pool: PgPool, settings: Settings, seed: u64) -> Self {
        Self {
            pool,
            settings,
            jitter: Mutex::new(StdRng::seed_from_u64(seed)),
            tenants: Mutex::default(),
            commits: AtomicU64::new(0),
            // What an instance that was killed left unfolded is folded with the first changes.
            unfolded: AtomicU64::new(crate::ledger::FOLD_AFTER),
        }
    }

    /// All rows of a statement.
    pub(crate) async fn rows<'a, T>(&self, statement: impl Fn() -> Rows<'a, T>) -> Result<Vec<T>>
    where
        T: Row,
    {
        match self.try_rows(statement()).await {
            // A connection that was lost says nothing of the server; another one does.
            Err(error) if is_lost(&error) => self.try_rows(statement()).await,
            outcome => outcome,
        }
        .map_err(|error| self.settings.server.failed(&error))
    }

    /// The first row of a statement.
    pub(crate) async fn row<'a, T>(&self, statement: impl Fn() -> Rows<'a, T>) -> Result<Option<T>>
    where
        T: Row,
    {
        Ok(self.rows(statement).await?.into_iter().next())
    }

    async fn try_rows<T: Row>(&self, statement: Rows<'_, T>) -> sqlx::Result<Vec<T>> {
        let mut connection = self.pool.acquire().await?;
        if self.settings.persistent {
            return statement.fetch_all(&mut *connection).await;
        }
        let mut transaction = connection.begin_with(self.begin_read()).await?;
        let rows = statement.persistent(false).fetch_all(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(rows)
    }

    /// Reads rows of this statement into a page: no more than it misses.
    pub(crate) async fn fill<'a, T: Row>(
        &self,
        page: &mut PageRows<T>,
        statement: impl Fn(i64) -> Rows<'a, T>,
    ) -> Result<()> {
        let missing = page.missing();
        if missing == 0 {
            return Ok(());
        }
        let rows = match self.try_fill(page, statement(missing)).await {
            Err(error) if is_lost(&error) => self.try_fill(page, statement(missing)).await,
            outcome => outcome,
        };
        page.take(rows.map_err(|error| self.settings.server.failed(&error))?);
        Ok(())
    }

    async fn try_fill<T: Row>(&self, page: &PageRows<T>, statement: Rows<'_, T>) -> sqlx::Result<Vec<T>> {
        let mut connection = self.pool.acquire().await?;
        if self.settings.persistent {
            return fitting(page, statement, &mut connection).await;
        }
        let mut transaction = connection.begin_with(self.begin_read()).await?;
        let rows = fitting(page, statement.persistent(false), &mut transaction).await?;
        transaction.commit().await?;
        Ok(rows)
    }

    /// A connection for a step.
    pub(crate) async fn acquire(&self) -> sqlx::Result<PoolConnection<Postgres>> {
        self.pool.acquire().await
    }

    pub(crate) fn begin_write(&self) -> AssertSqlSafe<String> {
        AssertSqlSafe(self.settings.begin_write.clone())
    }

    fn begin_read(&self) -> AssertSqlSafe<String> {
        AssertSqlSafe(self.settings.begin_read.clone())
    }

    /// The number of a tenant that was seen before.
    pub(crate) fn known_tenant(&self, name: &TenantName) -> Option<i64> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied()
    }

    pub(crate) fn learn_tenant(&self, name: &TenantName, id: i64) {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), id);
    }

    /// A connection was lost: behind the next one may be another database, restored from a backup.
    pub(crate) fn forget_tenants(&self) {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    pub(crate) fn connections(&self) -> Connections {
        let (open, idle) = (self.pool.size() as usize, self.pool.num_idle());
        Connections { pool: "primary", idle, used: open.saturating_sub(idle) }
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

/// A row that a statement returns.
pub(crate) trait Row: for<'r> FromRow<'r, PgRow> + Send + Unpin {}

impl<T: for<'r> FromRow<'r, PgRow> + Send + Unpin> Row for T {}

/// Rows until the page is full.
async fn fitting<T: Row>(
    page: &PageRows<T>,
    statement: Rows<'_, T>,
    connection: &mut sqlx::PgConnection,
) -> sqlx::Result<Vec<T>> {
    let mut stream = statement.fetch(connection);
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while !page.is_full(rows.len(), bytes)
        && let Some(row) = stream.try_next().await?
    {
        bytes += page.bytes_of(&row);
        rows.push(row);
    }
    Ok(rows)
}
