//! How tasks and groups stand that tasks name.

use rusqlite::{Connection, OptionalExtension, params};
use tidemill_kernel::{Id, TenantName, Timestamp};
use tidemill_store::task::{Group, Reference, Standing};
use tidemill_store::{Result, text::clean};

use super::row::state;
use crate::error::failed;
use crate::reader::Readers;

const TENANT: &str = "SELECT id FROM tenants WHERE name = ?1";

const KEY: &str = "SELECT created_at, place FROM task_keys WHERE tenant_id = ?1 AND key = ?2";

const STATE: &str = "
    SELECT iif(l.place IS NULL, 1, 2) FROM queue q JOIN task_queues t ON t.id = q.queue AND t.tenant_id = ?1
        LEFT JOIN leases l ON l.place = q.place WHERE q.place = ?2 AND q.created_at = ?3
    UNION ALL SELECT h.state FROM history h JOIN task_queues t ON t.id = h.queue AND t.tenant_id = ?1
        WHERE h.place = ?2 AND h.created_at = ?3";

const GROUP: &str = "
    SELECT total, succeeded, dead, cancelled FROM task_groups WHERE tenant_id = ?1 AND name = ?2";

/// One for each, in their order.
pub(super) async fn standings(
    readers: &Readers,
    tenant: &TenantName,
    references: Vec<Reference>,
) -> Result<Vec<Option<Standing>>> {
    let tenant = tenant.clone();
    let read = move |connection: &Connection| {
        let moment = connection.unchecked_transaction().map_err(failed)?;
        let mut find = moment.prepare_cached(TENANT).map_err(failed)?;
        let found = find.query_row([tenant.as_str()], |row| row.get(0)).optional().map_err(failed)?;
        let Some(tenant) = found else { return Ok(vec![None; references.len()]) };
        references.into_iter().map(|reference| standing(&moment, tenant, reference)).collect()
    };
    readers.with(read).await
}

fn standing(connection: &Connection, tenant: i64, reference: Reference) -> Result<Option<Standing>> {
    let (id, is_known) = match reference {
        Reference::Task(id) => (id, false),
        Reference::Key(key) => {
            let mut find = connection.prepare_cached(KEY).map_err(failed)?;
            let id = |created_at, place| Id::placed(Timestamp::from_micros(created_at), place);
            let found = find.query_row(params![tenant, clean(key)], |row| Ok(id(row.get(0)?, row.get(1)?)));
            let Some(id) = found.optional().map_err(failed)? else { return Ok(None) };
            (id, true)
        }
        Reference::Group(name) => return group(connection, tenant, name),
    };
    let mut find = connection.prepare_cached(STATE).map_err(failed)?;
    let found = find.query_row(params![tenant, id.place(), id.moment().as_micros()], |row| row.get(0));
    let state = found.optional().map_err(failed)?.map(state).transpose()?;
    Ok((is_known || state.is_some()).then_some(Standing::task(id, state)))
}

fn group(connection: &Connection, tenant: i64, name: String) -> Result<Option<Standing>> {
    let mut find = connection.prepare_cached(GROUP).map_err(failed)?;
    let name = clean(name);
    let found = find.query_row(params![tenant, name], |row| {
        let (total, succeeded, dead, cancelled) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        let empty = Group::empty(String::new(), Timestamp::default());
        Ok(Group { total, succeeded, dead, cancelled, ..empty })
    });
    Ok(found.optional().map_err(failed)?.map(|group| Standing::group(&group)))
}
