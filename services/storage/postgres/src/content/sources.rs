//! Sources.

use async_trait::async_trait;
use sqlx::{query, query_as};
use tidemill_kernel::{Page, PageRequest, TenantName, Timestamp};
use tidemill_store::content::Source;
use tidemill_store::text::clean;
use tidemill_store::{Error, Result, token};

use super::row::SourceRow;
use crate::ledger::Content;
use crate::page::PageRows;
use crate::reader::Source as From;
use crate::task::uuid;
use crate::writer::{Outcome, Step, Write};

/// Adds a source.
pub(super) struct PutSource {
    tenant: TenantName,
    source: Source,
}

impl PutSource {
    pub(super) fn new(tenant: TenantName, source: Source) -> Self {
        let Source { name, location, cursor, .. } = source;
        let (name, location, cursor) = (clean(name), clean(location), clean(cursor));
        Self { tenant, source: Source { name, location, cursor, ..source } }
    }
}

#[async_trait]
impl Write for PutSource {
    type Output = Source;

    async fn run(calls: &[Self], step: &mut Step<'_>) -> Outcome<Vec<Source>> {
        let mut sources = Vec::with_capacity(calls.len());
        for Self { tenant, source } in calls {
            let tenant = step.tenant(tenant).await?;
            let exists = |name: &str| Error::Exists { what: "source", name: name.to_owned() };
            // The insert waits for another of the same name, so that what is found after it stays.
            if insert(tenant, source, step).await? {
                sources.push(source.clone());
                continue;
            }
            let present = find(tenant, &source.name, step).await?;
            sources.push(match present {
                Some(present) if (present.kind, &present.location) == (source.kind, &source.location) => {
                    present
                }
                Some(_) => return Err(exists(&source.name).into()),
                None => return Err(exists(&source.id.to_string()).into()),
            });
        }
        Ok(sources)
    }
}

async fn find(tenant: i64, name: &str, step: &mut Step<'_>) -> Outcome<Option<Source>> {
    let found = query_as::<_, SourceRow>(
        "SELECT source_id, name, kind, location, created_at, collected_at, cursor FROM sources
         WHERE tenant_id = $1 AND name = $2",
    );
    let found = step.row(found.bind(tenant).bind(name)).await?;
    Ok(found.map(SourceRow::decode).transpose()?)
}

/// Whether it was inserted: not if its name or id is taken.
async fn insert(tenant: i64, new: &Source, step: &mut Step<'_>) -> Outcome<bool> {
    let insert = query(
        "INSERT INTO sources (tenant_id, source_id, name, kind, location, created_at, collected_at, cursor)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
    );
    let insert = insert.bind(tenant).bind(uuid(new.id)).bind(new.name.as_str()).bind(new.kind.number());
    let insert = insert.bind(new.location.as_str()).bind(new.created_at.as_micros());
    let insert = insert.bind(new.collected_at.map(Timestamp::as_micros)).bind(new.cursor.as_str());
    if step.execute(insert).await? == 0 {
        return Ok(false);
    }
    step.changes.content(tenant, Content::Sources, 1);
    Ok(true)
}

/// Removes a source.
pub(super) struct RemoveSource {
    pub(super) tenant: TenantName,
    pub(super) name: String,
}

#[async_trait]
impl Write for RemoveSource {
    type Output = ();

    async fn run(calls: &[Self], step: &mut Step<'_>) -> Outcome<Vec<()>> {
        for Self { tenant, name } in calls {
            let tenant = step.tenant(tenant).await?;
            let delete = query("DELETE FROM sources WHERE tenant_id = $1 AND name = $2");
            let removed = step.execute(delete.bind(tenant).bind(name.as_str())).await?;
            found(name, removed)?;
            step.changes.content(tenant, Content::Sources, -1);
        }
        Ok(vec![(); calls.len()])
    }
}

/// Stores what a collector remembers.
pub(super) struct SaveCursor {
    pub(super) tenant: TenantName,
    pub(super) name: String,
    pub(super) cursor: String,
    pub(super) at: Timestamp,
}

#[async_trait]
impl Write for SaveCursor {
    type Output = ();

    async fn run(calls: &[Self], step: &mut Step<'_>) -> Outcome<Vec<()>> {
        for Self { tenant, name, cursor, at } in calls {
            let tenant = step.tenant(tenant).await?;
            let update =
                query("UPDATE sources SET cursor = $3, collected_at = $4 WHERE tenant_id = $1 AND name = $2");
            let update = update.bind(tenant).bind(name.as_str()).bind(cursor.as_str()).bind(at.as_micros());
            found(name, step.execute(update).await?)?;
        }
        Ok(vec![(); calls.len()])
    }
}

fn found(name: &str, changed: u64) -> Result<()> {
    if changed == 0 {
        return Err(Error::NotFound { what: "source", name: name.to_owned() });
    }
    Ok(())
}

/// One source.
pub(super) async fn read(from: &From, tenant: &TenantName, name: &str) -> Result<Option<Source>> {
    let name = clean(name.to_owned());
    let row = || {
        query_as::<_, SourceRow>(
            "SELECT s.source_id, s.name, s.kind, s.location, s.created_at, s.collected_at, s.cursor
             FROM tenants n JOIN sources s ON s.tenant_id = n.id WHERE n.name = $1 AND s.name = $2",
        )
        .bind(tenant.as_str())
        .bind(&name)
    };
    from.row(row).await?.map(SourceRow::decode).transpose()
}

/// A page of sources by name.
pub(super) async fn page(from: &From, tenant: &TenantName, page: PageRequest) -> Result<Page<Source>> {
    let scope = ["sources", tenant.as_str()];
    let after: String = token::decode(&scope, &page.token)?.unwrap_or_default();
    let rows = |missing| {
        query_as::<_, SourceRow>(
            "SELECT s.source_id, s.name, s.kind, s.location, s.created_at, s.collected_at, s.cursor
             FROM tenants n JOIN sources s ON s.tenant_id = n.id
             WHERE n.name = $1 AND s.name > $2 ORDER BY s.name LIMIT $3",
        )
        .bind(tenant.as_str())
        .bind(&after)
        .bind(missing)
    };
    let mut read = PageRows::new(page.size, SourceRow::bytes);
    from.fill(&mut read, rows).await?;
    let Page { items, next_token } = read.cut(|last| token::encode(&scope, &last.name));
    let items = items.into_iter().map(SourceRow::decode).collect::<Result<_>>()?;
    Ok(Page { items, next_token })
}
