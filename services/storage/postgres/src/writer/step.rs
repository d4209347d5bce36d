//! What a step works with: its transaction, and the changes of counts that it adds at its end.

use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres, query, query_as};
use tidemill_kernel::TenantName;
use tidemill_store::Error;

use super::Outcome;
use crate::database::Database;
use crate::ledger::Changes;
use crate::reader::{Row, Rows};

/// A statement with its parameters.
pub(crate) type Statement<'a> = Query<'a, Postgres, PgArguments>;

/// One step inside its transaction.
pub(crate) struct Step<'a> {
    connection: &'a mut PgConnection,
    database: &'a Database,
    /// Written at the end of the step.
    pub(crate) changes: Changes,
}

impl<'a> Step<'a> {
    pub(super) fn new(connection: &'a mut PgConnection, database: &'a Database) -> Self {
        Self { connection, database, changes: Changes::default() }
    }

    /// Runs a statement; how many rows it changed.
    pub(crate) async fn execute(&mut self, statement: Statement<'_>) -> Outcome<u64> {
        let statement = statement.persistent(self.database.settings.persistent);
        Ok(statement.execute(&mut *self.connection).await?.rows_affected())
    }

    /// All rows of a statement.
    pub(crate) async fn rows<T: Row>(&mut self, statement: Rows<'_, T>) -> Outcome<Vec<T>> {
        let statement = statement.persistent(self.database.settings.persistent);
        Ok(statement.fetch_all(&mut *self.connection).await?)
    }

    /// The first row of a statement.
    pub(crate) async fn row<T: Row>(&mut self, statement: Rows<'_, T>) -> Outcome<Option<T>> {
        Ok(self.rows(statement).await?.into_iter().next())
    }

    /// The number of a tenant. [`Error::NotFound`] without it.
    pub(crate) async fn tenant(&mut self, name: &TenantName) -> Outcome<i64> {
        if let Some(id) = self.database.known_tenant(name) {
            return Ok(id);
        }
        let found = query_as::<_, (i64,)>("SELECT id FROM tenants WHERE name = $1").bind(name.as_str());
        let (id,) = self.row(found).await?.ok_or_else(|| no_tenant(name))?;
        self.database.learn_tenant(name, id);
        Ok(id)
    }

    /// Takes places in the log, in rising order.
    pub(crate) async fn take_places(&mut self, count: usize) -> Outcome<Vec<i64>> {
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        let taken = query_as::<_, (Vec<i64>,)>("SELECT task_log_take($1)").bind(count);
        Ok(self.row(taken).await?.map(|(places,)| places).unwrap_or_default())
    }

    /// Writes the changes of counts down; how many there were.
    pub(super) async fn save_changes(self) -> Outcome<u64> {
        let columns = self.changes.into_columns();
        if columns.tenants.is_empty() {
            return Ok(0);
        }
        let insert = query(
            "INSERT INTO count_changes (id, tenant_id, what, priority, kind, change)
             SELECT (SELECT change_log_take()), * FROM unnest($1::bigint[], $2::integer[], $3::integer[], $4::text[], $5::bigint[])",
        );
        let insert = insert.bind(&columns.tenants).bind(&columns.whats).bind(&columns.priorities);
        let insert = insert.bind(&columns.kinds).bind(&columns.changes);
        let insert = insert.persistent(self.database.settings.persistent);
        Ok(insert.execute(&mut *self.connection).await?.rows_affected())
    }
}

/// The tenant that a write named is not there.
pub(crate) fn no_tenant(name: &TenantName) -> Error {
    Error::NotFound { what: "tenant", name: name.to_string() }
}
