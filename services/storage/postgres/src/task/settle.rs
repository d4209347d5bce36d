//! Attempts ended: completions with their analyses and follow-up tasks, and failures.

use async_trait::async_trait;
use sqlx::{query, query_as};
use std::collections::HashMap;
use tidemill_kernel::{TenantName, Timestamp};
use tidemill_store::Error;
use tidemill_store::task::{Completion, Failure, LeaseRef, NewTask, Settled, TaskState, Waiting};
use uuid::Uuid;

use super::append::{self, NewRow};
use super::held::{self, Held};
use crate::content::{NewAnalysis, add_analyses};
use crate::tenant::tenant_name;
use crate::writer::{Outcome, Step, Write};

/// One caller's ended attempts.
pub(crate) struct SettleTasks {
    completions: Vec<Completion>,
    failures: Vec<Failure>,
    now: Timestamp,
}

impl SettleTasks {
    pub(super) fn new(completions: Vec<Completion>, failures: Vec<Failure>, now: Timestamp) -> Self {
        Self {
            completions: completions.into_iter().map(Completion::cleaned).collect(),
            failures: failures.into_iter().map(Failure::cleaned).collect(),
            now,
        }
    }

    fn leases(&self) -> impl Iterator<Item = &LeaseRef> {
        self.completions.iter().map(|row| &row.lease).chain(self.failures.iter().map(|row| &row.lease))
    }
}

#[async_trait]
impl Write for SettleTasks {
    type Output = Settled;

    fn bytes(&self) -> usize {
        let analysis =
            |row: &Completion| row.analysis.as_ref().map_or(0, |(_, _, analysis)| analysis.output.len());
        self.completions.iter().map(|row| 200 + row.result.len() + analysis(row)).sum::<usize>()
            + self.failures.len() * 200
    }

    async fn run(calls: &[Self], step: &mut Step<'_>) -> Outcome<Vec<Settled>> {
        let tasks = calls.iter().flat_map(Self::leases).map(|lease| lease.task);
        let mut held = held::find(tasks, step).await?;
        let mut ended = Ended::default();
        let mut settled = Vec::with_capacity(calls.len());
        for (number, call) in calls.iter().enumerate() {
            let mut accepted = Vec::with_capacity(call.completions.len() + call.failures.len());
            for row in &call.completions {
                let task = held::take(&mut held, &row.lease);
                accepted.push(task.is_some());
                if let Some(task) = task {
                    ended.complete(number, &task, row, call.now, step);
                }
            }
            for row in &call.failures {
                let in_time = |held: &Held| held.expires_at() > call.now;
                let too_early = row.only_if_expired && held.get(&row.lease.task).is_some_and(in_time);
                let task = if too_early { None } else { held::take(&mut held, &row.lease) };
                accepted.push(task.is_some());
                if let Some(task) = task {
                    ended.fail(&task, row, call.now, step);
                }
            }
            settled.push(Settled { accepted, follow_ups: Vec::new() });
        }
        ended.save(&mut settled, step).await?;
        Ok(settled)
    }
}

/// What a batch of ended attempts writes, as columns.
#[derive(Default)]
struct Ended<'a> {
    finished: Finished<'a>,
    again: Again<'a>,
    analyses: Vec<NewAnalysis<'a>>,
    /// Each with the number of its call.
    follow_ups: Vec<(usize, NewRow<'a>)>,
}

/// Attempts that were the last.
#[derive(Default)]
struct Finished<'a> {
    tasks: Vec<Uuid>,
    states: Vec<i32>,
    finished: Vec<i64>,
    /// None: the last one stays.
    errors: Vec<Option<&'a str>>,
    results: Vec<&'a str>,
}

/// Attempts that are followed by another.
#[derive(Default)]
struct Again<'a> {
    tasks: Vec<Uuid>,
    run_at: Vec<i64>,
    errors: Vec<&'a str>,
}

impl<'a> Ended<'a> {
    fn complete(
        &mut self,
        call: usize,
        task: &Held,
        row: &'a Completion,
        now: Timestamp,
        step: &mut Step<'_>,
    ) {
        let tenant = task.tenant_id;
        step.changes.shift(tenant, task.priority, &task.kind, TaskState::Running, TaskState::Succeeded);
        self.finished.push(task, TaskState::Succeeded, now, None, &row.result);
        if let Some((query, document, analysis)) = &row.analysis {
            self.analyses.push(NewAnalysis { tenant, query: *query, document: *document, analysis, now });
        }
        let follow_up = |task: &'a NewTask| (call, NewRow { tenant, task, now });
        self.follow_ups.extend(row.follow_ups.iter().map(follow_up));
    }

