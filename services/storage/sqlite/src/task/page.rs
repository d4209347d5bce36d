//! Pages of a tenant's tasks, newest first: walks down the indexes of its queues, merged, so that a row is read only
//! when it is shown.

use rusqlite::{Connection, ToSql, params};
use tidemill_kernel::{Page, PageRequest, Shard, TenantName};
use tidemill_store::page::{PAGE_BYTES, cut};
use tidemill_store::task::{Task, TaskState};
use tidemill_store::{Result, token};

use super::read::{FINISHED, QUEUED, rows};
use crate::error::failed;
use crate::reader::Readers;

/// A page of tasks.
pub(super) async fn page(
    readers: &Readers,
    tenant: &TenantName,
    state: Option<TaskState>,
    kind: Option<&str>,
    page: PageRequest,
) -> Result<Page<Task>> {
    let scope = ["tasks", tenant.as_str(), state.map_or("", TaskState::name), kind.unwrap_or("")];
    let before: i64 = token::decode(&scope, &page.token)?.unwrap_or(i64::MAX);
    let states = state.map_or(TaskState::ALL.to_vec(), |state| vec![state]);
    let (name, kind) = (tenant.clone(), kind.map(str::to_owned));
    let read = move |connection: &Connection| {
        let moment = connection.unchecked_transaction().map_err(failed)?;
        let walk = Walk { connection: &moment, before, limit: i64::from(page.size) + 1 };
        read(&walk.newest(&name, kind.as_deref(), &states)?, &moment)
    };
    let tasks = readers.with(read).await?;
    Ok(cut(tasks, page.size, Task::bytes, |task| token::encode(&scope, &task.id.place())))
}

/// Whole tasks at these places: one more than a page may show.
fn read(found: &[(i64, &'static str)], connection: &Connection) -> Result<Vec<Task>> {
    let (mut tasks, mut bytes): (Vec<Task>, usize) = (Vec::new(), 0);
    for (place, sql) in found {
        if bytes > PAGE_BYTES && tasks.len() > 1 {
            break;
        }
        rows(connection, sql, params![place], |decoder, row| {
            let task = decoder.task(row)?;
            bytes += task.bytes();
            tasks.push(task);
            Ok(false)
        })?;
    }
    Ok(tasks)
}

struct Walk<'a> {
    connection: &'a Connection,
    /// Where the last page ended.
    before: i64,
    limit: i64,
}

impl Walk<'_> {
    /// The newest places, each with the statement that reads it.
    fn newest(
        &self,
        tenant: &TenantName,
        kind: Option<&str>,
        states: &[TaskState],
    ) -> Result<Vec<(i64, &'static str)>> {
        let queues = self.numbers(
            "SELECT t.id FROM tenants n JOIN task_queues t ON t.tenant_id = n.id
             WHERE n.name = ?1 AND (?2 IS NULL OR t.kind = ?2)",
            params![tenant.as_str(), kind],
        )?;
        let mut found = Vec::new();
        for queue in queues {
            for state in states {
                let (sql, places) = self.of(queue, *state, Shard::of_tenant(tenant))?;
                found.extend(places.into_iter().map(|place| (place, sql)));
            }
        }
        found.sort_unstable_by_key(|(place, _)| std::cmp::Reverse(*place));
        found.truncate(usize::try_from(self.limit).unwrap_or(usize::MAX));
        Ok(found)
    }

    fn of(&self, queue: i64, state: TaskState, shard: Shard) -> Result<(&'static str, Vec<i64>)> {
        let Self { before, limit, .. } = self;
        Ok(match state {
            TaskState::Waiting => {
                let places = self.numbers(
                    "SELECT q.place FROM queue q INDEXED BY queue_in_order WHERE q.queue = ?1 AND q.place < ?2
                     AND NOT EXISTS (SELECT 1 FROM leases l WHERE l.place = q.place) ORDER BY q.place DESC LIMIT ?3",
                    params![queue, before, limit],
                );
                (QUEUED, places?)
            }
            TaskState::Running => {
                let places = self.numbers(
                    "SELECT l.place FROM leases l CROSS JOIN queue q ON q.place = l.place
                     WHERE q.queue = ?1 AND l.place < ?2 AND l.place BETWEEN ?4 AND ?5 ORDER BY l.place DESC LIMIT ?3",
                    params![queue, before, limit, shard.places().start(), shard.places().end()],
                );
                (QUEUED, places?)
            }
            TaskState::Succeeded | TaskState::Dead | TaskState::Cancelled => {
                let places = self.numbers(
                    "SELECT place FROM history WHERE queue = ?1 AND place < ?2 AND state = ?4
                     ORDER BY place DESC LIMIT ?3",
                    params![queue, before, limit, state.number()],
                );
                (FINISHED, places?)
            }
        })
    }

    fn numbers(&self, sql: &'static str, parameters: &[&dyn ToSql]) -> Result<Vec<i64>> {
        let mut prepared = self.connection.prepare_cached(sql).map_err(failed)?;
        let numbers = prepared.query_map(parameters, |row| row.get(0)).map_err(failed)?;
        numbers.collect::<rusqlite::Result<_>>().map_err(failed)
    }
}
