//! Tasks appended to the log.
//!
//! Most batches have no duplicate, so they are inserted first, skipping conflicts; only when fewer rows came in than
//! were sent does a second statement ask which are there already.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use serde::Serialize;
use sqlx::query;
use tidemill_kernel::{Id, TenantName, Timestamp};
use tidemill_store::task::{AppendedTask, NewTask, TaskState};
use tidemill_store::{Error, Result};

use super::counts::Changes;
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

#[async_trait]
impl Write for AppendTasks {
    type Output = Vec<AppendedTask>;
    const MERGES: bool = true;

    fn bytes(&self) -> usize {
        self.tasks.iter().map(|task| 200 + task.payload.len() + task.key.len()).sum()
    }

    async fn run(calls: &[Self], step: &mut Step<'_>) -> Result<Vec<Vec<AppendedTask>>> {
        let mut rows = Vec::new();
        for call in calls {
            let tenant = step.tenant(&call.tenant).await?;
            rows.extend(call.tasks.iter().map(|task| NewRow { tenant, task, now: call.now }));
        }
        let mut appended = insert(&rows, step).await?.into_iter();
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
pub(crate) async fn insert(rows: &[NewRow<'_>], step: &mut Step<'_>) -> Result<Vec<AppendedTask>> {
    let before = step.take_sequences(rows.len());
    let rows: Vec<Placed<'_>> =
        rows.iter().zip(before + 1..).map(|(row, sequence)| Placed { row: *row, sequence }).collect();
    let mut outcomes: Vec<Option<AppendedTask>> = vec![None; rows.len()];
    let mut open: Vec<usize> = (0..rows.len()).collect();
    // One round unless a row of the batch was kept back for another that was not stored either.
    while !open.is_empty() {
        let sent = firsts(&rows, &open);
        let (count, sent) = (sent.len(), encode(&sent)?);
        let stored = usize::try_from(step.execute(query(INSERT).bind(sent.clone())).await?).unwrap_or(0);
        if stored == count {
            step.execute(query(INSERT_STATES).bind(sent)).await?;
        } else if stored > 0 {
            step.execute(query(INSERT_STATES_OF_STORED).bind(sent).bind(before)).await?;
        }
        if stored == open.len() {
            for index in open.drain(..) {
                outcomes[index] = Some(rows[index].appended());
            }
            break;
        }
        let present = present(&rows, &open, step).await?;
        for &index in &open {
            outcomes[index] = present.get(&index).map(|there| rows[index].compare(there)).transpose()?;
        }
        open.retain(|index| outcomes[*index].is_none());
    }
    let mut changes = Changes::default();
    let appended: Vec<AppendedTask> = outcomes.into_iter().flatten().collect();
    for (Placed { row, .. }, _) in rows.iter().zip(&appended).filter(|(_, appended)| !appended.duplicate) {
        changes.add(row.tenant, row.task.priority.number(), &row.task.kind, TaskState::Waiting, 1);
    }
    changes.save(step).await?;
    Ok(appended)
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

/// The same when some of them were not stored.
const INSERT_STATES_OF_STORED: &str = "
    INSERT INTO task_states (id, tenant_id, kind, priority, state, attempt, run_at, worker, error, result)
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[2]'), json_extract(value, '$[3]'),
           json_extract(value, '$[4]'), 1, 0, json_extract(value, '$[6]'), '', '', ''
    FROM jsonb_each(?1) WHERE json_extract(value, '$[0]') IN (SELECT id FROM tasks WHERE id > ?2)";

#[derive(Serialize)]
struct Sent<'a>(i64, Id, i64, &'a str, i32, u32, Timestamp, Timestamp, &'a str, &'a str, &'a str);

/// Of these rows, those that are the first with their id and their key.
fn firsts<'a>(rows: &[Placed<'a>], open: &[usize]) -> Vec<Sent<'a>> {
    let (mut ids, mut keys) = (HashSet::with_capacity(open.len()), HashSet::new());
    let mut sent = Vec::with_capacity(open.len());
    for placed in open.iter().map(|index| &rows[*index]) {
        let NewRow { tenant, task, .. } = placed.row;
        let key = (!task.key.is_empty()).then_some((tenant, task.key.as_str()));
        if !ids.contains(&task.id) && key.is_none_or(|key| !keys.contains(&key)) {
            ids.insert(task.id);
            keys.extend(key);
            sent.push(placed.sent());
        }
    }
    sent
}

/// A task that has a row's id or key; the row itself once it is stored.
struct Present {
    tenant: i64,
    id: Id,
    sequence: i64,
}

/// What is there for each of these rows, by index. An id counts before a key.
async fn present(
    rows: &[Placed<'_>],
    open: &[usize],
    step: &mut Step<'_>,
) -> Result<HashMap<usize, Present>> {
    let key = |index: &usize| {
        (*index, rows[*index].row.task.id, rows[*index].row.tenant, rows[*index].row.task.key.as_str())
    };
    let asked: Vec<(usize, Id, i64, &str)> = open.iter().map(key).collect();
    let found = query(
        "SELECT json_array(0, json_extract(e.value, '$[0]'), t.tenant_id, hex(t.task_id), t.id)
         FROM jsonb_each(?1) e CROSS JOIN tasks t
           ON t.tenant_id = json_extract(e.value, '$[2]') AND t.key = json_extract(e.value, '$[3]')
         WHERE t.key <> ''
         UNION ALL
         SELECT json_array(1, json_extract(e.value, '$[0]'), t.tenant_id, hex(t.task_id), t.id)
         FROM jsonb_each(?1) e CROSS JOIN tasks t ON t.task_id = unhex(json_extract(e.value, '$[1]'), '-')",
    );
    let mut found: Vec<(u8, usize, i64, Id, i64)> = step.rows(found.bind(encode(&asked)?)).await?;
    found.sort_unstable_by_key(|(by_id, ..)| *by_id);
    Ok(found
        .into_iter()
        .map(|(_, index, tenant, id, sequence)| (index, Present { tenant, id, sequence }))
        .collect())
}
