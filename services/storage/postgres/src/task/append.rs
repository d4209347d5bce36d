//! Tasks appended to the log.
//!
//! Most batches have no duplicate, so they are inserted first, skipping conflicts; only when fewer rows came in than
//! were sent does a second statement ask which are there already.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use sqlx::{query, query_as};
use tidemill_kernel::{TenantName, Timestamp};
use tidemill_store::Error;
use tidemill_store::task::{AppendedTask, NewTask, TaskState};
use uuid::Uuid;

use super::row::{id, uuid};
use crate::writer::{Outcome, Step, Write};

/// One caller's tasks.
pub(crate) struct AppendTasks {
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

    fn bytes(&self) -> usize {
        self.tasks.iter().map(|task| 200 + task.payload.len() + task.key.len()).sum()
    }

    async fn run(calls: &[Self], step: &mut Step<'_>) -> Outcome<Vec<Vec<AppendedTask>>> {
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
pub(crate) async fn insert(rows: &[NewRow<'_>], step: &mut Step<'_>) -> Outcome<Vec<AppendedTask>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let places = step.take_places(rows.len()).await?;
    let rows: Vec<Placed<'_>> =
        rows.iter().zip(places).map(|(row, sequence)| Placed { row: *row, sequence }).collect();
    let mut appended = Vec::with_capacity(rows.len());
    while let Some(rest) = rows.get(appended.len()..).filter(|rest| !rest.is_empty()) {
        appended.extend(insert_run(&rest[..run_length(rest)], step).await?);
    }
    for (Placed { row, .. }, _) in rows.iter().zip(&appended).filter(|(_, appended)| !appended.duplicate) {
        step.changes.task(row.tenant, row.task.priority.number(), &row.task.kind, TaskState::Waiting, 1);
    }
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

async fn insert_run(rows: &[Placed<'_>], step: &mut Step<'_>) -> Outcome<Vec<AppendedTask>> {
    let stored = insert_rows(rows, step).await?;
    if usize::try_from(stored) == Ok(rows.len()) {
        return Ok(rows.iter().map(Placed::appended).collect());
    }
    let present = present(rows, step).await?;
    let missing = || Error::Internal("a task that was stored is not there".to_owned());
    let outcome = |(index, row): (usize, &Placed<'_>)| row.compare(present.get(&index).ok_or_else(missing)?);
    Ok(rows.iter().enumerate().map(outcome).collect::<Result<_, Error>>()?)
}

/// What was asked, of the rows whose id and key are new, and their places in the queue. Batches insert in the order of
/// keys and ids, so that two with the same wait for each other in turn.
const INSERT: &str = "
    WITH sent AS MATERIALIZED (
        SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::text[], $5::integer[], $6::bigint[],
                             $7::bigint[], $8::bigint[], $9::text[], $10::text[], $11::text[])
            AS s (tenant_id, id, task_id, kind, priority, max_attempts, run_at, created_at, key, trace_parent, payload)
    ), stored AS (
        INSERT INTO tasks (tenant_id, id, task_id, kind, priority, max_attempts, created_at, key, trace_parent, payload)
        SELECT tenant_id, id, task_id, kind, priority, max_attempts, created_at, key, trace_parent, payload
        FROM sent ORDER BY tenant_id, key COLLATE \"C\", task_id
        ON CONFLICT DO NOTHING RETURNING id
    )
    INSERT INTO queue (tenant_id, priority, kind, id, task_id, run_at, attempt, worker, error)
    SELECT tenant_id, priority, kind, id, task_id, run_at, 0, '', '' FROM sent JOIN stored USING (id)";

async fn insert_rows(rows: &[Placed<'_>], step: &mut Step<'_>) -> Outcome<u64> {
    fn column<'a, T>(rows: &'a [Placed<'a>], value: impl Fn(&'a Placed<'a>) -> T) -> Vec<T> {
        rows.iter().map(value).collect()
    }
    let insert = query(INSERT)
        .bind(column(rows, |placed| placed.row.tenant))
        .bind(column(rows, |placed| placed.sequence))
        .bind(column(rows, |placed| uuid(placed.row.task.id)))
        .bind(column(rows, |placed| placed.row.task.kind.as_str()))
        .bind(column(rows, |placed| placed.row.task.priority.number()))
        .bind(column(rows, |placed| i64::from(placed.row.task.max_attempts)))
        .bind(column(rows, |placed| placed.row.task.run_at.as_micros()))
        .bind(column(rows, |placed| placed.row.now.as_micros()))
        .bind(column(rows, |placed| placed.row.task.key.as_str()))
        .bind(column(rows, |placed| placed.row.task.trace_parent.as_str()))
        .bind(column(rows, |placed| placed.row.task.payload.as_str()));
    step.execute(insert).await
}

/// A task with its place in the log, should it be new.
struct Placed<'a> {
    row: NewRow<'a>,
    sequence: i64,
}

impl Placed<'_> {
    fn appended(&self) -> AppendedTask {
        AppendedTask { id: self.row.task.id, duplicate: false, sequence: self.sequence }
    }

    /// What became of it, seeing the task that has its id or key.
    fn compare(&self, there: &Present) -> Result<AppendedTask, Error> {
        let present = id(there.task_id);
        if there.tenant != self.row.tenant {
            return Err(Error::Exists { what: "task", name: present.to_string() });
        }
        if there.sequence == self.sequence {
            return Ok(self.appended());
        }
        Ok(AppendedTask { id: present, duplicate: true, sequence: 0 })
    }
}

/// A task that has a row's id or key; the row itself once it is stored.
struct Present {
    tenant: i64,
    task_id: Uuid,
    sequence: i64,
}

/// What is there for each row, by index. An id counts before a key.
async fn present(rows: &[Placed<'_>], step: &mut Step<'_>) -> Outcome<HashMap<usize, Present>> {
    let found = query_as::<_, (i32, i64, i64, Uuid, i64)>(
        "SELECT 0, e.number, t.tenant_id, t.task_id, t.id
         FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS e (tenant_id, key, number)
         JOIN tasks t ON t.tenant_id = e.tenant_id AND t.key = e.key AND t.key <> ''
         UNION ALL
         SELECT 1, e.number, t.tenant_id, t.task_id, t.id
         FROM unnest($3::uuid[]) WITH ORDINALITY AS e (task_id, number) JOIN tasks t ON t.task_id = e.task_id",
    );
    let tenants: Vec<i64> = rows.iter().map(|placed| placed.row.tenant).collect();
    let keys: Vec<&str> = rows.iter().map(|placed| placed.row.task.key.as_str()).collect();
    let ids: Vec<Uuid> = rows.iter().map(|placed| uuid(placed.row.task.id)).collect();
    let mut found = step.rows(found.bind(tenants).bind(keys).bind(ids)).await?;
    found.sort_unstable_by_key(|(by_id, ..)| *by_id);
    let present = |(_, number, tenant, task_id, sequence)| {
        (usize::try_from(number - 1).unwrap_or(usize::MAX), Present { tenant, task_id, sequence })
    };
    Ok(found.into_iter().map(present).collect())
}
