//! Leases that last, written down; how far their tasks are.

use std::collections::HashMap;

use async_trait::async_trait;
use sqlx::{FromRow, query, query_as};
use tidemill_kernel::Id;
use tidemill_store::task::{Fence, Progress, RecordedLease, TaskState};
use uuid::Uuid;

use super::fence::{Fences, fenced};
use super::row::{bytes, cleaned, columns, placed, text, uuid};
use crate::writer::{Outcome, Step, Write};

/// Writes leases down and forgets others.
pub(super) struct RecordLeases {
    fence: Fence,
    leases: Vec<RecordedLease>,
    given_back: Vec<Id>,
}

/// An unfinished task, locked so that it stays one.
#[derive(FromRow)]
struct Unfinished {
    place: i64,
    created_at: i64,
    tenant_id: i64,
    priority: i32,
    kind: String,
}

impl RecordLeases {
    pub(super) fn new(fence: Fence, leases: Vec<RecordedLease>, given_back: Vec<Id>) -> Self {
        let clean = |lease: RecordedLease| RecordedLease { attempt: cleaned(lease.attempt), ..lease };
        Self { fence, leases: leases.into_iter().map(clean).collect(), given_back }
    }

    /// The tasks that it names and that are not finished.
    async fn lock(&self, step: &mut Step<'_>) -> Outcome<HashMap<Id, Unfinished>> {
        let ids =
            || self.leases.iter().map(|lease| lease.attempt.task).chain(self.given_back.iter().copied());
        let lock = query_as::<_, Unfinished>(
            "SELECT place, created_at, tenant_id, priority, kind FROM queue WHERE place = ANY($1)
             ORDER BY place + 0 FOR KEY SHARE",
        );
        let found = step.rows(lock.bind(columns(ids()).0)).await?;
        let mut found: HashMap<(i64, i64), Unfinished> =
            found.into_iter().map(|row| ((row.place, row.created_at), row)).collect();
        Ok(ids().filter_map(|id| Some((id, found.remove(&placed(id))?))).collect())
    }

    async fn forget(&self, tasks: &HashMap<Id, Unfinished>, step: &mut Step<'_>) -> Outcome<()> {
        let places: Vec<i64> =
            self.given_back.iter().filter(|id| tasks.contains_key(id)).map(Id::place).collect();
        if places.is_empty() {
            return Ok(());
        }
        let forget = query_as("DELETE FROM leases WHERE place = ANY($1) RETURNING place");
        let gone: Vec<(i64,)> = step.rows(forget.bind(places)).await?;
        shift(gone, tasks, TaskState::Running, TaskState::Waiting, step);
        Ok(())
    }

    async fn write(&self, tasks: &HashMap<Id, Unfinished>, step: &mut Step<'_>) -> Outcome<()> {
        let leases: Vec<&RecordedLease> =
            self.leases.iter().filter(|lease| tasks.contains_key(&lease.attempt.task)).collect();
        if leases.is_empty() {
            return Ok(());
        }
        let write = query_as(
            "INSERT INTO leases AS l (place, token, number, started_at, worker)
             SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::bigint[], $5::text[])
             ON CONFLICT (place) DO UPDATE SET token = excluded.token, number = excluded.number,
                 started_at = excluded.started_at, worker = excluded.worker
                 WHERE (l.token, l.number, l.started_at, l.worker)
                     <> (excluded.token, excluded.number, excluded.started_at, excluded.worker)
             RETURNING place, xmax = 0",
        );
        let write = write.bind(leases.iter().map(|lease| lease.attempt.task.place()).collect::<Vec<_>>());
        let write = write.bind(leases.iter().map(|lease| uuid(lease.token)).collect::<Vec<Uuid>>());
        let write =
            write.bind(leases.iter().map(|lease| i64::from(lease.attempt.number)).collect::<Vec<_>>());
        let started = leases.iter().map(|lease| lease.attempt.started_at.as_micros());
        let write = write.bind(started.collect::<Vec<_>>());
        let write = write.bind(leases.iter().map(|lease| lease.attempt.worker.as_str()).collect::<Vec<_>>());
        let written: Vec<(i64, bool)> = step.rows(write).await?;
        let new = written.into_iter().filter(|(_, is_new)| *is_new).map(|(place, _)| (place,)).collect();
        shift(new, tasks, TaskState::Waiting, TaskState::Running, step);
        Ok(())
    }
}

