//! Finished tasks: moved out of the queue, put back, swept.

use std::time::Duration;

use rusqlite::types::{ToSqlOutput, Value};
use rusqlite::{CachedStatement, Row, params};
use tidemill_kernel::Timestamp;
use tidemill_store::task::{Attempt, TaskState};
use tidemill_store::{Error, Result};

use super::groups;
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
         worker, error, progress, checkpoint, options, payload, group_name"
    };
}

/// How many those are.
const COLUMNS: usize = 18;
/// How many parameters a row of the history has.
const PARAMETERS: usize = 22;
/// How many rows one statement inserts.
const MANY: usize = 8;

macro_rules! into_history {
    ($($rows:expr),+) => {
        concat!("INSERT OR FAIL INTO history (", columns!(), ", state, finished_at, until, result) VALUES ", $($rows),+)
    };
}

macro_rules! row {
    () => {
        "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    };
}

macro_rules! four {
    () => {
        concat!(row!(), ", ", row!(), ", ", row!(), ", ", row!())
    };
}

const INSERT: &str = into_history!(row!());
const INSERT_MANY: &str = into_history!(four!(), ", ", four!());

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
    let mut rows = read.query([places(endings.iter().map(|ending| ending.place))]).map_err(failed)?;
    let (many, rest) = endings.split_at(endings.len() - endings.len() % MANY);
    for (sql, endings, each) in [(INSERT_MANY, many, MANY), (INSERT, rest, 1)] {
        let mut insert = step.prepare(sql)?;
        for endings in endings.chunks(each) {
            for (number, ending) in endings.iter().enumerate() {
                let row = rows.next().map_err(failed)?;
                let row = row.ok_or_else(|| Error::Internal("a task that ends is gone".to_owned()))?;
                bind(&mut insert, number * PARAMETERS, row, ending).map_err(failed)?;
            }
            insert.raw_execute().map_err(failed)?;
        }
    }
    Ok(())
}

fn bind(
    insert: &mut CachedStatement<'_>,
    before: usize,
    row: &Row<'_>,
    ending: &Ending<'_>,
) -> rusqlite::Result<()> {
    let mut bind = |column: usize, value: ToSqlOutput<'_>| insert.raw_bind_parameter(before + column, value);
    let attempt = ending.attempt;
    for column in 0..COLUMNS {
        let there = row.get_ref(column)?;
        let value = match (column, attempt, ending.error) {
            (6, Some(attempt), _) => attempt.number.into(),
            (8, Some(attempt), _) => attempt.started_at.as_micros().into(),
            (11, Some(attempt), _) => attempt.worker.as_str().into(),
            (12, _, Some(error)) => error.into(),
            _ => ToSqlOutput::Borrowed(there),
        };
        bind(column + 1, value)?;
    }
    let keep: Option<i64> = row.get(7)?;
    let keep = keep.filter(|_| ending.state == TaskState::Succeeded);
    let at = ending.at.as_micros();
    bind(19, ending.state.number().into())?;
    bind(20, at.into())?;
    let until = keep.map_or(Value::Null, |keep| Value::Integer(at.saturating_add(keep)));
    bind(21, ToSqlOutput::Owned(until))?;
    bind(22, ending.result.into())
}

/// How many neighbours are worth a statement of their own.
const NEIGHBOURS: usize = 8;

/// Takes tasks, by rising places, out of the queue.
pub(super) fn remove(tasks: &[i64], step: &Step<'_>) -> Result<()> {
    let mut single = Vec::new();
    for run in tasks.chunk_by(|one, other| one + 1 == *other) {
        match run {
            [first, .., last] if run.len() >= NEIGHBOURS => {
                let mut range = step.prepare("DELETE FROM queue WHERE place BETWEEN ?1 AND ?2")?;
                range.execute([first, last]).map_err(failed)?;
            }
            few => single.extend(few),
        }
    }
    if !single.is_empty() {
        let mut remove = step.prepare("DELETE FROM queue WHERE place IN (SELECT value FROM rarray(?1))")?;
        remove.execute([places(single.into_iter())]).map_err(failed)?;
    }
    Ok(())
}

/// Puts a finished task back, to be run at this moment, as if never started.
pub(super) fn put_back(place: i64, now: Timestamp, step: &Step<'_>) -> Result<()> {
    let mut insert = step.prepare(concat!(
        "INSERT INTO queue (",
        columns!(),
        ") SELECT place, queue, created_at, ?2, key_until, max_attempts, 0, keep, NULL, key, trace_parent, '', error,
                  progress, checkpoint, options, payload, group_name FROM history WHERE place = ?1"
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
        // Groups last: no task is there any more that could still be put back into one of them.
        for (sql, before) in [(BY_UNTIL, now), (BY_END, finished), (KEYS, now), (groups::SWEEP, finished)] {
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
        (SELECT tenant_id, key FROM task_keys k
         WHERE until <= ?1 AND NOT EXISTS (SELECT 1 FROM queue WHERE place = k.place)
         ORDER BY until LIMIT ?2)";
