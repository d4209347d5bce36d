//! Finished tasks: moved out of the queue, put back, swept.

use std::time::Duration;

use rusqlite::types::ToSqlOutput;
use rusqlite::{CachedStatement, Row, params};
use tidemill_kernel::Timestamp;
use tidemill_store::Result;
use tidemill_store::task::{Attempt, TaskState};

use super::row::places;
use crate::error::failed;
use crate::statement::query;
use crate::writer::{Step, Write};

/// How a task ends.
#[derive(Clone, Copy)]
pub(super) struct Ending<'a> {
    pub(super) place: i64,
    pub(super) state: TaskState,
    pub(super) at: Timestamp,
    /// The last attempt; none: what is written of it stays.
    pub(super) attempt: Option<&'a Attempt>,
    /// What went wrong; none: what went wrong last stays.
    pub(super) error: Option<&'a str>,
    pub(super) result: &'a str,
}

/// The columns that both tables have, in their order.
macro_rules! columns {
    () => {
        "place, queue, created_at, run_at, key_until, max_attempts, attempt, keep, started_at, key, trace_parent,
         worker, error, progress, checkpoint, options, payload"
    };
}

/// How many those are.
const COLUMNS: usize = 17;

/// Copies tasks, which are in the queue, to the history, by rising places.
pub(super) fn keep(endings: &[Ending<'_>], step: &Step<'_>) -> Result<()> {
    if endings.is_empty() {
        return Ok(());
    }
    let mut read = step.prepare(concat!(
        "SELECT ",
        columns!(),
        " FROM rarray(?1) e CROSS JOIN queue q ON q.place = e.value"
    ))?;
    let mut insert = step.prepare(concat!(
        "INSERT INTO history (",
        columns!(),
        ", state, finished_at, until, result)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)"
    ))?;
    let mut rows = read.query([places(endings.iter().map(|ending| ending.place))]).map_err(failed)?;
    for ending in endings {
        // Each is there: whoever ends a task has seen it.
        let Some(row) = rows.next().map_err(failed)? else { break };
        bind(&mut insert, row, ending).and_then(|()| insert.raw_execute()).map_err(failed)?;
    }
    Ok(())
}

fn bind(insert: &mut CachedStatement<'_>, row: &Row<'_>, ending: &Ending<'_>) -> rusqlite::Result<()> {
    for column in 0..COLUMNS {
        insert.raw_bind_parameter(column + 1, ToSqlOutput::Borrowed(row.get_ref(column)?))?;
    }
    if let Some(Attempt { number, started_at, worker, .. }) = ending.attempt {
        insert.raw_bind_parameter(7, number)?;
        insert.raw_bind_parameter(9, started_at.as_micros())?;
        insert.raw_bind_parameter(12, worker)?;
    }
    if let Some(error) = ending.error {
        insert.raw_bind_parameter(13, error)?;
    }
    let keep: Option<i64> = row.get(7)?;
    let keep = keep.filter(|_| ending.state == TaskState::Succeeded);
    let at = ending.at.as_micros();
    insert.raw_bind_parameter(18, ending.state.number())?;
    insert.raw_bind_parameter(19, at)?;
    insert.raw_bind_parameter(20, keep.map(|keep| at.saturating_add(keep)))?;
    insert.raw_bind_parameter(21, ending.result)
}

/// Takes tasks out of the queue.
pub(super) fn remove(tasks: impl Iterator<Item = i64>, step: &Step<'_>) -> Result<()> {
    let mut remove = step.prepare("DELETE FROM queue WHERE place IN (SELECT value FROM rarray(?1))")?;
    remove.execute([places(tasks)]).map_err(failed)?;
    Ok(())
}

/// Puts a finished task back, to be run at this moment, as if never started.
pub(super) fn put_back(place: i64, now: Timestamp, step: &Step<'_>) -> Result<()> {
    let mut insert = step.prepare(concat!(
        "INSERT INTO queue (",
        columns!(),
        ") SELECT place, queue, created_at, ?2, key_until, max_attempts, 0, keep, NULL, key, trace_parent, '', error,
                  progress, checkpoint, options, payload FROM history WHERE place = ?1"
    ))?;
    insert.execute(params![place, now.as_micros()]).map_err(failed)?;
    step.execute(query("DELETE FROM history WHERE place = ?1").bind(place))?;
    Ok(())
}

/// Removes what has been kept long enough.
pub(super) struct Sweep {
    pub(super) keep: Duration,
    pub(super) limit: u32,
    pub(super) now: Timestamp,
}

impl Write for Sweep {
    type Output = u64;

    fn run(calls: &[Self], step: &mut Step<'_>) -> Result<Vec<u64>> {
        calls.iter().map(|call| call.run_one(step)).collect()
    }
}

impl Sweep {
    fn run_one(&self, step: &Step<'_>) -> Result<u64> {
        let now = self.now.as_micros();
        let finished = now.saturating_sub(i64::try_from(self.keep.as_micros()).unwrap_or(i64::MAX));
        let mut removed = 0;
        for (sql, before) in [(BY_UNTIL, now), (BY_END, finished), (KEYS, now)] {
            let left = u64::from(self.limit).saturating_sub(removed);
            removed += step.execute(query(sql).bind(before).bind(left.cast_signed()))?;
        }
        Ok(removed)
    }
}

const BY_UNTIL: &str = "
    DELETE FROM history WHERE place IN
        (SELECT place FROM history WHERE until IS NOT NULL AND until <= ?1 ORDER BY until LIMIT ?2)";

const BY_END: &str = "
    DELETE FROM history WHERE place IN
        (SELECT place FROM history WHERE until IS NULL AND finished_at <= ?1 ORDER BY finished_at LIMIT ?2)";

const KEYS: &str = "
    DELETE FROM task_keys WHERE (tenant_id, key) IN
        (SELECT tenant_id, key FROM task_keys WHERE until <= ?1 ORDER BY until LIMIT ?2)";
