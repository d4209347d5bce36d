//! Tasks appended to the log, in their order, by statements of many rows.

use rusqlite::{CachedStatement, OptionalExtension, ToSql, params};
use tidemill_kernel::{Id, Shard, Timestamp};
use tidemill_store::Result;
use tidemill_store::task::{AppendedTask, NewTask, TaskState, TenantTasks};

use super::queues::Changes;
use crate::error::failed;
use crate::writer::{Step, Write};

/// One caller's tasks.
pub(super) struct AppendTasks {
    batches: Vec<TenantTasks>,
    now: Timestamp,
}

impl AppendTasks {
    pub(super) fn new(batches: Vec<TenantTasks>, now: Timestamp) -> Self {
        let clean = |TenantTasks { tenant, tasks }| TenantTasks {
            tenant,
            tasks: tasks.into_iter().map(NewTask::cleaned).collect(),
        };
        Self { batches: batches.into_iter().map(clean).collect(), now }
    }
}

impl Write for AppendTasks {
    type Output = Vec<Vec<AppendedTask>>;
    const MERGES: bool = true;

    fn bytes(&self) -> usize {
        self.batches
            .iter()
            .flat_map(|batch| &batch.tasks)
            .map(|task| 200 + task.payload.len() + task.options.len())
            .sum()
    }

    fn run(calls: &[Self], step: &mut Step<'_>) -> Result<Vec<Vec<Vec<AppendedTask>>>> {
        let mut rows = Vec::new();
        for call in calls {
            for TenantTasks { tenant, tasks } in &call.batches {
                let tenant = step.tenant(tenant)?;
                rows.extend(tasks.iter().map(|task| NewRow { tenant, task, now: call.now }));
            }
        }
        let mut appended = insert(&rows, step)?.into_iter();
        let mut take = |batch: &TenantTasks| appended.by_ref().take(batch.tasks.len()).collect();
        Ok(calls.iter().map(|call| call.batches.iter().map(&mut take).collect()).collect())
    }
}

/// A task to be inserted.
#[derive(Clone, Copy)]
pub(crate) struct NewRow<'a> {
    pub(crate) tenant: i64,
    pub(crate) task: &'a NewTask,
    pub(crate) now: Timestamp,
}

impl NewRow<'_> {
    /// Whether both are of the same queue.
    fn is_beside(&self, other: &Self) -> bool {
        (self.tenant, self.task.priority) == (other.tenant, other.task.priority)
            && self.task.kind == other.task.kind
    }
}

/// A task that is new, with its place.
struct Placed<'a> {
    id: Id,
    queue: i64,
    task: &'a NewTask,
}

