//! Many tasks steered by hand at once: the indexes of the tenant's queues are walked up from a place, merged, and what was
//! found there is looked at as a whole.

use rusqlite::{Connection, ToSql, params};
use tidemill_kernel::{Id, Shard, TenantName, Timestamp};
use tidemill_store::Result;
use tidemill_store::task::{Selection, Steered, Steering, TaskState};

use super::history::put_back;
use super::queues::Changes;
use super::row::places;
use super::steer::{At, cancel};
use crate::error::failed;
use crate::reader::Readers;
use crate::writer::{Step, Write};

/// Cancels tasks or puts them back.
pub(super) struct SteerTasks {
    tenant: TenantName,
    selection: Selection,
    now: Timestamp,
}

impl SteerTasks {
    pub(super) fn new(tenant: &TenantName, selection: Selection, now: Timestamp) -> Self {
        Self { tenant: tenant.clone(), selection: selection.cleaned(), now }
    }

    fn run_one(&self, step: &mut Step<'_>) -> Result<Steered> {
        let (found, through) = find(step.connection, &self.tenant, &self.selection)?;
        match self.selection.steering {
            Steering::Cancel => {
                let at = |found: &Found| At {
                    place: found.id.place(),
                    queue: found.queue,
                    group: found.group.clone(),
                };
                cancel(&found.iter().map(at).collect::<Vec<_>>(), self.now, step)?;
            }
            Steering::Revive => {
                let mut changes = Changes::default();
                for Found { id, queue, state, group } in &found {
                    put_back(id.place(), self.now, step)?;
                    changes.shift(*queue, *state, TaskState::Waiting);
                    changes.groups.shift(*queue, group.as_deref(), (*state, TaskState::Waiting), self.now);
                }
                changes.save(step)?;
            }
        }
        Ok(Steered { tasks: found.into_iter().map(|found| found.id).collect(), through })
    }
}

impl Write for SteerTasks {
    type Output = Steered;

    fn run(calls: &[Self], step: &mut Step<'_>) -> Result<Vec<Steered>> {
        calls.iter().map(|call| call.run_one(step)).collect()
    }
}

/// The tasks that would be changed.
pub(super) async fn dry(readers: &Readers, tenant: &TenantName, selection: Selection) -> Result<Steered> {
    let (tenant, selection) = (tenant.clone(), selection.cleaned());
    let read = move |connection: &Connection| {
        let moment = connection.unchecked_transaction().map_err(failed)?;
        let (found, through) = find(&moment, &tenant, &selection)?;
        Ok(Steered { tasks: found.into_iter().map(|found| found.id).collect(), through })
    };
    readers.with(read).await
}

/// A task that is meant.
struct Found {
    id: Id,
    queue: i64,
    state: TaskState,
    group: Option<String>,
}

/// The tasks that fit, by rising places, and up to where was looked, if there may be more.
fn find(
    connection: &Connection,
    tenant: &TenantName,
    selection: &Selection,
) -> Result<(Vec<Found>, Option<i64>)> {
    let kind = Some(selection.filter.kind.as_str()).filter(|kind| !kind.is_empty());
    let queues = numbers(
        connection,
        "SELECT t.id FROM tenants n JOIN task_queues t ON t.tenant_id = n.id
         WHERE n.name = ?1 AND (?2 IS NULL OR t.kind = ?2)",
        params![tenant.as_str(), kind],
    )?;
    let limit = selection.limit as usize;
    let mut looked_at = Vec::new();
    for queue in queues {
        for state in selection.states() {
            let places = behind(connection, queue, state, selection, Shard::of_tenant(tenant))?;
            looked_at.extend(places.into_iter().map(|place| (place, state)));
        }
    }
    looked_at.sort_unstable_by_key(|(place, _)| *place);
    let is_more = looked_at.len() > limit;
    looked_at.truncate(limit);
    let through = looked_at.last().map(|(place, _)| *place).filter(|_| is_more);
    let mut found = Vec::with_capacity(looked_at.len());
    for state in selection.states() {
        let of_state = looked_at.iter().filter(|(_, one)| *one == state).map(|(place, _)| *place);
        fitting(connection, state, of_state, selection, &mut found)?;
    }
    found.sort_unstable_by_key(|found| found.id.place());
    Ok((found, through))
}

