//! Reads: where rows come from, the primary or a replica, and how they are read from there.

use std::sync::{Arc, Mutex, PoisonError};

use futures::TryStreamExt;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::QueryAs;
use sqlx::{Connection, FromRow, PgConnection, PgPool, Postgres};
use tidemill_kernel::breaker::Outcome;
use tidemill_store::{Error, Result};

use crate::database::Settings;
use crate::error::{is_lost, is_slow};
use crate::page::PageRows;

/// A statement with its parameters, whose rows are read as `T`.
pub(crate) type Rows<'a, T> = QueryAs<'a, Postgres, T, PgArguments>;

/// A row that a statement returns.
pub(crate) trait Row: for<'r> FromRow<'r, PgRow> + Send + Unpin {}

impl<T: for<'r> FromRow<'r, PgRow> + Send + Unpin> Row for T {}

/// The rows of a statement without parameters, asked for in one message: right outside a transaction also where a pooler
/// gives each message another connection to the server.
pub(crate) async fn ask<T: Row>(
    connection: &mut PgConnection,
    question: &'static str,
) -> sqlx::Result<Vec<T>> {
    let rows = sqlx::raw_sql(question).fetch_all(connection).await?;
    rows.iter().map(T::from_row).collect()
}

/// The first of them, which must be there.
pub(crate) async fn ask_one<T: Row>(
    connection: &mut PgConnection,
    question: &'static str,
) -> sqlx::Result<T> {
    ask(connection, question).await?.into_iter().next().ok_or(sqlx::Error::RowNotFound)
}

/// Where rows are read. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Source {
    pool: PgPool,
    settings: Arc<Settings>,
    /// Of a replica: what goes wrong there.
    attempt: Option<Arc<Attempt>>,
}

/// What went wrong with a read on a replica, for reasons of the replica.
#[derive(Debug, Default)]
pub(crate) struct Attempt(Mutex<Option<Outcome>>);

impl Attempt {
    pub(crate) fn failed(&self) -> Option<Outcome> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A statement that took too long would take as long elsewhere; everything else is tried elsewhere, and a replica
    /// that cannot be reached is to blame for it.
    fn take_in(&self, error: &sqlx::Error) {
        if !is_slow(error) {
            let is_away = is_lost(error) || matches!(error, sqlx::Error::PoolTimedOut);
            let outcome = if is_away { Outcome::Failure } else { Outcome::Neutral };
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        }
    }
}

impl Source {
    /// The primary.
    pub(crate) fn primary(pool: &PgPool, settings: &Arc<Settings>) -> Self {
        Self { pool: pool.clone(), settings: Arc::clone(settings), attempt: None }
    }

    /// A replica, for one read.
    pub(crate) fn replica(pool: &PgPool, settings: &Arc<Settings>, attempt: &Arc<Attempt>) -> Self {
        let attempt = Some(Arc::clone(attempt));
        Self { pool: pool.clone(), settings: Arc::clone(settings), attempt }
    }

    /// All rows of a statement.
    pub(crate) async fn rows<'a, T: Row>(&self, statement: impl Fn() -> Rows<'a, T>) -> Result<Vec<T>> {
        match self.try_rows(statement()).await {
            Err(error) if self.is_worth_another(&error) => self.try_rows(statement()).await,
            outcome => outcome,
        }
        .map_err(|error| self.fault(&error))
    }

    /// The first row of a statement.
    pub(crate) async fn row<'a, T: Row>(&self, statement: impl Fn() -> Rows<'a, T>) -> Result<Option<T>> {
        Ok(self.rows(statement).await?.into_iter().next())
    }

    /// The first rows of a statement: those that fit into a load, one at least if there is one.
    pub(crate) async fn load<'a, T: Row>(
        &self,
        statement: impl Fn() -> Rows<'a, T>,
        bytes: fn(&T) -> usize,
    ) -> Result<Vec<T>> {
        let mut page = PageRows::load(bytes);
        self.fill(&mut page, |_| statement()).await?;
        Ok(page.loaded())
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
            Err(error) if self.is_worth_another(&error) => self.try_fill(page, statement(missing)).await,
            outcome => outcome,
        };
        page.take(rows.map_err(|error| self.fault(&error))?);
        Ok(())
    }

    /// A connection to the primary that was lost says nothing of the server; another one does.
    fn is_worth_another(&self, error: &sqlx::Error) -> bool {
        self.attempt.is_none() && is_lost(error)
    }

    fn fault(&self, error: &sqlx::Error) -> Error {
        if let Some(attempt) = &self.attempt {
            attempt.take_in(error);
        }
        self.settings.server.failed(error)
    }

    async fn try_rows<T: Row>(&self, statement: Rows<'_, T>) -> sqlx::Result<Vec<T>> {
        let mut connection = self.pool.acquire().await?;
        if self.settings.persistent {
            return statement.fetch_all(&mut *connection).await;
        }
        let mut transaction = connection.begin_with(self.settings.begin_read()).await?;
        let rows = statement.persistent(false).fetch_all(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(rows)
    }

    async fn try_fill<T: Row>(&self, page: &PageRows<T>, statement: Rows<'_, T>) -> sqlx::Result<Vec<T>> {
        let mut connection = self.pool.acquire().await?;
        if self.settings.persistent {
            return fitting(page, statement, &mut connection).await;
        }
        let mut transaction = connection.begin_with(self.settings.begin_read()).await?;
        let rows = fitting(page, statement.persistent(false), &mut transaction).await?;
        transaction.commit().await?;
        Ok(rows)
    }
}

/// Rows until the page is full.
async fn fitting<T: Row>(
    page: &PageRows<T>,
    statement: Rows<'_, T>,
    connection: &mut PgConnection,
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
