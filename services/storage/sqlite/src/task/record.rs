//! What is written down of tasks while they run: leases that last, and how far they are.

use rusqlite::{OptionalExtension, params};
use tidemill_kernel::{Id, Timestamp};
use tidemill_store::Result;
use tidemill_store::task::{Attempt, Fence, Progress, RecordedLease, TaskState};

use super::queues::Changes;
use super::row::places;
use super::shards::check;
use crate::error::failed;
use crate::writer::{Step, Write};

/// Leases written down and forgotten.
pub(super) struct RecordLeases {
    pub(super) fence: Fence,
    pub(super) leases: Vec<RecordedLease>,
    pub(super) given_back: Vec<Id>,
}

impl Write for RecordLeases {
    type Output = Vec<Id>;

    fn bytes(&self) -> usize {
        self.leases.len() * 100
    }

    fn run(calls: &[Self], step: &mut Step<'_>) -> Result<Vec<Vec<Id>>> {
        calls.iter().map(|call| call.run_one(step)).collect()
    }
}

impl RecordLeases {
    fn run_one(&self, step: &mut Step<'_>) -> Result<Vec<Id>> {
        check(&self.fence, step)?;
        let mut changes = Changes::default();
        let given_back = there(self.given_back.iter().copied(), step)?;
        for (_, queue) in forget(&given_back, step)? {
            changes.shift(queue, TaskState::Running, TaskState::Waiting);
        }
        let mut record = step.prepare(
            "INSERT INTO leases (place, number, started_at, token, worker) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET number = excluded.number, started_at = excluded.started_at,
                    token = excluded.token, worker = excluded.worker",
        )?;
        let mut find = step.prepare(FIND)?;
        let mut vain = Vec::new();
        for RecordedLease { attempt, token } in &self.leases {
            let Attempt { task, number, worker, started_at, .. } = attempt;
            let found = find.query_row([task.place()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
            let found: Option<(i64, i64, bool)> = found.optional().map_err(failed)?;
            let Some((_, queue, has_lease)) = found.filter(|(created_at, ..)| is(*task, *created_at)) else {
                vain.push(*task);
                continue;
            };
            let (place, started_at) = (task.place(), started_at.as_micros());
            record.execute(params![place, number, started_at, token.as_bytes(), worker]).map_err(failed)?;
            if !has_lease {
                changes.shift(queue, TaskState::Waiting, TaskState::Running);
            }
        }
        changes.save(step)?;
        Ok(vain)
    }
}

const FIND: &str = "
    SELECT q.created_at, q.queue, l.place IS NOT NULL FROM queue q LEFT JOIN leases l ON l.place = q.place
    WHERE q.place = ?1";

/// Whether a row with this moment, at the id's place, is the task of the id.
pub(super) fn is(id: Id, created_at: i64) -> bool {
    Id::placed(Timestamp::from_micros(created_at), id.place()) == id
}

/// The places of those of the tasks that are unfinished.
fn there(tasks: impl Iterator<Item = Id>, step: &Step<'_>) -> Result<Vec<i64>> {
    let mut find = step.prepare("SELECT created_at FROM queue WHERE place = ?1")?;
    let mut there = Vec::new();
    for task in tasks {
        let found = find.query_row([task.place()], |row| row.get(0)).optional().map_err(failed)?;
        there.extend(found.filter(|created_at| is(task, *created_at)).map(|_| task.place()));
    }
    Ok(there)
}

/// Forgets the recorded leases of tasks in the queue; place and queue of each that there was.
pub(super) fn forget(tasks: &[i64], step: &Step<'_>) -> Result<Vec<(i64, i64)>> {
    if tasks.is_empty() {
        return Ok(Vec::new());
    }
    let tasks = places(tasks.iter().copied());
    let mut find = step.prepare(
        "SELECT l.place, q.queue FROM rarray(?1) e CROSS JOIN leases l ON l.place = e.value
         CROSS JOIN queue q ON q.place = l.place",
    )?;
    let found = find.query_map([&tasks], |row| Ok((row.get(0)?, row.get(1)?))).map_err(failed)?;
    let found = found.collect::<rusqlite::Result<Vec<(i64, i64)>>>().map_err(failed)?;
    let mut forget = step.prepare("DELETE FROM leases WHERE place IN (SELECT value FROM rarray(?1))")?;
    forget.execute([places(found.iter().map(|(place, _)| *place))]).map_err(failed)?;
    Ok(found)
}

/// How far tasks are.
pub(super) struct SaveProgress {
    fence: Fence,
    progress: Vec<Progress>,
}

impl SaveProgress {
    pub(super) fn new(fence: Fence, progress: Vec<Progress>) -> Self {
        Self { fence, progress: progress.into_iter().map(Progress::cleaned).collect() }
    }
}

impl Write for SaveProgress {
    type Output = ();

    fn bytes(&self) -> usize {
        let bytes = |row: &Progress| 100 + row.progress.len() + row.checkpoint.as_ref().map_or(0, Vec::len);
        self.progress.iter().map(bytes).sum()
    }

    fn run(calls: &[Self], step: &mut Step<'_>) -> Result<Vec<()>> {
        for Self { fence, progress } in calls {
            check(fence, step)?;
            let mut save = step.prepare(
                "UPDATE queue SET progress = ?3, checkpoint = coalesce(?4, checkpoint)
                 WHERE place = ?1 AND created_at = ?2",
            )?;
            for Progress { task, progress, checkpoint } in progress {
                let (place, moment) = (task.place(), task.moment().as_micros());
                save.execute(params![place, moment, progress, checkpoint]).map_err(failed)?;
            }
        }
        Ok(vec![(); calls.len()])
    }
}
