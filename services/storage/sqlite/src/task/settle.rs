//! Attempts ended: completions with their analyses and follow-up tasks, and failures.

use std::collections::HashSet;
use std::slice;

use rusqlite::params;
use tidemill_kernel::{Id, Timestamp};
use tidemill_store::Result;
use tidemill_store::content::Analysis;
use tidemill_store::task::{Attempt, Completion, Failure, Fence, NewTask, Settled, Task, TaskState};

use super::append::{self, NewRow};
use super::history::{self, Ending};
use super::queues::Changes;
use super::record;
use super::row::places;
use super::shards::check;
use crate::content::{NewAnalysis, add_analyses};
use crate::error::failed;
use crate::writer::{Step, Write};

/// One caller's ended attempts.
pub(super) struct SettleTasks {
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
        let completions = completions.into_iter().map(Completion::cleaned).collect();
        let failures = failures.into_iter().map(Failure::cleaned).collect();
        Self { fence, completions, failures, now }
    }

    fn count(&self) -> usize {
        self.completions.len() + self.failures.len()
    }

    fn ends(&self) -> impl Iterator<Item = End<'_>> {
        self.completions.iter().map(End::Completion).chain(self.failures.iter().map(End::Failure))
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

    /// Together, unless two of the calls name the same task: the second may speak of the next attempt.
    fn run(calls: &[Self], step: &mut Step<'_>) -> Result<Vec<Settled>> {
        let named = names(calls);
        if named.windows(2).any(|pair| pair[0].id == pair[1].id && pair[0].call != pair[1].call) {
            let alone = |call: &Self| settle(slice::from_ref(call), names(slice::from_ref(call)), step);
            return Ok(calls.iter().map(alone).collect::<Result<Vec<_>>>()?.concat());
        }
        settle(calls, named, step)
    }
}

/// How an attempt ended.
#[derive(Clone, Copy)]
enum End<'a> {
    Completion(&'a Completion),
    Failure(&'a Failure),
}

impl<'a> End<'a> {
    fn attempt(self) -> &'a Attempt {
        match self {
            Self::Completion(row) => &row.attempt,
            Self::Failure(row) => &row.attempt,
        }
    }
}

/// An attempt that a call ends.
struct Named<'a> {
    place: i64,
    id: Id,
    call: usize,
    index: usize,
    end: End<'a>,
}

/// What the calls name, in the order of the table, then of the calls.
fn names(calls: &[SettleTasks]) -> Vec<Named<'_>> {
    let mut named = Vec::with_capacity(calls.iter().map(SettleTasks::count).sum());
    for (call, calls) in calls.iter().enumerate() {
        named.extend(calls.ends().enumerate().map(|(index, end)| {
            let id = end.attempt().task;
            Named { place: id.place(), id, call, index, end }
        }));
    }
    named.sort_unstable_by_key(|named| (named.place, named.id, named.call, named.index));
    named
}

/// Calls that name different tasks. What one of them names twice counts the first time.
fn settle(calls: &[SettleTasks], mut named: Vec<Named<'_>>, step: &mut Step<'_>) -> Result<Vec<Settled>> {
    for call in calls {
        check(&call.fence, step)?;
    }
    named.dedup_by_key(|named| named.id);
    let nothing =
        |call: &SettleTasks| Settled { accepted: vec![false; call.count()], follow_ups: Vec::new() };
    let mut settled: Vec<Settled> = calls.iter().map(nothing).collect();
    let mut ended = Ended::default();
    for Found { named, queue, keep, group, is_recorded } in find(&named, step)? {
        let Named { place, call, index, end, .. } = *named;
        settled[call].accepted[index] = true;
        let from = if is_recorded { TaskState::Running } else { TaskState::Waiting };
        ended.add(&Row { place, queue, keep, group, from, call, index, now: calls[call].now }, end);
    }
    ended.save(&mut settled, step)?;
    Ok(settled)
}

/// A task that is in the queue.
struct Found<'a, 'b> {
    named: &'a Named<'b>,
    queue: i64,
    keep: Option<i64>,
    group: Option<String>,
    /// Whether it had a recorded lease, which is forgotten.
    is_recorded: bool,
}

fn find<'a, 'b>(named: &'a [Named<'b>], step: &Step<'_>) -> Result<Vec<Found<'a, 'b>>> {
    let mut read = step.prepare(
        "SELECT q.place, q.created_at, q.queue, q.keep, q.group_name
         FROM rarray(?1) e CROSS JOIN queue q ON q.place = e.value",
    )?;
    let mut rows = read.query([places(named.iter().map(|named| named.place))]).map_err(failed)?;
    let mut found: Vec<Found<'_, '_>> = Vec::with_capacity(named.len());
    let mut rest = named.iter();
    while let Some(row) = rows.next().map_err(failed)? {
        let (place, moment): (i64, i64) = (row.get(0).map_err(failed)?, row.get(1).map_err(failed)?);
        // One row for each that names a place that is there, in their order.
        let Some(named) = rest.find(|named| named.place == place) else { break };
        if record::is(named.id, moment) {
            let (queue, keep) = (row.get(2).map_err(failed)?, row.get(3).map_err(failed)?);
            let group = row.get(4).map_err(failed)?;
            found.push(Found { named, queue, keep, group, is_recorded: false });
        }
    }
    let recorded = found.iter().filter(|found| found.named.end.attempt().recorded);
    let recorded: Vec<i64> = recorded.map(|found| found.named.place).collect();
    if !recorded.is_empty() {
        let recorded = record::forget(&recorded, step)?;
        let recorded: HashSet<i64> = recorded.into_iter().map(|(place, _)| place).collect();
        found.iter_mut().for_each(|found| found.is_recorded = recorded.contains(&found.named.place));
    }
    Ok(found)
}

