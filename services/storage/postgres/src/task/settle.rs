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
        Fences::of(calls.iter().map(|call| &call.fence)).check(step).await?;
        let tenants = lock(calls, step).await?;
        let (ended, again) = split(calls, |id| tenants.contains_key(&id)).unwrap_or_default();
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
        let (ended, again) = split(calls, |_| true)?;
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

/// What became of an attempt.
enum End<'a> {
    Completed(&'a Completion),
    Failed(&'a Failure),
}

/// What the calls write of the tasks that may be there, in the order of their places; what a task is named again for is
/// left out. None if two tasks have the same place: one of them is not there.
fn split(calls: &[SettleTasks], may_be: impl Fn(Id) -> bool) -> Option<(Ended<'_>, Again<'_>)> {
    let mut seen = HashSet::new();
    let mut is_new = |attempt: &Attempt| may_be(attempt.task) && seen.insert(attempt.task);
    let mut ends: Vec<(i64, End<'_>, Timestamp)> = Vec::new();
    for call in calls {
        for row in call.completions.iter().filter(|row| is_new(&row.attempt)) {
            ends.push((row.attempt.task.place(), End::Completed(row), call.now));
        }
        for row in call.failures.iter().filter(|row| is_new(&row.attempt)) {
            ends.push((row.attempt.task.place(), End::Failed(row), call.now));
        }
    }
    ends.sort_by_key(|(place, ..)| *place);
    if ends.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return None;
    }
    let (mut ended, mut again) = (Ended::default(), Again::default());
    for (_, end, now) in ends {
        match end {
            End::Completed(row) => ended.complete(row, now),
            End::Failed(row) => match row.retry_at {
                Some(retry_at) => again.push(row, retry_at),
                None => ended.give_up(row, now),
            },
        }
    }
    Some((ended, again))
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
async fn lock(calls: &[SettleTasks], step: &mut Step<'_>) -> Outcome<HashMap<Id, i64>> {
    let (places, _) = columns(calls.iter().flat_map(SettleTasks::attempts).map(|attempt| attempt.task));
    let lock = query_as::<_, (i64, i64, i64)>(
        "SELECT place, created_at, tenant_id FROM queue WHERE place = ANY($1) ORDER BY place + 0 FOR UPDATE",
    );
    let id = |(place, moment, tenant)| (Id::placed(Timestamp::from_micros(moment), place), tenant);
    Ok(step.rows(lock.bind(places)).await?.into_iter().map(id).collect())
}

/// What commits with the completions that count: analyses and follow-ups.
async fn follow(
    calls: &[SettleTasks],
    tenants: &HashMap<Id, i64>,
    settled: &mut [Settled],
    step: &mut Step<'_>,
) -> Outcome<()> {
    let ids: Vec<i64> = tenants.values().copied().collect();
    let mut names: Option<HashMap<i64, TenantName>> = None;
    let (mut analyses, mut made) = (Vec::new(), Vec::new());
    for (number, call) in calls.iter().enumerate() {
        let counts = |(row, counts): (_, &bool)| counts.then_some(row);
        for row in call.completions.iter().zip(&settled[number].accepted).filter_map(counts) {
            let tenant = tenants.get(&row.attempt.task).copied().unwrap_or_default();
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
