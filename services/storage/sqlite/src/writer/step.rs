//! What a step works with: the connection inside the transaction, and what the writer remembers between steps.

use std::collections::HashMap;

use rusqlite::{CachedStatement, Connection};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tidemill_kernel::TenantName;
use tidemill_store::{Error, Result};

use super::Write;
use crate::error::failed;
use crate::open;
use crate::statement::{Statement, query};
use crate::task::TaskMemo;

/// One step inside the transaction.
pub(crate) struct Step<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) memo: &'a mut Memo,
}

impl<'a> Step<'a> {
    /// A statement that takes its parameters as they are: once for each row, or a batch of places.
    pub(crate) fn prepare(&self, sql: &'static str) -> Result<CachedStatement<'a>> {
        self.connection.prepare_cached(sql).map_err(failed)
    }

    /// Runs a statement; how many rows it changed.
    pub(crate) fn execute(&self, statement: Statement) -> Result<u64> {
        statement.execute(self.connection)
    }

    /// All rows of a statement.
    pub(crate) fn rows<T: DeserializeOwned>(&self, statement: Statement) -> Result<Vec<T>> {
        statement.rows(self.connection)
    }

    /// The first row of a statement.
    pub(crate) fn row<T: DeserializeOwned>(&self, statement: Statement) -> Result<Option<T>> {
        statement.row(self.connection)
    }

    /// The number of a tenant. [`Error::NotFound`] without it.
    pub(crate) fn tenant(&mut self, name: &TenantName) -> Result<i64> {
        if let Some(id) = self.memo.tenants.get(name) {
            return Ok(*id);
        }
        let found =
            query("SELECT json_quote(id) FROM tenants WHERE name = ?1").bind(name.as_str().to_owned());
        let found: Option<i64> = self.row(found)?;
        let id = found.ok_or_else(|| Error::NotFound { what: "tenant", name: name.to_string() })?;
        self.memo.tenants.insert(name.clone(), id);
        self.memo.names.insert(id, name.clone());
        Ok(id)
    }

    /// The name of a tenant that is there.
    pub(crate) fn tenant_name(&mut self, id: i64) -> Result<TenantName> {
        if let Some(name) = self.memo.names.get(&id) {
            return Ok(name.clone());
        }
        let found = query("SELECT json_quote(name) FROM tenants WHERE id = ?1").bind(id);
        let name: Option<TenantName> = self.row(found)?;
        let name = name.ok_or_else(|| Error::Internal(format!("tenant {id} is gone")))?;
        self.memo.names.insert(id, name.clone());
        Ok(name)
    }

    /// Takes `count` numbers of documents; the one before the first.
    pub(crate) fn take_documents(&mut self, count: usize) -> i64 {
        let before = self.memo.last_document;
        self.memo.last_document = before.saturating_add(i64::try_from(count).unwrap_or(i64::MAX));
        before
    }
}

/// What the writer remembers. It alone writes, so what was true at the last commit is still true.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    tenants: HashMap<TenantName, i64>,
    names: HashMap<i64, TenantName>,
    loaded: bool,
    last_document: i64,
    pub(crate) tasks: TaskMemo,
}

impl Memo {
    pub(super) fn is_empty(&self) -> bool {
        !self.loaded
    }

    /// Reads the last numbers given, and how the shards stand.
    pub(super) fn load(&mut self, connection: &Connection) -> Result<()> {
        let last: Option<i64> =
            query("SELECT json_quote(coalesce(max(id), 0)) FROM documents").row(connection)?;
        let tasks = TaskMemo::load(connection)?;
        *self = Self { loaded: true, last_document: last.unwrap_or(0), tasks, ..Self::default() };
        Ok(())
    }

    /// What was true is not: a step was undone.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

/// Rows as the JSON text that statements take apart.
pub(crate) fn encode<T: Serialize + ?Sized>(rows: &T) -> Result<String> {
    serde_json::to_string(rows).map_err(|error| Error::Internal(format!("a row cannot be written: {error}")))
}

/// Changes the largest size of the file.
pub(crate) struct Limit {
    pub(crate) bytes: Option<u64>,
}

impl Write for Limit {
    type Output = ();

    fn run(calls: &[Self], step: &mut Step<'_>) -> Result<Vec<()>> {
        for call in calls {
            open::limit(step.connection, call.bytes).map_err(failed)?;
        }
        Ok(vec![(); calls.len()])
    }
}