/// The next places of a queue in one state, one more than may be looked at.
fn behind(
    connection: &Connection,
    queue: i64,
    state: TaskState,
    selection: &Selection,
    shard: Shard,
) -> Result<Vec<i64>> {
    let limit = i64::from(selection.limit) + 1;
    let after = selection.after.max(*shard.places().start());
    match state {
        TaskState::Waiting => numbers(
            connection,
            "SELECT q.place FROM queue q INDEXED BY queue_in_order WHERE q.queue = ?1 AND q.place > ?2
             AND NOT EXISTS (SELECT 1 FROM leases l WHERE l.place = q.place) ORDER BY q.place LIMIT ?3",
            params![queue, after, limit],
        ),
        TaskState::Running => numbers(
            connection,
            "SELECT l.place FROM leases l CROSS JOIN queue q ON q.place = l.place
             WHERE q.queue = ?1 AND l.place > ?2 AND l.place <= ?4 ORDER BY l.place LIMIT ?3",
            params![queue, after, limit, shard.places().end()],
        ),
        TaskState::Succeeded | TaskState::Dead | TaskState::Cancelled => numbers(
            connection,
            "SELECT place FROM history WHERE queue = ?1 AND place > ?2 AND state = ?4 ORDER BY place LIMIT ?3",
            params![queue, after, limit, state.number()],
        ),
    }
}

fn numbers(connection: &Connection, sql: &'static str, parameters: &[&dyn ToSql]) -> Result<Vec<i64>> {
    let mut prepared = connection.prepare_cached(sql).map_err(failed)?;
    let numbers = prepared.query_map(parameters, |row| row.get(0)).map_err(failed)?;
    numbers.collect::<rusqlite::Result<_>>().map_err(failed)
}

const QUEUED: &str = "
    SELECT q.place, q.created_at, q.queue, q.group_name FROM rarray(?1) e CROSS JOIN queue q ON q.place = e.value
    WHERE instr(q.error, ?2) > 0 AND instr(q.error, ?5) = 1 AND q.created_at >= ?3 AND q.created_at < ?4
      AND (?6 = '' OR q.group_name = ?6)";
const FINISHED: &str = "
    SELECT h.place, h.created_at, h.queue, h.group_name FROM rarray(?1) e CROSS JOIN history h ON h.place = e.value
    WHERE instr(h.error, ?2) > 0 AND instr(h.error, ?5) = 1 AND h.finished_at >= ?3 AND h.finished_at < ?4
      AND (?6 = '' OR h.group_name = ?6)";

/// Those of these places, all in one state, that fit.
fn fitting(
    connection: &Connection,
    state: TaskState,
    looked_at: impl Iterator<Item = i64>,
    selection: &Selection,
    found: &mut Vec<Found>,
) -> Result<()> {
    let is_queued = matches!(state, TaskState::Waiting | TaskState::Running);
    let sql = if is_queued { QUEUED } else { FINISHED };
    let mut read = connection.prepare_cached(sql).map_err(failed)?;
    let (filter, (from, until)) = (&selection.filter, selection.filter.span());
    let rows = read.query_map(
        params![places(looked_at), filter.error, from, until, filter.prefix(), filter.group],
        |row| {
            let created_at = Timestamp::from_micros(row.get(1)?);
            let id = Id::placed(created_at, row.get(0)?);
            Ok(Found { id, queue: row.get(2)?, state, group: row.get(3)? })
        },
    );
    for row in rows.map_err(failed)? {
        found.push(row.map_err(failed)?);
    }
    Ok(())
}
