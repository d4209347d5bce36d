//! Attempts ended: completions with their analyses and follow-up tasks, and failures.
//!
//! Most batches are completions that leave nothing but counts and history: one statement. A recorded lease, an analysis
//! or a follow-up makes a transaction of it, whose first statement locks the tasks, so that the next ones see what hangs
//! on them (a lease that was recorded meanwhile) and whose they are.

mod ended;
mod statements;

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use sqlx::query_as;
use tidemill_kernel::{Id, TenantName, Timestamp};
use tidemill_store::Error;
use tidemill_store::task::{AppendedTask, Attempt, Completion, Failure, Fence, Settled, Task};

use super::fence::Fences;
use super::insert::{self, NewRow};
use super::row::{cleaned, columns};
use crate::content::{NewAnalysis, add_analyses};
use crate::writer::{Outcome, Step, Write};
use ended::{Again, Ended};

/// One caller's ended attempts.
pub(crate) struct SettleTasks {
    fence: Fence,
    completions: Vec<Completion>,
    failures: Vec<Failure>,
    now: Timestamp,
}

impl SettleTasks {
    pub(super) fn new(
        fence: Fence,
        completions: Vec<Completion>,
        failures: Vec<Failure>,
        now: Timestamp,
    ) -> Self {
        let completions = completions.into_iter().map(|row| {
            let row = row.cleaned();
            Completion { attempt: cleaned(row.attempt), ..row }
        });
        let failures = failures.into_iter().map(|row| {
            let row = row.cleaned();
            Failure { attempt: cleaned(row.attempt), ..row }
        });
        Self { fence, completions: completions.collect(), failures: failures.collect(), now }
    }

    fn attempts(&self) -> impl Iterator<Item = &Attempt> {
        let completions = self.completions.iter().map(|row| &row.attempt);
        completions.chain(self.failures.iter().map(|row| &row.attempt))
    }

    /// Whether it needs no transaction: nothing hangs on the tasks.
    fn is_plain(&self) -> bool {
        self.attempts().all(|attempt| !attempt.recorded)
            && self.completions.iter().all(|row| row.analysis.is_none() && row.follow_ups.is_empty())
    }
}

#[async_trait]
impl Write for SettleTasks {
    type Output = Settled;

    fn bytes(&self) -> usize {
        let analysis =
            |row: &Completion| row.analysis.as_ref().map_or(0, |(_, _, analysis)| analysis.output.len());
        let tasks = |row: &Completion| row.follow_ups.iter().map(|task| task.payload.len()).sum::<usize>();
        self.completions.iter().map(|row| 100 + row.result.len() + analysis(row) + tasks(row)).sum::<usize>()
            + self.failures.iter().map(|row| 100 + row.error.len()).sum::<usize>()
    }

    async fn run(calls: &[Self], step: &mut Step<'_>) -> Outcome<Vec<Settled>> {
        let (ended, again) = split(calls);
        Fences::of(calls.iter().map(|call| &call.fence)).check(step).await?;
        let tenants = lock(calls, step).await?;
        let none = Fences::default();
        let mut counted: HashSet<Id> = HashSet::new();
        if !ended.is_empty() {
            counted.extend(ended.save(&none, true, step).await?);
        }
        if !again.is_empty() {
            counted.extend(again.save(&none, step).await?);
        }
        let mut settled = accept(calls, &counted);
        follow(calls, &tenants, &mut settled, step).await?;
        Ok(settled)
    }

    async fn run_at_once(calls: &[Self], step: &mut Step<'_>) -> Option<Outcome<Vec<Settled>>> {
        if !calls.iter().all(Self::is_plain) {
            return None;
        }
        let (ended, again) = split(calls);
        let fences = Fences::of(calls.iter().map(|call| &call.fence));
        let counted = match (ended.is_empty(), again.is_empty()) {
            (true, true) => return Some(Ok(accept(calls, &HashSet::new()))),
            (false, true) => ended.save(&fences, false, step).await,
            (true, false) => again.save(&fences, step).await,
            (false, false) => return None,
        };
        Some(counted.map(|counted| accept(calls, &counted.into_iter().collect())))
    }
}

