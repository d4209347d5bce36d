//! Standing queries. Who changes a tenant's set locks the tenant's row; who stores matches shares that lock, so that
//! the set stands still while a batch is stored.

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row, query, query_as};
use tidemill_kernel::{Page, PageRequest, TenantName, Timestamp};
use tidemill_store::content::{Query, QuerySet};
use tidemill_store::text::clean;
use tidemill_store::{Error, Result, token};

use super::row::QueryRow;
use crate::ledger::Content;
use crate::page::PageRows;
use crate::reader::Source;
use crate::task::{cancel_of_query, uuid};
use crate::writer::{Outcome, Step, Write};

/// Adds a query.
pub(super) struct PutQuery {
    tenant: TenantName,
    query: Query,
}

impl PutQuery {
    pub(super) fn new(tenant: TenantName, query: Query) -> Self {
        let Query { name, expression, recipe, parameters, .. } = query;
        let (name, expression) = (clean(name), clean(expression));
        let (recipe, parameters) = (clean(recipe), clean(parameters));
        Self { tenant, query: Query { name, expression, recipe, parameters, ..query } }
    }
}

#[async_trait]
impl Write for PutQuery {
    type Output = Query;

    async fn run(calls: &[Self], step: &mut Step<'_>) -> Outcome<Vec<Query>> {
        let mut queries = Vec::with_capacity(calls.len());
        for Self { tenant, query } in calls {
            let tenant = lock(tenant, step).await?;
            let exists = |name: &str| Error::Exists { what: "query", name: name.to_owned() };
            queries.push(match find(tenant, &query.name, step).await? {
                Some((_, present)) if present.same_content(query) => present,
                Some(_) => return Err(exists(&query.name).into()),
                None if insert(tenant, query, step).await? => query.clone(),
                None => return Err(exists(&query.id.to_string()).into()),
            });
        }
        Ok(queries)
    }
}

/// Locks a tenant's set of queries; the tenant's number.
async fn lock(tenant: &TenantName, step: &mut Step<'_>) -> Outcome<i64> {
    let id = step.tenant(tenant).await?;
    step.execute(query("SELECT FROM tenants WHERE id = $1 FOR NO KEY UPDATE").bind(id)).await?;
    Ok(id)
}

/// Whether it was inserted: not if its id is taken.
async fn insert(tenant: i64, new: &Query, step: &mut Step<'_>) -> Outcome<bool> {
    let insert = query(
        "INSERT INTO queries (tenant_id, query_id, name, expression, recipe, parameters, priority, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
    );
    let insert = insert.bind(tenant).bind(uuid(new.id)).bind(new.name.as_str());
    let insert = insert.bind(new.expression.as_str()).bind(new.recipe.as_str()).bind(new.parameters.as_str());
    let insert = insert.bind(new.priority.number()).bind(new.created_at.as_micros());
    if step.execute(insert).await? == 0 {
        return Ok(false);
    }
    raise(tenant, step).await?;
    step.changes.content(tenant, Content::Queries, 1);
    Ok(true)
}

async fn raise(tenant: i64, step: &mut Step<'_>) -> Outcome<()> {
    let raise = query("UPDATE tenants SET query_version = query_version + 1 WHERE id = $1");
    step.execute(raise.bind(tenant)).await?;
    Ok(())
}

/// Removes a query and what hangs on it.
pub(super) struct RemoveQuery {
    pub(super) tenant: TenantName,
    pub(super) name: String,
    pub(super) now: Timestamp,
}

#[async_trait]
impl Write for RemoveQuery {
    type Output = ();

