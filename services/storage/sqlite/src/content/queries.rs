//! Standing queries.

use tidemill_kernel::{Page, PageRequest, TenantName, Timestamp};
use tidemill_store::content::{Query, QuerySet};
use tidemill_store::{Error, Result, token};

use super::row::{QueryRow, query_json};
use crate::reader::{PageRows, Readers};
use crate::statement::json;
use crate::statement::query;
use crate::task::cancel_of_query;
use crate::writer::{Step, Write};

/// Adds a query.
pub(super) struct PutQuery {
    pub(super) tenant: TenantName,
    pub(super) query: Query,
}

impl Write for PutQuery {
    type Output = Query;

    fn run(calls: &[Self], step: &mut Step<'_>) -> Result<Vec<Query>> {
        let mut queries = Vec::with_capacity(calls.len());
        for Self { tenant, query } in calls {
            let tenant = step.tenant(tenant)?;
            let exists = |name: &str| Error::Exists { what: "query", name: name.to_owned() };
            queries.push(match find(tenant, &query.name, step)? {
                Some((_, present)) if present.same_content(query) => present,
                Some(_) => return Err(exists(&query.name)),
                None if insert(tenant, query, step)? => query.clone(),
                None => return Err(exists(&query.id.to_string())),
            });
        }
        Ok(queries)
    }
}

/// Whether it was inserted: not if its id is taken.
fn insert(tenant: i64, new: &Query, step: &mut Step<'_>) -> Result<bool> {
    let insert = query(
        "INSERT INTO queries (tenant_id, query_id, name, expression, recipe, parameters, priority, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
    );
    let insert = insert.bind(tenant).bind(new.id.as_bytes().to_vec()).bind(new.name.as_str());
    let insert = insert.bind(new.expression.as_str()).bind(new.recipe.as_str()).bind(new.parameters.as_str());
    let insert = insert.bind(new.priority.number()).bind(new.created_at.as_micros());
    if step.execute(insert)? == 0 {
        return Ok(false);
    }
    let count =
        query("UPDATE tenants SET queries = queries + 1, query_version = query_version + 1 WHERE id = ?1");
    step.execute(count.bind(tenant))?;
    Ok(true)
}

/// Removes a query and what hangs on it.
pub(super) struct RemoveQuery {
    pub(super) tenant: TenantName,
    pub(super) name: String,
    pub(super) now: Timestamp,
}

impl Write for RemoveQuery {
    type Output = ();

    fn run(calls: &[Self], step: &mut Step<'_>) -> Result<Vec<()>> {
        for Self { tenant, name, now } in calls {
            let tenant = step.tenant(tenant)?;
            let found = find(tenant, name, step)?;
            let missing = || Error::NotFound { what: "query", name: name.clone() };
            let (number, _) = found.ok_or_else(missing)?;
            cancel_of_query(number, *now, step)?;
            let analyses =
                query("DELETE FROM analyses WHERE match IN (SELECT id FROM matches WHERE query = ?1)");
            let analyses = step.execute(analyses.bind(number))?;
            let matches = step.execute(query("DELETE FROM matches WHERE query = ?1").bind(number))?;
            step.execute(query("DELETE FROM queries WHERE id = ?1").bind(number))?;
            let count = query(
                "UPDATE tenants SET queries = queries - 1, query_version = query_version + 1,
                        matches = matches - ?2, analyses = analyses - ?3
                 WHERE id = ?1",
            );
            let count = count.bind(tenant).bind(matches.cast_signed()).bind(analyses.cast_signed());
            step.execute(count)?;
        }
        Ok(vec![(); calls.len()])
    }
}

fn find(tenant: i64, name: &str, step: &mut Step<'_>) -> Result<Option<(i64, Query)>> {
    let found =
        query(concat!("SELECT ", query_json!(), " FROM queries q WHERE q.tenant_id = ?1 AND q.name = ?2"));
    let found: Option<QueryRow> = step.row(found.bind(tenant).bind(name.to_owned()))?;
    found.map(|row| Ok((row.number, row.decode()?))).transpose()
}

/// All queries and their version, of one moment.
pub(super) async fn load(
    readers: &Readers,
    tenant: &TenantName,
    known_version: Option<i64>,
) -> Result<QuerySet> {
    let row = query(concat!(
        "SELECT json_array(n.query_version, CASE WHEN n.query_version = ?2 THEN NULL ELSE
            (SELECT json_group_array(",
        query_json!(),
        ") FROM queries q WHERE q.tenant_id = n.id) END) FROM tenants n WHERE n.name = ?1"
    ));
    let row = row.bind(tenant.as_str()).bind(known_version);
    let row: Option<(i64, Option<Vec<QueryRow>>)> = readers.row(row).await?;
    let Some((version, rows)) = row else {
        let queries = (known_version != Some(0)).then(Vec::new);
        return Ok(QuerySet { version: 0, queries });
    };
    let decode = |rows: Vec<QueryRow>| rows.into_iter().map(QueryRow::decode).collect::<Result<_>>();
    Ok(QuerySet { version, queries: rows.map(decode).transpose()? })
}

/// A page of queries by name.
pub(super) async fn page(readers: &Readers, tenant: &TenantName, page: PageRequest) -> Result<Page<Query>> {
    let scope = ["queries", tenant.as_str()];
    let after: Option<String> = token::decode(&scope, &page.token)?;
    let rows = query(concat!(
        "SELECT ",
        query_json!(),
        " FROM tenants n JOIN queries q ON q.tenant_id = n.id
          WHERE n.name = ?1 AND q.name > ?2 ORDER BY q.name LIMIT ?3"
    ));
    let mut read = PageRows::new(page.size);
    let rows = rows.bind(tenant.as_str()).bind(after.unwrap_or_default()).bind(read.missing());
    read.read(readers, rows, json::<QueryRow>).await?;
    let Page { items, next_token } = read.cut(|last| token::encode(&scope, &last.name));
    let items = items.into_iter().map(QueryRow::decode).collect::<Result<_>>()?;
    Ok(Page { items, next_token })
}