    fn fail(&mut self, task: &Held, row: &'a Failure, now: Timestamp, step: &mut Step<'_>) {
        let state = if row.retry_at.is_some() { TaskState::Waiting } else { TaskState::Dead };
        step.changes.shift(task.tenant_id, task.priority, &task.kind, TaskState::Running, state);
        match row.retry_at {
            Some(retry_at) => {
                self.again.tasks.push(task.task_id);
                self.again.run_at.push(retry_at.as_micros());
                self.again.errors.push(&row.error);
            }
            None => self.finished.push(task, TaskState::Dead, now, Some(&row.error), ""),
        }
    }

    async fn save(self, settled: &mut [Settled], step: &mut Step<'_>) -> Outcome<()> {
        self.finished.save(step).await?;
        self.again.save(step).await?;
        add_analyses(&self.analyses, step).await?;
        follow_up(&self.follow_ups, settled, step).await
    }
}

const FINISH: &str = "
    WITH ended AS MATERIALIZED (
        SELECT * FROM unnest($1::uuid[], $2::integer[], $3::bigint[], $4::text[], $5::text[])
            AS e (task_id, state, finished_at, error, result)
    ), l AS (
        DELETE FROM leases USING ended e WHERE leases.task_id = e.task_id
        RETURNING leases.tenant_id, leases.id, leases.kind, leases.attempt, leases.started_at, leases.worker,
                  e.state, e.finished_at, e.error, e.result
    ), q AS (
        DELETE FROM queue USING l WHERE queue.id = l.id RETURNING queue.id, queue.run_at, queue.error
    )
    INSERT INTO finished (tenant_id, id, state, kind, attempt, run_at, started_at, finished_at, worker, error, result)
    SELECT l.tenant_id, l.id, l.state, l.kind, l.attempt, q.run_at, l.started_at, l.finished_at, l.worker,
           coalesce(l.error, q.error), l.result
    FROM l JOIN q ON q.id = l.id";

impl<'a> Finished<'a> {
    fn push(
        &mut self,
        task: &Held,
        state: TaskState,
        now: Timestamp,
        error: Option<&'a str>,
        result: &'a str,
    ) {
        self.tasks.push(task.task_id);
        self.states.push(state.number());
        self.finished.push(now.as_micros());
        self.errors.push(error);
        self.results.push(result);
    }

    async fn save(self, step: &mut Step<'_>) -> Outcome<()> {
        if !self.tasks.is_empty() {
            let finish = query(FINISH).bind(self.tasks).bind(self.states).bind(self.finished);
            step.execute(finish.bind(self.errors).bind(self.results)).await?;
        }
        Ok(())
    }
}

impl Again<'_> {
    async fn save(self, step: &mut Step<'_>) -> Outcome<()> {
        if !self.tasks.is_empty() {
            let again = query(
                "WITH ended AS MATERIALIZED (
                     SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[]) AS e (task_id, run_at, error)
                 ), l AS (
                     DELETE FROM leases USING ended e WHERE leases.task_id = e.task_id
                     RETURNING leases.id, leases.attempt, leases.started_at, leases.worker, e.run_at, e.error
                 )
                 UPDATE queue SET attempt = l.attempt, started_at = l.started_at, worker = l.worker,
                        run_at = l.run_at, error = l.error
                 FROM l WHERE queue.id = l.id",
            );
            step.execute(again.bind(self.tasks).bind(self.run_at).bind(self.errors)).await?;
        }
        Ok(())
    }
}

async fn follow_up(
    follow_ups: &[(usize, NewRow<'_>)],
    settled: &mut [Settled],
    step: &mut Step<'_>,
) -> Outcome<()> {
    if follow_ups.is_empty() {
        return Ok(());
    }
    let rows: Vec<NewRow<'_>> = follow_ups.iter().map(|(_, row)| *row).collect();
    let names = names(&rows, step).await?;
    let appended = append::insert(&rows, step).await?;
    for ((call, row), made) in follow_ups.iter().zip(appended).filter(|(_, made)| !made.duplicate) {
        let NewTask { id, kind, priority, run_at, .. } = row.task;
        let missing = || Error::Internal(format!("tenant {} is gone", row.tenant));
        settled[*call].follow_ups.push(Waiting {
            id: *id,
            tenant: names.get(&row.tenant).ok_or_else(missing)?.clone(),
            kind: kind.clone(),
            priority: *priority,
            sequence: made.sequence,
            run_at: *run_at,
        });
    }
    Ok(())
}

/// The names of the rows' tenants.
async fn names(rows: &[NewRow<'_>], step: &mut Step<'_>) -> Outcome<HashMap<i64, TenantName>> {
    let tenants: Vec<i64> = rows.iter().map(|row| row.tenant).collect();
    let found = query_as::<_, (i64, String)>("SELECT id, name FROM tenants WHERE id = ANY($1)").bind(tenants);
    let mut names = HashMap::new();
    for (id, name) in step.rows(found).await? {
        names.insert(id, tenant_name(name)?);
    }
    Ok(names)
}
