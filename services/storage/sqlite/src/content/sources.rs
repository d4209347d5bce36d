//! Sources.

use tidemill_kernel::{Page, PageRequest, TenantName, Timestamp};
use tidemill_store::content::Source;
use tidemill_store::{Error, Result, token};

use super::row::{SourceRow, source_json};
use crate::reader::{PageRows, Readers};
use crate::statement::json;
use crate::statement::query;
use crate::writer::{Step, Write};

/// Adds a source.
pub(super) struct PutSource {
    pub(super) tenant: TenantName,
    pub(super) source: Source,
}

impl Write for PutSource {
    type Output = Source;

    fn run(calls: &[Self], step: &mut Step<'_>) -> Result<Vec<Source>> {
        let mut sources = Vec::with_capacity(calls.len());
        for Self { tenant, source } in calls {
            let tenant = step.tenant(tenant)?;
            let exists = |name: &str| Error::Exists { what: "source", name: name.to_owned() };
            let same =
                |present: &Source| (present.kind, &present.location) == (source.kind, &source.location);
            sources.push(match find(tenant, &source.name, step)? {
                Some(present) if same(&present) => present,
                Some(_) => return Err(exists(&source.name)),
                None if insert(tenant, source, step)? => source.clone(),
                None => return Err(exists(&source.id.to_string())),
            });
        }
        Ok(sources)
    }
}

fn find(tenant: i64, name: &str, step: &mut Step<'_>) -> Result<Option<Source>> {
    let found =
        query(concat!("SELECT ", source_json!(), " FROM sources s WHERE s.tenant_id = ?1 AND s.name = ?2"));
    let found: Option<SourceRow> = step.row(found.bind(tenant).bind(name.to_owned()))?;
    found.map(SourceRow::decode).transpose()
}

/// Whether it was inserted: not if its id is taken.
fn insert(tenant: i64, new: &Source, step: &mut Step<'_>) -> Result<bool> {
    let insert = query(
        "INSERT INTO sources (tenant_id, source_id, name, kind, location, created_at, collected_at, cursor)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
    );
    let insert = insert.bind(tenant).bind(new.id.as_bytes().to_vec()).bind(new.name.as_str());
    let insert = insert.bind(new.kind.number()).bind(new.location.as_str()).bind(new.created_at.as_micros());
    let insert = insert.bind(new.collected_at.map(Timestamp::as_micros)).bind(new.cursor.as_str());
    if step.execute(insert)? == 0 {
        return Ok(false);
    }
    step.execute(query("UPDATE tenants SET sources = sources + 1 WHERE id = ?1").bind(tenant))?;
    Ok(true)
}

/// Removes a source.
pub(super) struct RemoveSource {
    pub(super) tenant: TenantName,
    pub(super) name: String,
}

impl Write for RemoveSource {
    type Output = ();

    fn run(calls: &[Self], step: &mut Step<'_>) -> Result<Vec<()>> {
        for Self { tenant, name } in calls {
            let tenant = step.tenant(tenant)?;
            let delete = query("DELETE FROM sources WHERE tenant_id = ?1 AND name = ?2");
            let removed = step.execute(delete.bind(tenant).bind(name.as_str()))?;
            found(name, removed)?;
            step.execute(query("UPDATE tenants SET sources = sources - 1 WHERE id = ?1").bind(tenant))?;
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

impl Write for SaveCursor {
    type Output = ();

    fn run(calls: &[Self], step: &mut Step<'_>) -> Result<Vec<()>> {
        for Self { tenant, name, cursor, at } in calls {
            let tenant = step.tenant(tenant)?;
            let update =
                query("UPDATE sources SET cursor = ?3, collected_at = ?4 WHERE tenant_id = ?1 AND name = ?2");
            let update = update.bind(tenant).bind(name.as_str()).bind(cursor.as_str()).bind(at.as_micros());
            found(name, step.execute(update)?)?;
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
pub(super) async fn read(readers: &Readers, tenant: &TenantName, name: &str) -> Result<Option<Source>> {
    let row = query(concat!(
        "SELECT ",
        source_json!(),
        " FROM tenants n JOIN sources s ON s.tenant_id = n.id WHERE n.name = ?1 AND s.name = ?2"
    ));
    let row: Option<SourceRow> = readers.row(row.bind(tenant.as_str()).bind(name)).await?;
    row.map(SourceRow::decode).transpose()
}

/// A page of sources by name.
pub(super) async fn page(readers: &Readers, tenant: &TenantName, page: PageRequest) -> Result<Page<Source>> {
    let scope = ["sources", tenant.as_str()];
    let after: Option<String> = token::decode(&scope, &page.token)?;
    let rows = query(concat!(
        "SELECT ",
        source_json!(),
        " FROM tenants n JOIN sources s ON s.tenant_id = n.id
          WHERE n.name = ?1 AND s.name > ?2 ORDER BY s.name LIMIT ?3"
    ));
    let mut read = PageRows::new(page.size);
    let rows = rows.bind(tenant.as_str()).bind(after.unwrap_or_default()).bind(read.missing());
    read.read(readers, rows, json::<SourceRow>).await?;
    let Page { items, next_token } = read.cut(|last| token::encode(&scope, &last.name));
    let items = items.into_iter().map(SourceRow::decode).collect::<Result<_>>()?;
    Ok(Page { items, next_token })
}