/// What the calls write; a task that is named again is left out.
fn split(calls: &[SettleTasks]) -> (Ended<'_>, Again<'_>) {
    let (mut ended, mut again) = (Ended::default(), Again::default());
    let mut seen = HashSet::new();
    for call in calls {
        for row in call.completions.iter().filter(|row| seen.insert(row.attempt.task)) {
            ended.complete(row, call.now);
        }
        for row in call.failures.iter().filter(|row| seen.insert(row.attempt.task)) {
            match row.retry_at {
                Some(retry_at) => again.push(row, retry_at),
                None => ended.give_up(row, call.now),
            }
        }
    }
    (ended, again)
}

/// What the calls are told when these tasks counted: the first that names one.
fn accept(calls: &[SettleTasks], counted: &HashSet<Id>) -> Vec<Settled> {
    let mut seen = HashSet::with_capacity(counted.len());
    let mut accept = |attempt: &Attempt| counted.contains(&attempt.task) && seen.insert(attempt.task);
    let mut settled = |call: &SettleTasks| Settled {
        accepted: call.attempts().map(&mut accept).collect(),
        follow_ups: Vec::new(),
    };
    calls.iter().map(&mut settled).collect()
}

/// Locks the tasks that are there, in the order of their places; whose they are.
async fn lock(calls: &[SettleTasks], step: &mut Step<'_>) -> Outcome<HashMap<i64, i64>> {
    let (places, _) = columns(calls.iter().flat_map(SettleTasks::attempts).map(|attempt| attempt.task));
    let lock = query_as::<_, (i64, i64)>(
        "SELECT place, tenant_id FROM queue WHERE place = ANY($1) ORDER BY place FOR UPDATE",
    );
    Ok(step.rows(lock.bind(places)).await?.into_iter().collect())
}

/// What commits with the completions that count: analyses and follow-ups.
async fn follow(
    calls: &[SettleTasks],
    tenants: &HashMap<i64, i64>,
    settled: &mut [Settled],
    step: &mut Step<'_>,
) -> Outcome<()> {
    let ids: Vec<i64> = tenants.values().copied().collect();
    let mut names: Option<HashMap<i64, TenantName>> = None;
    let (mut analyses, mut made) = (Vec::new(), Vec::new());
    for (number, call) in calls.iter().enumerate() {
        let counts = |(row, counts): (_, &bool)| counts.then_some(row);
        for row in call.completions.iter().zip(&settled[number].accepted).filter_map(counts) {
            let tenant = tenants.get(&row.attempt.task.place()).copied().unwrap_or_default();
            if let Some((query, document, analysis)) = &row.analysis {
                let (query, document) = (*query, *document);
                analyses.push(NewAnalysis { tenant, query, document, analysis, now: call.now });
            }
            if !row.follow_ups.is_empty() {
                let names = match &mut names {
                    Some(names) => names,
                    None => names.insert(step.tenant_names(&ids).await?),
                };
                let missing = || Error::Internal(format!("tenant {tenant} is gone"));
                let name = names.get(&tenant).ok_or_else(missing)?.clone();
                let new = |task| (number, name.clone(), NewRow::new(&name, tenant, task, call.now));
                made.extend(row.follow_ups.iter().map(new));
            }
        }
    }
    add_analyses(&analyses, step).await?;
    let rows: Vec<NewRow<'_>> = made.iter().map(|(_, _, row)| *row).collect();
    let appended = insert::insert(&rows, step).await?;
    for ((call, name, row), AppendedTask { id, duplicate }) in made.into_iter().zip(appended) {
        if !duplicate {
            settled[call].follow_ups.push(Task::stored(id, row.task.clone(), name));
        }
    }
    for settled in settled {
        settled.follow_ups.sort_by_key(|task| task.id.place());
    }
    Ok(())
}
