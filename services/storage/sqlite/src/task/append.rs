//! Tasks appended to the log.
//!
//! Most batches have no duplicate, so they are inserted first, skipping conflicts; only when fewer rows came in than
//! were sent does a second statement ask which are there already.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use tidemill_kernel::{Id, TenantName, Timestamp};
use tidemill_store::task::{AppendedTask, NewTask, TaskState};
use tidemill_store::{Error, Result};

use super::counts::Changes;
use crate::statement::query;
use crate::writer::{Step, Write, encode};

/// One caller's tasks.
pub(super) struct AppendTasks {
    tenant: TenantName,
    tasks: Vec<NewTask>,
    now: Timestamp,
}

impl AppendTasks {
    pub(super) fn new(tenant: TenantName, tasks: Vec<NewTask>, now: Timestamp) -> Self {
        Self { tenant, tasks: tasks.into_iter().map(NewTask::cleaned).collect(), now }
    }
}

impl Write for AppendTasks {
    type Output = Vec<AppendedTask>;
    const MERGES: bool = true;

    fn bytes(&self) -> usize {
        self.tasks.iter().map(|task| 200 + task.payload.len() + task.key.len()).sum()
    }

    fn run(calls: &[Self], step: &mut Step<'_>) -> Result<Vec<Vec<AppendedTask>>> {
        let mut rows = Vec::new();
        for call in calls {
            let tenant = step.tenant(&call.tenant)?;
            rows.extend(call.tasks.iter().map(|task| NewRow { tenant, task, now: call.now }));
        }
        let mut appended = insert(&rows, step)?.into_iter();
        Ok(calls.iter().map(|call| appended.by_ref().take(call.tasks.len()).collect()).collect())
    }
}

/// A task to be inserted.
#[derive(Clone, Copy)]
pub(crate) struct NewRow<'a> {
    pub(crate) tenant: i64,
    pub(crate) task: &'a NewTask,
    pub(crate) now: Timestamp,
}

