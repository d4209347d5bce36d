//! Tasks read whole: one, those of a queue or a shard in their order, single ones.

use rusqlite::{Connection, Row, ToSql, params};
use tidemill_kernel::{Id, Priority, Shard, TenantName};
use tidemill_store::Result;
use tidemill_store::task::Task;

use super::row::{Decoder, Load, finished, places, queued, token};
use crate::error::failed;
use crate::reader::Readers;

/// One task.
pub(super) async fn task(readers: &Readers, tenant: &TenantName, id: Id) -> Result<Option<Task>> {
    let tenant = tenant.clone();
    readers
        .with(move |connection| {
            // Of one moment, so that a task that ends meanwhile is in one of the tables.
            let moment = connection.unchecked_transaction().map_err(failed)?;
            Ok(find(&moment, &tenant, id)?.map(|(_, task)| task))
        })
        .await
}

/// The task with this id, if it is the tenant's, and the number of its queue.
pub(super) fn find(connection: &Connection, tenant: &TenantName, id: Id) -> Result<Option<(i64, Task)>> {
    for sql in [QUEUED, FINISHED] {
        let mut found = None;
        rows(connection, sql, params![id.place()], |decoder, row| {
            found = Some((row.get(1).map_err(failed)?, decoder.task(row)?));
            Ok(false)
        })?;
        if let Some(found) = found {
            return Ok(Some(found).filter(|(_, task)| task.id == id && task.tenant == *tenant));
        }
    }
    Ok(None)
}

pub(super) const QUEUED: &str =
    concat!("SELECT ", queued!(), " FROM queue q LEFT JOIN leases l ON l.place = q.place WHERE q.place = ?1");

pub(super) const FINISHED: &str = concat!("SELECT ", finished!(), " FROM history h WHERE h.place = ?1");

/// Unfinished tasks of one queue.
pub(super) async fn waiting(
    readers: &Readers,
    tenant: &TenantName,
    priority: Priority,
    kind: &str,
    after: i64,
    limit: u32,
) -> Result<Vec<Task>> {
    const WAITING: &str = concat!(
        "SELECT ",
        queued!(),
        " FROM tenants n CROSS JOIN task_queues t ON t.tenant_id = n.id AND t.priority = ?2 AND t.kind = ?3
          CROSS JOIN queue q ON q.queue = t.id AND q.place > ?4 LEFT JOIN leases l ON l.place = q.place
          WHERE n.name = ?1 ORDER BY q.place LIMIT ?5"
    );
    let (tenant, kind) = (tenant.to_string(), kind.to_owned());
    let read =
        move |at: &Connection| load(at, WAITING, params![tenant, priority.number(), kind, after, limit]);
    readers.with(read).await
}

/// Unfinished tasks of a shard.
pub(super) async fn new(readers: &Readers, shard: Shard, after: i64, limit: u32) -> Result<Vec<Task>> {
    const NEW: &str = concat!(
        "SELECT ",
        queued!(),
        " FROM queue q NOT INDEXED LEFT JOIN leases l ON l.place = q.place
          WHERE q.place > ?1 AND q.place <= ?2 ORDER BY q.place LIMIT ?3"
    );
    let after = after.max(*shard.places().start());
    let read = move |at: &Connection| load(at, NEW, params![after, shard.places().end(), limit]);
    readers.with(read).await
}

/// Unfinished tasks by id.
pub(super) async fn single(readers: &Readers, tasks: Vec<Id>) -> Result<Vec<Task>> {
    const SINGLE: &str = concat!(
        "SELECT ",
        queued!(),
        " FROM rarray(?1) e CROSS JOIN queue q ON q.place = e.value LEFT JOIN leases l ON l.place = q.place"
    );
    let read = move |at: &Connection| {
        let mut asked = tasks;
        // In the order of the table.
        asked.sort_unstable_by_key(|id| (id.place(), *id));
        let mut found = Load::new();
        rows(at, SINGLE, params![places(asked.iter().map(Id::place))], |decoder, row| {
            let task = decoder.task(row)?;
            let is_asked = asked.binary_search_by_key(&(task.id.place(), task.id), |id| (id.place(), *id));
            let bytes = task.bytes();
            Ok(is_asked.is_err() || found.push(task, bytes))
        })?;
        Ok(found.items)
    };
    readers.with(read).await
}

/// Unfinished tasks of a shard with a recorded lease, and its token.
pub(super) async fn running(
    readers: &Readers,
    shard: Shard,
    after: i64,
    limit: u32,
) -> Result<Vec<(Task, Id)>> {
    const RUNNING: &str = concat!(
        "SELECT ",
        queued!(),
        " FROM leases l CROSS JOIN queue q ON q.place = l.place
          WHERE l.place > ?1 AND l.place <= ?2 ORDER BY l.place LIMIT ?3"
    );
    let after = after.max(*shard.places().start());
    let read = move |at: &Connection| {
        let mut found = Load::new();
        rows(at, RUNNING, params![after, shard.places().end(), limit], |decoder, row| {
            let task = decoder.task(row)?;
            let bytes = task.bytes();
            Ok(found.push((task, token(row)?), bytes))
        })?;
        Ok(found.items)
    };
    readers.with(read).await
}

/// The tasks of a statement that has a task's columns, as many as fit.
fn load(connection: &Connection, sql: &'static str, parameters: &[&dyn ToSql]) -> Result<Vec<Task>> {
    let mut found = Load::new();
    rows(connection, sql, parameters, |decoder, row| {
        let task = decoder.task(row)?;
        let bytes = task.bytes();
        Ok(found.push(task, bytes))
    })?;
    Ok(found.items)
}

/// The rows of a statement that has a task's columns, while `take` wants more.
pub(super) fn rows<'a>(
    connection: &'a Connection,
    sql: &'static str,
    parameters: &[&dyn ToSql],
    mut take: impl FnMut(&mut Decoder<'a>, &Row<'_>) -> Result<bool>,
) -> Result<()> {
    let mut decoder = Decoder::new(connection);
    let mut prepared = connection.prepare_cached(sql).map_err(failed)?;
    let mut rows = prepared.query(parameters).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        if !take(&mut decoder, row)? {
            break;
        }
    }
    Ok(())
}
