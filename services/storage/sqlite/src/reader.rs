//! Reads, on connections of their own. Rows come as JSON arrays in one column, which decode straight into rows of the
//! crate and cost one value for a row instead of one for each column.

use serde::de::DeserializeOwned;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Row, Sqlite, SqliteConnection, SqlitePool};
use tidemill_store::{Error, Result};

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
        rows.iter().map(|row| decode(row.try_get(0).map_err(failed)?)).collect()
    }

    /// All rows of a statement whose second column is a number, which JSON would not keep to the last bit.
    pub(crate) async fn scored<T: DeserializeOwned>(
        &self,
        statement: Statement<'_>,
    ) -> Result<Vec<(T, f64)>> {
        let rows = statement.fetch_all(&self.pool).await.map_err(failed)?;
        let row = |row: &sqlx::sqlite::SqliteRow| {
            Ok((decode(row.try_get(0).map_err(failed)?)?, row.try_get(1).map_err(failed)?))
        };
        rows.iter().map(row).collect()
    }

    /// The first row of a statement.
    pub(crate) async fn row<T: DeserializeOwned>(&self, statement: Statement<'_>) -> Result<Option<T>> {
        let row = statement.fetch_optional(&self.pool).await.map_err(failed)?;
        row.map(|row| decode(row.try_get(0).map_err(failed)?)).transpose()
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

/// All rows of a statement that the writer runs.
pub(crate) async fn rows<T: DeserializeOwned>(
    connection: &mut SqliteConnection,
    statement: Statement<'_>,
) -> Result<Vec<T>> {
    let rows = statement.fetch_all(connection).await.map_err(failed)?;
    rows.iter().map(|row| decode(row.try_get(0).map_err(failed)?)).collect()
}

fn decode<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::Internal(format!("a row cannot be read: {error}")))
}