fn shift(
    places: Vec<(i64,)>,
    tasks: &HashMap<Id, Unfinished>,
    from: TaskState,
    to: TaskState,
    step: &mut Step<'_>,
) {
    let tasks: HashMap<i64, &Unfinished> = tasks.values().map(|task| (task.place, task)).collect();
    for task in places.iter().filter_map(|(place,)| tasks.get(place)) {
        step.changes.shift(task.tenant_id, task.priority, &task.kind, from, to);
    }
}

#[async_trait]
impl Write for RecordLeases {
    type Output = Vec<Id>;

    async fn run(calls: &[Self], step: &mut Step<'_>) -> Outcome<Vec<Vec<Id>>> {
        let mut vain = Vec::with_capacity(calls.len());
        for call in calls {
            Fences::of([&call.fence].into_iter()).check(step).await?;
            let tasks = call.lock(step).await?;
            call.forget(&tasks, step).await?;
            call.write(&tasks, step).await?;
            let leases = call.leases.iter().map(|lease| lease.attempt.task);
            vain.push(leases.filter(|id| !tasks.contains_key(id)).collect());
        }
        Ok(vain)
    }
}

/// Notes how far tasks are.
pub(super) struct SaveProgress {
    fence: Fence,
    /// Each sorted by place, no place twice in one: the statement looks rows up by the ranks of their places. Ids of one
    /// place differ in their moments; one of them at most is there.
    rounds: Vec<Vec<Progress>>,
}

impl SaveProgress {
    pub(super) fn new(fence: Fence, progress: Vec<Progress>) -> Self {
        let mut progress: Vec<Progress> = progress.into_iter().map(Progress::cleaned).collect();
        progress.sort_by_key(|row| row.task.place());
        // One at least: what changes nothing asks whether the fence holds.
        let mut rounds = vec![Vec::with_capacity(progress.len())];
        for row in progress {
            let is_free = |round: &&mut Vec<Progress>| {
                round.last().is_none_or(|last| last.task.place() != row.task.place())
            };
            match rounds.iter_mut().find(is_free) {
                Some(round) => round.push(row),
                None => rounds.push(vec![row]),
            }
        }
        Self { fence, rounds }
    }
}

const SAVE: &str = concat!(
    fenced!(),
    ", saved AS (
         UPDATE queue q
         SET progress = ($5::text[])[width_bucket(q.place, $3)],
             checkpoint = CASE WHEN ($6::boolean[])[width_bucket(q.place, $3)] THEN ($7::bytea[])[width_bucket(q.place, $3)]
                               ELSE q.checkpoint END
         WHERE q.place = ANY ($3::bigint[]) AND q.created_at = ($4::bigint[])[width_bucket(q.place, $3)]
           AND (SELECT holds FROM fence)
     )
     SELECT holds FROM fence"
);

#[async_trait]
impl Write for SaveProgress {
    type Output = ();

    async fn run(calls: &[Self], step: &mut Step<'_>) -> Outcome<Vec<()>> {
        for Self { fence, rounds } in calls {
            let fences = Fences::of([fence].into_iter());
            for progress in rounds {
                let (places, moments) = columns(progress.iter().map(|row| row.task));
                let save = query(SAVE).bind(&fences.shards).bind(&fences.epochs).bind(places).bind(moments);
                let save = save.bind(progress.iter().map(|row| text(&row.progress)).collect::<Vec<_>>());
                let has_checkpoint = progress.iter().map(|row| row.checkpoint.is_some());
                let save = save.bind(has_checkpoint.collect::<Vec<_>>());
                let checkpoints =
                    progress.iter().map(|row| bytes(row.checkpoint.as_deref().unwrap_or_default()));
                if !step.value::<bool>(save.bind(checkpoints.collect::<Vec<_>>())).await? {
                    return Err(fences.broken(step).await?.into());
                }
            }
        }
        Ok(vec![(); calls.len()])
    }

    async fn run_at_once(calls: &[Self], step: &mut Step<'_>) -> Option<Outcome<Vec<()>>> {
        match calls {
            [call] if call.rounds.len() == 1 => Some(Self::run(calls, step).await),
            _ => None,
        }
    }
}