/// Inserts tasks, each tenant's in their order; what became of each.
pub(crate) fn insert(rows: &[NewRow<'_>], step: &mut Step<'_>) -> Result<Vec<AppendedTask>> {
    let mut places = Vec::with_capacity(rows.len());
    let mut last: Option<(&NewRow<'_>, Shard, i64)> = None;
    for (index, row) in rows.iter().enumerate() {
        let (shard, queue) = match last.filter(|(last, ..)| row.is_beside(last)) {
            Some((_, shard, queue)) => (shard, queue),
            None => step.queue(row.tenant, row.task.priority, &row.task.kind)?,
        };
        last = Some((row, shard, queue));
        places.push((shard, row.tenant, index, queue));
    }
    // Neighbours in the table and its index are inserted together.
    places.sort_unstable();
    let mut appended =
        vec![AppendedTask { id: Id::placed(Timestamp::default(), 0), duplicate: true }; rows.len()];
    let mut placed = Vec::with_capacity(rows.len());
    let mut changes = Changes::default();
    for (shard, _, index, queue) in places {
        let row = &rows[index];
        let id = Id::placed(row.now, step.memo.tasks.next_place(shard));
        let taken = take_key(row, id, &placed, step)?;
        appended[index] = AppendedTask { id: taken.unwrap_or(id), duplicate: taken.is_some() };
        if taken.is_none() {
            step.memo.tasks.take_place(shard);
            changes.add(queue, TaskState::Waiting, 1);
            if !row.task.group.is_empty() {
                changes.groups.submit(queue, &row.task.group, row.now);
            }
            placed.push(Placed { id, queue, task: row.task });
        }
    }
    store(&placed, step)?;
    step.save_places()?;
    changes.save(step)?;
    Ok(appended)
}

/// The task that has the key already; else this one takes it. Those before it, by rising places, are not in the table yet.
fn take_key(row: &NewRow<'_>, id: Id, before: &[Placed<'_>], step: &Step<'_>) -> Result<Option<Id>> {
    let NewTask { key, key_until, .. } = row.task;
    if key.is_empty() {
        return Ok(None);
    }
    let mut take = step.prepare(
        "INSERT INTO task_keys (tenant_id, key, place, created_at, until) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO NOTHING",
    )?;
    let (place, moment, until) = (id.place(), id.moment().as_micros(), key_until.as_micros());
    if take.execute(params![row.tenant, key, place, moment, until]).map_err(failed)? == 1 {
        return Ok(None);
    }
    let mut taken =
        step.prepare("SELECT created_at, place FROM task_keys WHERE tenant_id = ?1 AND key = ?2")?;
    let taken = taken.query_row(params![row.tenant, key], |row| Ok((row.get(0)?, row.get(1)?))).optional();
    let Some((moment_of_owner, owner)) = taken.map_err(failed)? else { return Ok(None) };
    let is_new = || before.binary_search_by_key(&owner, |placed| placed.id.place()).is_ok();
    if row.task.unique && !is_new() && !is_unfinished(owner, moment_of_owner, step)? {
        let mut take_over = step.prepare(
            "UPDATE task_keys SET place = ?3, created_at = ?4, until = ?5 WHERE tenant_id = ?1 AND key = ?2",
        )?;
        take_over.execute(params![row.tenant, key, place, moment, until]).map_err(failed)?;
        return Ok(None);
    }
    Ok(Some(Id::placed(Timestamp::from_micros(moment_of_owner), owner)))
}

fn is_unfinished(place: i64, created_at: i64, step: &Step<'_>) -> Result<bool> {
    let mut find = step.prepare("SELECT 1 FROM queue WHERE place = ?1 AND created_at = ?2")?;
    find.exists(params![place, created_at]).map_err(failed)
}

/// How many rows one statement inserts: a sixth cheaper than one by one; more make no difference. `OR FAIL`, because
/// SQLite need not be able to undo half a statement: a step that fails is undone as a whole.
const MANY: usize = 16;
/// How many parameters a row has.
const PARAMETERS: usize = 12;

macro_rules! into_queue {
    ($($values:expr),+) => {
        concat!(
            "INSERT OR FAIL INTO queue (place, queue, created_at, run_at, key_until, max_attempts, attempt, keep, started_at,
                                group_name, key, trace_parent, worker, error, progress, checkpoint, options, payload) VALUES ",
            $($values),+
        )
    };
}

macro_rules! row {
    () => {
        "(?, ?, ?, ?, ?, ?, 0, ?, NULL, ?, ?, ?, '', '', '', x'', ?, ?)"
    };
}

macro_rules! four {
    () => {
        concat!(row!(), ", ", row!(), ", ", row!(), ", ", row!())
    };
}

const INSERT: &str = into_queue!(row!());
const INSERT_MANY: &str = into_queue!(four!(), ", ", four!(), ", ", four!(), ", ", four!());

fn store(rows: &[Placed<'_>], step: &Step<'_>) -> Result<()> {
    let (many, rest) = rows.as_chunks::<MANY>();
    if !many.is_empty() {
        let mut insert = step.prepare(INSERT_MANY)?;
        for rows in many {
            bind(&mut insert, rows).and_then(|()| insert.raw_execute()).map_err(failed)?;
        }
    }
    if !rest.is_empty() {
        let mut insert = step.prepare(INSERT)?;
        for row in rest.chunks(1) {
            bind(&mut insert, row).and_then(|()| insert.raw_execute()).map_err(failed)?;
        }
    }
    Ok(())
}

fn bind(statement: &mut CachedStatement<'_>, rows: &[Placed<'_>]) -> rusqlite::Result<()> {
    for (number, Placed { id, queue, task }) in rows.iter().enumerate() {
        let keep = task.keep.map(|keep| i64::try_from(keep.as_micros()).unwrap_or(i64::MAX));
        let group = Some(task.group.as_str()).filter(|group| !group.is_empty());
        let parameters: [&dyn ToSql; PARAMETERS] = [
            &id.place(),
            queue,
            &id.moment().as_micros(),
            &task.run_at.as_micros(),
            &task.key_until.as_micros(),
            &task.max_attempts,
            &keep,
            &group,
            &task.key,
            &task.trace_parent,
            &task.options,
            &task.payload,
        ];
        for (index, parameter) in (number * PARAMETERS + 1..).zip(parameters) {
            statement.raw_bind_parameter(index, parameter)?;
        }
    }
    Ok(())
}
