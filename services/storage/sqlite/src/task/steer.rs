//! Tasks cancelled and put back by hand, and those of a query that is removed.

use tidemill_kernel::{Id, TenantName, Timestamp};
use tidemill_store::task::{Task, TaskState, Waiting};
use tidemill_store::{Error, Result};

use super::counts::Changes;
use super::row::{TaskRow, task_json};
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
        let mut cancelled = Vec::with_capacity(calls.len());
        for call in calls {
            let (tenant, sequence, mut task) = find(&call.tenant, call.id, step)?;
            match task.state {
                TaskState::Cancelled => {}
                TaskState::Succeeded | TaskState::Dead => {
                    return Err(Error::cannot_cancel(call.id, task.state));
                }
                TaskState::Waiting | TaskState::Running => {
                    let update = query(
                        "UPDATE task_states SET state = 5, finished_at = ?2, token = NULL, expires_at = NULL WHERE id = ?1",
                    );
                    step.execute(update.bind(sequence).bind(call.now.as_micros()))?;
                    shift(tenant, &task, TaskState::Cancelled, step)?;
                    (task.state, task.finished_at) = (TaskState::Cancelled, Some(call.now));
                }
            }
            cancelled.push(task);
        }
        Ok(cancelled)
    }
}

/// Puts one task back.
pub(super) struct ReviveTask {
    pub(super) tenant: TenantName,
    pub(super) id: Id,
    pub(super) now: Timestamp,
}

impl Write for ReviveTask {
    type Output = (Task, Waiting);

    fn run(calls: &[Self], step: &mut Step<'_>) -> Result<Vec<(Task, Waiting)>> {
        let mut revived = Vec::with_capacity(calls.len());
        for call in calls {
            let (tenant, sequence, mut task) = find(&call.tenant, call.id, step)?;
            if !matches!(task.state, TaskState::Dead | TaskState::Cancelled) {
                return Err(Error::cannot_revive(call.id, task.state));
            }
            let update = query(
                "UPDATE task_states SET state = 1, attempt = 0, run_at = ?2, started_at = NULL, finished_at = NULL,
                        worker = ''
                 WHERE id = ?1",
            );
            step.execute(update.bind(sequence).bind(call.now.as_micros()))?;
            shift(tenant, &task, TaskState::Waiting, step)?;
            task.new.run_at = call.now;
            (task.state, task.attempt, task.started_at, task.finished_at) =
                (TaskState::Waiting, 0, None, None);
            task.worker.clear();
            let waiting = task.waiting(sequence);
            revived.push((task, waiting));
        }
        Ok(revived)
    }
}

/// Cancels the unfinished tasks of a query's matches.
pub(crate) fn cancel_of_query(query_number: i64, now: Timestamp, step: &mut Step<'_>) -> Result<()> {
    let counted = query(
        "SELECT json_array(s.tenant_id, s.priority, s.kind, s.state, count(*))
         FROM matches m CROSS JOIN task_states s ON s.id = m.task WHERE m.query = ?1 AND s.state IN (1, 2)
         GROUP BY s.tenant_id, s.priority, s.kind, s.state",
    );
    let counted: Vec<(i64, i32, String, i32, i64)> = step.rows(counted.bind(query_number))?;
    let mut changes = Changes::default();
    for (tenant, priority, kind, state, count) in counted {
        changes.add(tenant, priority, &kind, super::row::state(state)?, -count);
        changes.add(tenant, priority, &kind, TaskState::Cancelled, count);
    }
    let update = query(
        "UPDATE task_states SET state = 5, finished_at = ?2, token = NULL, expires_at = NULL
         WHERE id IN (SELECT task FROM matches WHERE query = ?1 AND task IS NOT NULL) AND state IN (1, 2)",
    );
    step.execute(update.bind(query_number).bind(now.as_micros()))?;
    changes.save(step)
}

/// The tenant's number, the place in the log, and the task.
fn find(tenant: &TenantName, id: Id, step: &mut Step<'_>) -> Result<(i64, i64, Task)> {
    let found = query(concat!(
        "SELECT ",
        task_json!(),
        " FROM tasks t JOIN task_states s ON s.id = t.id JOIN tenants n ON n.id = t.tenant_id
          WHERE t.task_id = ?1 AND n.name = ?2"
    ));
    let found: Option<TaskRow> = step.row(found.bind(id.as_bytes().to_vec()).bind(tenant.as_str()))?;
    let row = found.ok_or_else(|| Error::NotFound { what: "task", name: id.to_string() })?;
    Ok((row.tenant, row.sequence, row.decode(tenant.clone())?))
}

fn shift(tenant: i64, task: &Task, to: TaskState, step: &mut Step<'_>) -> Result<()> {
    let mut changes = Changes::default();
    changes.shift(tenant, task.new.priority.number(), &task.new.kind, task.state, to);
    changes.save(step)
}
