//! Tasks cancelled, put back and moved to another priority by hand, and those of a query that is removed.

use std::collections::HashMap;

use rusqlite::Row;
use tidemill_kernel::{Id, Priority, TenantName, Timestamp};
use tidemill_store::task::{Attempt, Task, TaskState};
use tidemill_store::{Error, Result};

use super::history::{self, Ending};
use super::queues::Changes;
use super::read;
use super::record;
use super::row::places;
use crate::error::failed;
use crate::statement::query;
use crate::writer::{Step, Write};

/// Cancels one task.
pub(super) struct CancelTask {
    pub(super) tenant: TenantName,
    pub(super) id: Id,
    pub(super) now: Timestamp,
}

impl Write for CancelTask {
    type Output = Task;

    fn run(calls: &[Self], step: &mut Step<'_>) -> Result<Vec<Task>> {
        calls.iter().map(|call| call.run_one(step)).collect()
    }
}

impl CancelTask {
    fn run_one(&self, step: &mut Step<'_>) -> Result<Task> {
        let (queue, mut task) = find(&self.tenant, self.id, step)?;
        match task.state {
            TaskState::Cancelled => {}
            TaskState::Succeeded | TaskState::Dead => return Err(Error::cannot_cancel(self.id, task.state)),
            TaskState::Waiting | TaskState::Running => {
                let at = At { place: self.id.place(), queue, group: text(&task.new.group) };
                cancel(&[at], self.now, step)?;
                (task.state, task.finished_at) = (TaskState::Cancelled, Some(self.now));
            }
        }
        Ok(task)
    }
}

/// Puts one task back.
pub(super) struct ReviveTask {
    pub(super) tenant: TenantName,
    pub(super) id: Id,
    pub(super) now: Timestamp,
}

impl Write for ReviveTask {
    type Output = Task;

    fn run(calls: &[Self], step: &mut Step<'_>) -> Result<Vec<Task>> {
        calls.iter().map(|call| call.run_one(step)).collect()
    }
}

impl ReviveTask {
    fn run_one(&self, step: &mut Step<'_>) -> Result<Task> {
        let (queue, mut task) = find(&self.tenant, self.id, step)?;
        if !matches!(task.state, TaskState::Dead | TaskState::Cancelled) {
            return Err(Error::cannot_revive(self.id, task.state));
        }
        history::put_back(self.id.place(), self.now, step)?;
        let mut changes = Changes::default();
        changes.shift(queue, task.state, TaskState::Waiting);
        let (group, shift) = (text(&task.new.group), (task.state, TaskState::Waiting));
        changes.groups.shift(queue, group.as_deref(), shift, self.now);
        changes.save(step)?;
        task.new.run_at = self.now;
        (task.state, task.attempt, task.started_at, task.finished_at) = (TaskState::Waiting, 0, None, None);
        task.worker.clear();
        task.result.clear();
        Ok(task)
    }
}

/// Moves one task to another priority.
pub(super) struct PrioritiseTask {
    pub(super) tenant: TenantName,
    pub(super) id: Id,
    pub(super) priority: Priority,
}

impl Write for PrioritiseTask {
    type Output = Task;

    fn run(calls: &[Self], step: &mut Step<'_>) -> Result<Vec<Task>> {
        calls.iter().map(|call| call.run_one(step)).collect()
    }
}

impl PrioritiseTask {
    fn run_one(&self, step: &mut Step<'_>) -> Result<Task> {
        let (queue, mut task) = find(&self.tenant, self.id, step)?;
        if !matches!(task.state, TaskState::Waiting | TaskState::Running) {
            return Err(Error::cannot_prioritise(self.id, task.state));
        }
        let tenant = step.tenant(&self.tenant)?;
        let (_, other) = step.queue(tenant, self.priority, &task.new.kind)?;
        let move_task = query("UPDATE queue SET queue = ?2 WHERE place = ?1");
        step.execute(move_task.bind(self.id.place()).bind(other))?;
        let mut changes = Changes::default();
        changes.add(queue, task.state, -1);
        changes.add(other, task.state, 1);
        changes.save(step)?;
        task.new.priority = self.priority;
        Ok(task)
    }
}

/// Cancels the unfinished tasks of a query's matches.
pub(crate) fn cancel_of_query(query_number: i64, now: Timestamp, step: &mut Step<'_>) -> Result<()> {
    let mut find = step.prepare(
        "SELECT q.place, q.queue, q.group_name FROM matches m CROSS JOIN queue q ON q.place = m.task
         WHERE m.query = ?1 ORDER BY q.place",
    )?;
    let at = |row: &Row<'_>| Ok(At { place: row.get(0)?, queue: row.get(1)?, group: row.get(2)? });
    let found = find.query_map([query_number], at);
    let found = found.and_then(Iterator::collect::<rusqlite::Result<Vec<_>>>).map_err(failed)?;
    cancel(&found, now, step)
}

/// A task that is in the queue.
pub(super) struct At {
    pub(super) place: i64,
    pub(super) queue: i64,
    pub(super) group: Option<String>,
}

/// What is empty is none.
fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Cancels tasks that are in the queue, given by rising places.
pub(super) fn cancel(tasks: &[At], now: Timestamp, step: &Step<'_>) -> Result<()> {
    let attempts = attempts(tasks, step)?;
    let gone: Vec<i64> = tasks.iter().map(|at| at.place).collect();
    record::forget(&gone, step)?;
    let mut changes = Changes::default();
    let mut endings = Vec::with_capacity(tasks.len());
    for At { place, queue, group } in tasks {
        let attempt = attempts.get(place);
        let from = if attempt.is_some() { TaskState::Running } else { TaskState::Waiting };
        let state = TaskState::Cancelled;
        changes.shift(*queue, from, state);
        changes.groups.shift(*queue, group.as_deref(), (from, state), now);
        endings.push(Ending { place: *place, state, at: now, attempt, error: None, result: "" });
    }
    history::keep(&endings, step)?;
    history::remove(&gone, step)?;
    changes.save(step)
}

/// The recorded attempts of tasks, by place.
fn attempts(tasks: &[At], step: &Step<'_>) -> Result<HashMap<i64, Attempt>> {
    let mut read = step.prepare(
        "SELECT l.place, l.number, l.started_at, l.worker, l.token
         FROM rarray(?1) e CROSS JOIN leases l ON l.place = e.value",
    )?;
    let attempts = read.query_map([places(tasks.iter().map(|at| at.place))], |row| {
        let started_at = Timestamp::from_micros(row.get(2)?);
        // The task is known by its place here.
        let task = Id::from_bytes(row.get(4)?);
        Ok((
            row.get(0)?,
            Attempt { task, number: row.get(1)?, worker: row.get(3)?, started_at, recorded: true },
        ))
    });
    attempts.and_then(Iterator::collect).map_err(failed)
}

/// The number of the task's queue, and the task.
fn find(tenant: &TenantName, id: Id, step: &Step<'_>) -> Result<(i64, Task)> {
    let found = read::find(step.connection, tenant, id)?;
    found.ok_or_else(|| Error::NotFound { what: "task", name: id.to_string() })
}
