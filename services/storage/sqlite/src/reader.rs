//! Reads, on connections of their own. Rows come as JSON arrays in one column, which decode straight into rows of the
//! crate and cost one value for a row instead of one for each column.

use futures::TryStreamExt;
use serde::de::DeserializeOwned;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Row, Sqlite, SqliteConnection, SqlitePool};
use tidemill_kernel::Page;
use tidemill_store::page::{self, PAGE_BYTES};
use tidemill_store::{Connections, Error, Result};

use crate::error::failed;

/// A statement with its parameters.
pub(crate) type Statement<'a> = Query<'a, Sqlite, SqliteArguments>;

/// The readers' connections.
pub(crate) struct Readers {
    pool: SqlitePool,
}

impl Readers {
    pub(crate) fn new(pool: SqlitePool) -> Self {
        Self { pool }
    }

    /// All rows of a statement.
    pub(crate) async fn rows<T: DeserializeOwned>(&self, statement: Statement<'_>) -> Result<Vec<T>> {
        let rows = statement.fetch_all(&self.pool).await.map_err(failed)?;
        rows.iter().map(json).collect()
    }

    /// The first row of a statement.
    pub(crate) async fn row<T: DeserializeOwned>(&self, statement: Statement<'_>) -> Result<Option<T>> {
        let row = statement.fetch_optional(&self.pool).await.map_err(failed)?;
        row.as_ref().map(json).transpose()
    }

    pub(crate) fn connections(&self) -> Connections {
        let (open, idle) = (self.pool.size() as usize, self.pool.num_idle());
        Connections { pool: "readers", idle, used: open.saturating_sub(idle) }
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

/// The rows of a page as they are read: one more than it shows. No more are read than fit, however large they are.
pub(crate) struct PageRows<T> {
    /// Each with its bytes.
    rows: Vec<(T, usize)>,
    bytes: usize,
    size: u32,
}

impl<T> PageRows<T> {
    /// None yet, of a page of this size.
    pub(crate) fn new(size: u32) -> Self {
        Self { rows: Vec::new(), bytes: 0, size }
    }

    /// How many are to be read yet.
    pub(crate) fn missing(&self) -> i64 {
        let full = self.bytes > PAGE_BYTES && self.rows.len() > 1;
        let read = i64::try_from(self.rows.len()).unwrap_or(i64::MAX);
        if full { 0 } else { i64::from(self.size) + 1 - read }
    }

    /// Reads rows of this statement, which should be limited to those that are missing and need no sorting.
    pub(crate) async fn read(
        &mut self,
        readers: &Readers,
        statement: Statement<'_>,
        row: fn(&SqliteRow) -> Result<T>,
    ) -> Result<()> {
        let mut found = statement.fetch(&readers.pool);
        while self.missing() > 0
            && let Some(next) = found.try_next().await.map_err(failed)?
        {
            let bytes = next.try_get::<&str, _>(0).map_err(failed)?.len();
            self.bytes += bytes;
            self.rows.push((row(&next)?, bytes));
        }
        Ok(())
    }

    /// The page; `token` makes the token from the last row that is shown.
    pub(crate) fn cut(self, token: impl Fn(&T) -> String) -> Page<T> {
        page::cut(self.rows, self.size, |(_, bytes)| *bytes, |(row, _)| token(row)).map(|(row, _)| row)
    }
}

/// A row that is one JSON text.
pub(crate) fn json<T: DeserializeOwned>(row: &SqliteRow) -> Result<T> {
    decode(row.try_get(0).map_err(failed)?)
}

/// The same with a number beside it, which JSON would not keep to the last bit.
pub(crate) fn scored<T: DeserializeOwned>(row: &SqliteRow) -> Result<(T, f64)> {
    Ok((json(row)?, row.try_get(1).map_err(failed)?))
}

/// All rows of a statement that the writer runs.
pub(crate) async fn rows<T: DeserializeOwned>(
    connection: &mut SqliteConnection,
    statement: Statement<'_>,
) -> Result<Vec<T>> {
    let rows = statement.fetch_all(connection).await.map_err(failed)?;
    rows.iter().map(json).collect()
}

fn decode<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::Internal(format!("a row cannot be read: {error}")))
}