    async fn run(calls: &[Self], step: &mut Step<'_>) -> Outcome<Vec<()>> {
        for Self { tenant, name, now } in calls {
            let tenant = lock(tenant, step).await?;
            let found = find(tenant, name, step).await?;
            let missing = || Error::NotFound { what: "query", name: name.clone() };
            let (number, _) = found.ok_or_else(missing)?;
            cancel_of_query(tenant, number, *now, step).await?;
            let lock =
                query("SELECT FROM matches WHERE tenant_id = $1 AND query = $2 ORDER BY id FOR UPDATE");
            step.execute(lock.bind(tenant).bind(number)).await?;
            let analyses = query(
                "DELETE FROM analyses a USING matches m
                 WHERE m.tenant_id = $1 AND m.query = $2 AND a.tenant_id = m.tenant_id AND a.match = m.id",
            );
            let analyses = step.execute(analyses.bind(tenant).bind(number)).await?;
            let matches = query("DELETE FROM matches WHERE tenant_id = $1 AND query = $2");
            let matches = step.execute(matches.bind(tenant).bind(number)).await?;
            step.execute(query("DELETE FROM queries WHERE id = $1").bind(number)).await?;
            raise(tenant, step).await?;
            step.changes.content(tenant, Content::Queries, -1);
            step.changes.content(tenant, Content::Matches, -matches.cast_signed());
            step.changes.content(tenant, Content::Analyses, -analyses.cast_signed());
        }
        Ok(vec![(); calls.len()])
    }
}

async fn find(tenant: i64, name: &str, step: &mut Step<'_>) -> Outcome<Option<(i64, Query)>> {
    let found = query_as::<_, QueryRow>(
        "SELECT id, query_id, name, expression, recipe, parameters, priority, created_at FROM queries
         WHERE tenant_id = $1 AND name = $2",
    );
    let found = step.row(found.bind(tenant).bind(name)).await?;
    Ok(found.map(|row| Ok::<_, Error>((row.id, row.decode()?))).transpose()?)
}

/// All queries and their version, of one moment: one statement. A tenant without queries gives one row without any.
pub(super) async fn load(
    source: &Source,
    tenant: &TenantName,
    known_version: Option<i64>,
) -> Result<QuerySet> {
    let rows = || {
        query_as::<_, VersionedRow>(
            "SELECT n.query_version, q.id, q.query_id, q.name, q.expression, q.recipe, q.parameters, q.priority,
                    q.created_at
             FROM tenants n LEFT JOIN queries q ON q.tenant_id = n.id AND n.query_version IS DISTINCT FROM $2
             WHERE n.name = $1",
        )
        .bind(tenant.as_str())
        .bind(known_version)
    };
    let rows = source.rows(rows).await?;
    let version = rows.first().map_or(0, |row| row.query_version);
    if known_version == Some(version) {
        return Ok(QuerySet { version, queries: None });
    }
    let queries =
        rows.into_iter().filter_map(|row| row.query).map(QueryRow::decode).collect::<Result<_>>()?;
    Ok(QuerySet { version, queries: Some(queries) })
}

struct VersionedRow {
    query_version: i64,
    query: Option<QueryRow>,
}

impl<'r> FromRow<'r, PgRow> for VersionedRow {
    fn from_row(row: &'r PgRow) -> sqlx::Result<Self> {
        let id: Option<i64> = row.try_get("id")?;
        let query = id.map(|_| QueryRow::from_row(row)).transpose()?;
        Ok(Self { query_version: row.try_get("query_version")?, query })
    }
}

/// A page of queries by name.
pub(super) async fn page(source: &Source, tenant: &TenantName, page: PageRequest) -> Result<Page<Query>> {
    let scope = ["queries", tenant.as_str()];
    let after: String = token::decode(&scope, &page.token)?.unwrap_or_default();
    let rows = |missing| {
        query_as::<_, QueryRow>(
            "SELECT q.id, q.query_id, q.name, q.expression, q.recipe, q.parameters, q.priority, q.created_at
             FROM tenants n JOIN queries q ON q.tenant_id = n.id
             WHERE n.name = $1 AND q.name > $2 ORDER BY q.name LIMIT $3",
        )
        .bind(tenant.as_str())
        .bind(&after)
        .bind(missing)
    };
    let mut read = PageRows::new(page.size, QueryRow::bytes);
    source.fill(&mut read, rows).await?;
    let Page { items, next_token } = read.cut(|last| token::encode(&scope, &last.name));
    let items = items.into_iter().map(QueryRow::decode).collect::<Result<_>>()?;
    Ok(Page { items, next_token })
}
