//! What a step works with: its transaction, and the changes of counts that it adds at its end.

use std::collections::HashMap;

use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{Decode, PgConnection, Postgres, Row as _, Type, query, query_as};
use tidemill_kernel::TenantName;
use tidemill_store::Error;

use super::Outcome;
use crate::database::Database;
use crate::ledger::Changes;
use crate::reader::{Row, Rows};
use crate::tenant::tenant_name;

/// A statement with its parameters.
pub(crate) type Statement<'a> = Query<'a, Postgres, PgArguments>;

/// One step inside its transaction.
pub(crate) struct Step<'a> {
    connection: &'a mut PgConnection,
    database: &'a Database,
    /// Written at the end of the step.
    pub(crate) changes: Changes,
    /// How many changes its statements have written themselves.
    pub(crate) counted: u64,
}

impl<'a> Step<'a> {
    pub(super) fn new(connection: &'a mut PgConnection, database: &'a Database) -> Self {
        Self { connection, database, changes: Changes::default(), counted: 0 }
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

    /// The value of a statement that returns one.
    pub(crate) async fn value<T>(&mut self, statement: Statement<'_>) -> Outcome<T>
    where
        T: for<'r> Decode<'r, Postgres> + Type<Postgres>,
    {
        let statement = statement.persistent(self.database.settings.persistent);
        Ok(statement.fetch_one(&mut *self.connection).await?.try_get(0)?)
    }

    /// The number of a tenant that was seen before.
    pub(crate) fn known_tenant(&self, name: &TenantName) -> Option<i64> {
        self.database.known_tenant(name)
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

    /// The names of tenants by their numbers.
    pub(crate) async fn tenant_names(&mut self, ids: &[i64]) -> Outcome<HashMap<i64, TenantName>> {
        let (mut names, missing) = self.database.known_names(ids);
        if !missing.is_empty() {
            let found = query_as::<_, (i64, String)>("SELECT id, name FROM tenants WHERE id = ANY($1)");
            for (id, name) in self.rows(found.bind(missing)).await? {
                names.insert(id, tenant_name(name)?);
            }
        }
        Ok(names)
    }

    /// Writes the changes of counts down; how many there were.
    pub(super) async fn save_changes(mut self) -> Outcome<u64> {
        self.save_groups().await?;
        let columns = self.changes.into_columns();
        if columns.tenants.is_empty() {
            return Ok(self.counted);
        }
        let insert = query(
            "INSERT INTO count_changes (id, tenant_id, what, priority, kind, change)
             SELECT (SELECT change_log_take()), * FROM unnest($1::bigint[], $2::integer[], $3::integer[], $4::text[], $5::bigint[])",
        );
        let insert = insert.bind(&columns.tenants).bind(&columns.whats).bind(&columns.priorities);
        let insert = insert.bind(&columns.kinds).bind(&columns.changes);
        let insert = insert.persistent(self.database.settings.persistent);
        Ok(self.counted + insert.execute(&mut *self.connection).await?.rows_affected())
    }

    async fn save_groups(&mut self) -> Outcome<()> {
        let columns = self.changes.take_groups();
        if columns.tenants.is_empty() {
            return Ok(());
        }
        let insert = query(
            "INSERT INTO group_changes (id, tenant_id, name, total, succeeded, dead, cancelled, first_at, changed_at)
             SELECT (SELECT change_log_take()), * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[],
                                                              $6::bigint[], $7::bigint[], $8::bigint[])",
        );
        let insert = insert.bind(&columns.tenants).bind(&columns.names).bind(&columns.totals);
        let insert = insert.bind(&columns.succeeded).bind(&columns.dead).bind(&columns.cancelled);
        self.counted += self.execute(insert.bind(&columns.first_at).bind(&columns.changed_at)).await?;
        Ok(())
    }
}

/// The tenant that a write named is not there.
pub(crate) fn no_tenant(name: &TenantName) -> Error {
    Error::NotFound { what: "tenant", name: name.to_string() }
}
