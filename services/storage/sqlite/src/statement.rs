//! Statements with their parameters, and rows that come back as JSON arrays in one column, which decode straight into
//! rows of the crate and cost one value for a row instead of one for each column.
//!
//! Every connection keeps its statements prepared. Those that run once for each row are prepared by the step itself.

use rusqlite::types::{ToSqlOutput, Value};
use rusqlite::{Connection, Row, ToSql, params_from_iter};
use serde::de::DeserializeOwned;
use tidemill_kernel::{Id, Timestamp};
use tidemill_store::{Error, Result};

use crate::error::failed;

/// How many statements a connection keeps prepared: all there are.
pub(crate) const PREPARED: usize = 256;

/// A statement with its parameters.
pub(crate) struct Statement {
    sql: &'static str,
    parameters: Vec<Parameter>,
}

/// A statement without parameters yet.
pub(crate) fn query(sql: &'static str) -> Statement {
    Statement { sql, parameters: Vec::new() }
}

impl Statement {
    /// The next parameter.
    pub(crate) fn bind(mut self, parameter: impl Into<Parameter>) -> Self {
        self.parameters.push(parameter.into());
        self
    }

    /// Runs it; how many rows it changed.
    pub(crate) fn execute(&self, connection: &Connection) -> Result<u64> {
        let mut prepared = connection.prepare_cached(self.sql).map_err(failed)?;
        let changed = prepared.execute(params_from_iter(&self.parameters)).map_err(failed)?;
        Ok(changed as u64)
    }

    /// Reads rows while `take` wants more.
    pub(crate) fn read(
        &self,
        connection: &Connection,
        mut take: impl FnMut(&Row<'_>) -> Result<bool>,
    ) -> Result<()> {
        let mut prepared = connection.prepare_cached(self.sql).map_err(failed)?;
        let mut rows = prepared.query(params_from_iter(&self.parameters)).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            if !take(row)? {
                break;
            }
        }
        Ok(())
    }

    /// All its rows.
    pub(crate) fn rows<T: DeserializeOwned>(&self, connection: &Connection) -> Result<Vec<T>> {
        let mut rows = Vec::new();
        self.read(connection, |row| {
            rows.push(json(row)?);
            Ok(true)
        })?;
        Ok(rows)
    }

    /// Its first row.
    pub(crate) fn row<T: DeserializeOwned>(&self, connection: &Connection) -> Result<Option<T>> {
        let mut first = None;
        self.read(connection, |row| {
            first = Some(json(row)?);
            Ok(false)
        })?;
        Ok(first)
    }
}

/// A row that is one JSON text.
pub(crate) fn json<T: DeserializeOwned>(row: &Row<'_>) -> Result<T> {
    let text = text(row)?;
    serde_json::from_str(text).map_err(|error| Error::Internal(format!("a row cannot be read: {error}")))
}

/// The same with a number beside it, which JSON would not keep to the last bit.
pub(crate) fn scored<T: DeserializeOwned>(row: &Row<'_>) -> Result<(T, f64)> {
    Ok((json(row)?, row.get(1).map_err(failed)?))
}

/// The first column of a row.
pub(crate) fn text<'a>(row: &'a Row<'_>) -> Result<&'a str> {
    row.get_ref(0).map_err(failed)?.as_str().map_err(|error| failed(error.into()))
}

/// A parameter of a statement.
pub(crate) struct Parameter(Value);

impl ToSql for Parameter {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl From<&str> for Parameter {
    fn from(text: &str) -> Self {
        Self(Value::Text(text.to_owned()))
    }
}

impl From<Timestamp> for Parameter {
    fn from(time: Timestamp) -> Self {
        Self(Value::Integer(time.as_micros()))
    }
}

impl From<Id> for Parameter {
    fn from(id: Id) -> Self {
        Self(Value::Blob(id.as_bytes().to_vec()))
    }
}

impl<T: Into<Self>> From<Option<T>> for Parameter {
    fn from(some: Option<T>) -> Self {
        some.map_or(Self(Value::Null), Into::into)
    }
}

/// What SQLite's values are made of without loss.
macro_rules! from {
    ($($type:ty),*) => {
        $(impl From<$type> for Parameter {
            fn from(value: $type) -> Self {
                Self(value.into())
            }
        })*
    };
}
from!(bool, i32, i64, f64, String, Vec<u8>);