/// Inserts tasks in their order; what became of each.
pub(crate) fn insert(rows: &[NewRow<'_>], step: &mut Step<'_>) -> Result<Vec<AppendedTask>> {
    let before = step.take_sequences(rows.len());
    let rows: Vec<Placed<'_>> =
        rows.iter().zip(before + 1..).map(|(row, sequence)| Placed { row: *row, sequence }).collect();
    let mut appended = Vec::with_capacity(rows.len());
    while let Some(rest) = rows.get(appended.len()..).filter(|rest| !rest.is_empty()) {
        appended.extend(insert_run(&rest[..run_length(rest)], step)?);
    }
    let mut changes = Changes::default();
    for (Placed { row, .. }, _) in rows.iter().zip(&appended).filter(|(_, appended)| !appended.duplicate) {
        changes.add(row.tenant, row.task.priority.number(), &row.task.kind, TaskState::Waiting, 1);
    }
    changes.save(step)?;
    Ok(appended)
}

/// How many rows there are before one that has an id or a key again. A run is as if its rows came one after another:
/// none of them decides what becomes of another.
fn run_length(rows: &[Placed<'_>]) -> usize {
    let (mut ids, mut keys) = (HashSet::with_capacity(rows.len()), HashSet::new());
    for (index, Placed { row, .. }) in rows.iter().enumerate() {
        let key = (row.tenant, row.task.key.as_str());
        if !ids.insert(row.task.id) || (!key.1.is_empty() && !keys.insert(key)) {
            return index;
        }
    }
    rows.len()
}

fn insert_run(rows: &[Placed<'_>], step: &mut Step<'_>) -> Result<Vec<AppendedTask>> {
    let sent = encode(&rows.iter().map(Placed::sent).collect::<Vec<_>>())?;
    let stored = step.execute(query(INSERT).bind(sent.clone()))?;
    if usize::try_from(stored) == Ok(rows.len()) {
        step.execute(query(INSERT_STATES).bind(sent))?;
        return Ok(rows.iter().map(Placed::appended).collect());
    }
    if stored > 0 {
        step.execute(query(INSERT_STATES_OF_STORED).bind(sent))?;
    }
    let present = present(rows, step)?;
    let missing = || Error::Internal("a task that was stored is not there".to_owned());
    let outcome = |(index, row): (usize, &Placed<'_>)| row.compare(present.get(&index).ok_or_else(missing)?);
    rows.iter().enumerate().map(outcome).collect()
}

/// A task with its place in the log, should it be new.
struct Placed<'a> {
    row: NewRow<'a>,
    sequence: i64,
}

impl<'a> Placed<'a> {
    fn sent(&self) -> Sent<'a> {
        let NewRow { tenant, task, now } = self.row;
        let NewTask { id, kind, priority, payload, key, run_at, max_attempts, trace_parent } = task;
        let priority = priority.number();
        Sent(
            self.sequence,
            *id,
            tenant,
            kind,
            priority,
            *max_attempts,
            *run_at,
            now,
            key,
            trace_parent,
            payload,
        )
    }

    fn appended(&self) -> AppendedTask {
        AppendedTask { id: self.row.task.id, duplicate: false, sequence: self.sequence }
    }

    /// What became of it, seeing the task that has its id or key.
    fn compare(&self, there: &Present) -> Result<AppendedTask> {
        if there.tenant != self.row.tenant {
            return Err(Error::Exists { what: "task", name: there.id.to_string() });
        }
        if there.sequence == self.sequence {
            return Ok(self.appended());
        }
        Ok(AppendedTask { id: there.id, duplicate: true, sequence: 0 })
    }
}

/// What was asked, of the rows whose id and key are new; then where those stand.
const INSERT: &str = "
    INSERT INTO tasks (id, task_id, tenant_id, max_attempts, created_at, key, trace_parent, payload)
    SELECT json_extract(value, '$[0]'), unhex(json_extract(value, '$[1]'), '-'), json_extract(value, '$[2]'),
           json_extract(value, '$[5]'), json_extract(value, '$[7]'), json_extract(value, '$[8]'),
           json_extract(value, '$[9]'), json_extract(value, '$[10]')
    FROM jsonb_each(?1) WHERE true
    ON CONFLICT DO NOTHING";

const INSERT_STATES: &str = "
    INSERT INTO task_states (id, tenant_id, kind, priority, state, attempt, run_at, worker, error, result)
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[2]'), json_extract(value, '$[3]'),
           json_extract(value, '$[4]'), 1, 0, json_extract(value, '$[6]'), '', '', ''
    FROM jsonb_each(?1)";

/// The same when some of them were there already.
const INSERT_STATES_OF_STORED: &str = "
    INSERT INTO task_states (id, tenant_id, kind, priority, state, attempt, run_at, worker, error, result)
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[2]'), json_extract(value, '$[3]'),
           json_extract(value, '$[4]'), 1, 0, json_extract(value, '$[6]'), '', '', ''
    FROM jsonb_each(?1) WHERE EXISTS (SELECT 1 FROM tasks WHERE id = json_extract(value, '$[0]'))";

#[derive(Serialize)]
struct Sent<'a>(i64, Id, i64, &'a str, i32, u32, Timestamp, Timestamp, &'a str, &'a str, &'a str);

/// A task that has a row's id or key; the row itself once it is stored.
struct Present {
    tenant: i64,
    id: Id,
    sequence: i64,
}

/// What is there for each row, by index. An id counts before a key.
fn present(rows: &[Placed<'_>], step: &mut Step<'_>) -> Result<HashMap<usize, Present>> {
    let asked = rows.iter().map(|Placed { row, .. }| (row.task.id, row.tenant, row.task.key.as_str()));
    let found = query(
        "SELECT json_array(0, e.key, t.tenant_id, hex(t.task_id), t.id)
         FROM jsonb_each(?1) e CROSS JOIN tasks t
           ON t.tenant_id = json_extract(e.value, '$[1]') AND t.key = json_extract(e.value, '$[2]')
         WHERE t.key <> ''
         UNION ALL
         SELECT json_array(1, e.key, t.tenant_id, hex(t.task_id), t.id)
         FROM jsonb_each(?1) e CROSS JOIN tasks t ON t.task_id = unhex(json_extract(e.value, '$[0]'), '-')",
    );
    let found = found.bind(encode(&asked.collect::<Vec<_>>())?);
    let mut found: Vec<(u8, usize, i64, Id, i64)> = step.rows(found)?;
    found.sort_unstable_by_key(|(by_id, ..)| *by_id);
    let present = |(_, index, tenant, id, sequence)| (index, Present { tenant, id, sequence });
    Ok(found.into_iter().map(present).collect())
}