/// A task whose attempt has ended.
struct Row {
    place: i64,
    queue: i64,
    keep: Option<i64>,
    group: Option<String>,
    from: TaskState,
    call: usize,
    index: usize,
    now: Timestamp,
}

/// What a batch of ended attempts writes.
#[derive(Default)]
struct Ended<'a> {
    /// By rising places.
    kept: Vec<Ending<'a>>,
    /// By rising places.
    gone: Vec<i64>,
    again: Vec<(i64, &'a Failure, Timestamp)>,
    /// Completions with an analysis or follow-ups, each with the number of its call, its own number there, and the task's
    /// queue.
    followed: Vec<(usize, usize, i64, &'a Completion, Timestamp)>,
    changes: Changes,
}

impl<'a> Ended<'a> {
    fn add(&mut self, row: &Row, end: End<'a>) {
        let Row { place, queue, keep, ref group, from, call, index, now } = *row;
        let (state, error, result) = match end {
            End::Completion(done) => (TaskState::Succeeded, None, done.result.as_str()),
            End::Failure(failed) => match failed.retry_at {
                Some(retry_at) => {
                    self.changes.shift(queue, from, TaskState::Waiting);
                    return self.again.push((place, failed, retry_at));
                }
                None => (TaskState::Dead, Some(failed.error.as_str()), ""),
            },
        };
        self.changes.shift(queue, from, state);
        self.changes.groups.shift(queue, group.as_deref(), (from, state), now);
        self.gone.push(place);
        if state == TaskState::Dead || keep != Some(0) {
            self.kept.push(Ending { place, state, at: now, attempt: Some(end.attempt()), error, result });
        }
        if let End::Completion(done) = end
            && (done.analysis.is_some() || !done.follow_ups.is_empty())
        {
            self.followed.push((call, index, queue, done, now));
        }
    }

    fn save(mut self, settled: &mut [Settled], step: &mut Step<'_>) -> Result<()> {
        history::keep(&self.kept, step)?;
        history::remove(&self.gone, step)?;
        if !self.again.is_empty() {
            wait_again(&self.again, step)?;
        }
        self.changes.save(step)?;
        // In the order given: the places of follow-ups tell it.
        self.followed.sort_unstable_by_key(|(call, index, ..)| (*call, *index));
        follow(&self.followed, settled, step)
    }
}

fn wait_again(rows: &[(i64, &Failure, Timestamp)], step: &Step<'_>) -> Result<()> {
    let mut update = step.prepare(
        "UPDATE queue SET attempt = ?2, started_at = ?3, worker = ?4, error = ?5, run_at = ?6 WHERE place = ?1",
    )?;
    for (place, Failure { attempt, error, .. }, retry_at) in rows {
        let Attempt { number, started_at, worker, .. } = attempt;
        let (started_at, retry_at) = (started_at.as_micros(), retry_at.as_micros());
        update.execute(params![place, number, started_at, worker, error, retry_at]).map_err(failed)?;
    }
    Ok(())
}

/// Stores what completions made, in the order of the calls.
fn follow(
    completions: &[(usize, usize, i64, &Completion, Timestamp)],
    settled: &mut [Settled],
    step: &mut Step<'_>,
) -> Result<()> {
    let (mut analyses, mut tasks) = (Vec::new(), Vec::new());
    for (call, _, queue, done, now) in completions {
        let (tenant, now) = (step.tenant_of_queue(*queue)?, *now);
        if let Some((query, document, analysis)) = &done.analysis {
            let (query, document): (Id, Id) = (*query, *document);
            let analysis: &Analysis = analysis;
            analyses.push(NewAnalysis { tenant, query, document, analysis, now });
        }
        tasks.extend(done.follow_ups.iter().map(|task| (*call, NewRow { tenant, task, now })));
    }
    add_analyses(&analyses, step)?;
    let rows: Vec<NewRow<'_>> = tasks.iter().map(|(_, row)| *row).collect();
    let appended = append::insert(&rows, step)?;
    for ((call, row), made) in tasks.iter().zip(appended).filter(|(_, made)| !made.duplicate) {
        let new: &NewTask = row.task;
        let task = Task::stored(made.id, new.clone(), step.tenant_name(row.tenant)?);
        settled[*call].follow_ups.push(task);
    }
    settled.iter_mut().for_each(|settled| settled.follow_ups.sort_unstable_by_key(|task| task.id.place()));
    Ok(())
}
