//! Leases made. The tasks that wait are locked and read, the outcome is decided on them, and one statement writes it
//! for the whole batch. Where two instances lease the same task, the lease that is stored first counts.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use sqlx::query_as;
use tidemill_kernel::{Id, Timestamp};
use tidemill_store::task::{Grant, Task, TaskState};
use uuid::Uuid;

use super::row::{TaskRow, id, task_columns, task_states, uuid};
use crate::writer::{Outcome, Step, Write};

/// Starts attempts.
pub(crate) struct LeaseTasks {
    pub(super) grants: Vec<Grant>,
    pub(super) expires_at: Timestamp,
    pub(super) now: Timestamp,
}

#[async_trait]
impl Write for LeaseTasks {
    type Output = Vec<(Task, Id)>;

    fn bytes(&self) -> usize {
        self.grants.len() * 500
    }

    async fn run(calls: &[Self], step: &mut Step<'_>) -> Outcome<Vec<Vec<(Task, Id)>>> {
        let asked = calls.iter().flat_map(|call| &call.grants).map(|grant| uuid(grant.task));
        let mut waiting = waiting(asked.collect(), step).await?;
        let mut started = Started::default();
        let mut leased: Vec<Vec<(Place, Task, Id)>> = Vec::with_capacity(calls.len());
        for call in calls {
            let mut mine = Vec::new();
            for grant in &call.grants {
                // The first grant takes the task out, so that a second finds none.
                let Some((place, mut task)) = waiting.remove(&grant.task) else { continue };
                task.state = TaskState::Running;
                task.attempt += 1;
                task.started_at = Some(call.now);
                task.worker.clone_from(&grant.worker);
                started.push(place, &task, grant.token, call);
                mine.push((place, task, grant.token));
            }
            leased.push(mine);
        }
        let stored = started.save(step).await?;
        let keep = |(place, task, token): (Place, Task, Id)| {
            stored.contains(&task.new.id).then(|| {
                let priority = task.new.priority.number();
                let (from, to) = (TaskState::Waiting, TaskState::Running);
                step.changes.shift(place.tenant, priority, &task.new.kind, from, to);
                (task, token)
            })
        };
        let mut keep = keep;
        Ok(leased.into_iter().map(|mine| mine.into_iter().filter_map(&mut keep).collect()).collect())
    }
}

/// A task's tenant and its place in the log.
#[derive(Debug, Clone, Copy)]
struct Place {
    tenant: i64,
    sequence: i64,
}

/// Those of the tasks that wait, locked.
async fn waiting(tasks: Vec<Uuid>, step: &mut Step<'_>) -> Outcome<HashMap<Id, (Place, Task)>> {
    let found = query_as::<_, TaskRow>(concat!(
        "SELECT ",
        task_columns!(),
        " FROM unnest($1::uuid[]) AS e (task_id) JOIN tasks t ON t.task_id = e.task_id
          JOIN tenants n ON n.id = t.tenant_id JOIN queue w ON w.id = t.id",
        task_states!(),
        "WHERE l.task_id IS NULL ORDER BY w.id FOR UPDATE OF w"
    ));
    let mut waiting = HashMap::with_capacity(tasks.len());
    for row in step.rows(found.bind(tasks)).await? {
        let place = Place { tenant: row.tenant_id, sequence: row.id };
        let task = row.decode()?;
        waiting.insert(task.new.id, (place, task));
    }
    Ok(waiting)
}

/// Leases as columns.
#[derive(Default)]
struct Started {
    task_ids: Vec<Uuid>,
    tenants: Vec<i64>,
    priorities: Vec<i32>,
    kinds: Vec<String>,
    ids: Vec<i64>,
    tokens: Vec<Uuid>,
    expire: Vec<i64>,
    start: Vec<i64>,
    attempts: Vec<i64>,
    workers: Vec<String>,
}

impl Started {
    fn push(&mut self, place: Place, task: &Task, token: Id, call: &LeaseTasks) {
        self.task_ids.push(uuid(task.new.id));
        self.tenants.push(place.tenant);
        self.priorities.push(task.new.priority.number());
        self.kinds.push(task.new.kind.clone());
        self.ids.push(place.sequence);
        self.tokens.push(uuid(token));
        self.expire.push(call.expires_at.as_micros());
        self.start.push(call.now.as_micros());
        self.attempts.push(i64::from(task.attempt));
        self.workers.push(task.worker.clone());
    }

    /// Stores them; those that nobody else has stored.
    async fn save(self, step: &mut Step<'_>) -> Outcome<HashSet<Id>> {
        if self.ids.is_empty() {
            return Ok(HashSet::new());
        }
        let insert = query_as::<_, (Uuid,)>(
            "INSERT INTO leases (task_id, tenant_id, priority, kind, id, token, expires_at, started_at, attempt, worker)
             SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::integer[], $4::text[], $5::bigint[], $6::uuid[],
                                  $7::bigint[], $8::bigint[], $9::bigint[], $10::text[])
             ON CONFLICT (task_id) DO NOTHING RETURNING task_id",
        );
        let insert = insert.bind(self.task_ids).bind(self.tenants).bind(self.priorities).bind(self.kinds);
        let insert = insert.bind(self.ids).bind(self.tokens).bind(self.expire).bind(self.start);
        let insert = insert.bind(self.attempts).bind(self.workers);
        Ok(step.rows(insert).await?.into_iter().map(|(task,)| id(task)).collect())
    }
}
