//! Attempts ended: completions with their analyses and follow-up tasks, and failures.

use serde::Serialize;
use tidemill_kernel::{Id, Timestamp};
use tidemill_store::Result;
use tidemill_store::content::Analysis;
use tidemill_store::task::{Completion, Failure, LeaseRef, NewTask, Settled, TaskState, Waiting};

use super::append::{self, NewRow};
use super::counts::Changes;
use super::held;
use crate::content::{NewAnalysis, add_analyses};
use crate::statement::query;
use crate::writer::{Step, Write, encode};

/// One caller's ended attempts.
pub(super) struct SettleTasks {
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

impl Write for SettleTasks {
    type Output = Settled;
    const MERGES: bool = true;

    fn bytes(&self) -> usize {
        let analysis =
            |row: &Completion| row.analysis.as_ref().map_or(0, |(_, _, analysis)| analysis.output.len());
        self.completions.iter().map(|row| 200 + row.result.len() + analysis(row)).sum::<usize>()
            + self.failures.len() * 200
    }

    fn run(calls: &[Self], step: &mut Step<'_>) -> Result<Vec<Settled>> {
        let tasks = calls.iter().flat_map(Self::leases).map(|lease| lease.task);
        let mut held = held::find(tasks, step)?;
        let mut ended = Ended::default();
        let mut settled = Vec::with_capacity(calls.len());
        for (number, call) in calls.iter().enumerate() {
            let mut accepted = Vec::with_capacity(call.completions.len() + call.failures.len());
            for row in &call.completions {
                let task = held::take(&mut held, &row.lease);
                accepted.push(task.is_some());
                if let Some(task) = task {
                    ended.complete(number, &task, row, call.now);
                }
            }
            for row in &call.failures {
                let in_time = |held: &held::Held| held.expires_at > call.now;
                let too_early = row.only_if_expired && held.get(&row.lease.task).is_some_and(in_time);
                let task = if too_early { None } else { held::take(&mut held, &row.lease) };
                accepted.push(task.is_some());
                if let Some(task) = task {
                    ended.fail(&task, row, call.now);
                }
            }
            settled.push(Settled { accepted, follow_ups: Vec::new() });
        }
        ended.save(&mut settled, step)?;
        Ok(settled)
    }
}

/// What a batch of ended attempts writes.
#[derive(Default)]
struct Ended<'a> {
    succeeded: Vec<(i64, &'a str, Timestamp)>,
    failed: Vec<Failed<'a>>,
    analyses: Vec<NewAnalysis<'a>>,
    /// Each with the number of its call.
    follow_ups: Vec<(usize, NewRow<'a>)>,
    changes: Changes,
}

/// Place, state, error, when it runs again, when it was finished.
#[derive(Serialize)]
struct Failed<'a>(i64, i32, &'a str, Option<Timestamp>, Option<Timestamp>);

impl<'a> Ended<'a> {
    fn complete(&mut self, call: usize, task: &held::Held, row: &'a Completion, now: Timestamp) {
        self.changes.shift(task.tenant, task.priority, &task.kind, TaskState::Running, TaskState::Succeeded);
        self.succeeded.push((task.sequence, &row.result, now));
        let tenant = task.tenant;
        if let Some((query, document, analysis)) = &row.analysis {
            let (query, document): (Id, Id) = (*query, *document);
            let analysis: &Analysis = analysis;
            self.analyses.push(NewAnalysis { tenant, query, document, analysis, now });
        }
        let follow_up = |task: &'a NewTask| (call, NewRow { tenant, task, now });
        self.follow_ups.extend(row.follow_ups.iter().map(follow_up));
    }

    fn fail(&mut self, task: &held::Held, row: &'a Failure, now: Timestamp) {
        let again = row.retry_at.is_some();
        let state = if again { TaskState::Waiting } else { TaskState::Dead };
        self.changes.shift(task.tenant, task.priority, &task.kind, TaskState::Running, state);
        let finished_at = (!again).then_some(now);
        self.failed.push(Failed(task.sequence, state.number(), &row.error, row.retry_at, finished_at));
    }

    fn save(self, settled: &mut [Settled], step: &mut Step<'_>) -> Result<()> {
        if self.succeeded.is_empty() && self.failed.is_empty() {
            return Ok(());
        }
        let (succeeded, failed) = (encode(&self.succeeded)?, encode(&self.failed)?);
        step.execute(query(SUCCEED).bind(succeeded))?;
        step.execute(query(FAIL).bind(failed))?;
        self.changes.save(step)?;
        add_analyses(&self.analyses, step)?;
        follow_up(&self.follow_ups, settled, step)
    }
}

const SUCCEED: &str = "
    UPDATE task_states SET state = 3, token = NULL, expires_at = NULL, result = json_extract(e.value, '$[1]'),
           finished_at = json_extract(e.value, '$[2]')
    FROM jsonb_each(?1) e WHERE task_states.id = json_extract(e.value, '$[0]')";

const FAIL: &str = "
    UPDATE task_states SET state = json_extract(e.value, '$[1]'), token = NULL, expires_at = NULL,
           error = json_extract(e.value, '$[2]'), run_at = coalesce(json_extract(e.value, '$[3]'), run_at),
           finished_at = json_extract(e.value, '$[4]')
    FROM jsonb_each(?1) e WHERE task_states.id = json_extract(e.value, '$[0]')";

fn follow_up(follow_ups: &[(usize, NewRow<'_>)], settled: &mut [Settled], step: &mut Step<'_>) -> Result<()> {
    let rows: Vec<NewRow<'_>> = follow_ups.iter().map(|(_, row)| *row).collect();
    let appended = append::insert(&rows, step)?;
    for ((call, row), made) in follow_ups.iter().zip(appended).filter(|(_, made)| !made.duplicate) {
        let NewTask { id, kind, priority, run_at, .. } = row.task;
        settled[*call].follow_ups.push(Waiting {
            id: *id,
            tenant: step.tenant_name(row.tenant)?,
            kind: kind.clone(),
            priority: *priority,
            sequence: made.sequence,
            run_at: *run_at,
        });
    }
    Ok(())
}
