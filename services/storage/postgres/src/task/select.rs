//! Many tasks steered by hand at once.
//!
//! First the next few tasks behind a place are looked at, without a lock; those that fit are locked by rising places and
//! changed as far as they are still there. Finished ones of all kinds are looked at, so that a rare kind costs no more
//! than a common one.

use async_trait::async_trait;
use sqlx::{FromRow, query_as};
use tidemill_kernel::{Id, Shard, TenantName, Timestamp};
use tidemill_store::Result;
use tidemill_store::task::{Selection, Steered, Steering, TaskState};

use super::cancel::cancel;
use super::row::{places_of_queue, state};
use crate::reader::{Rows, Source};
use crate::writer::{Outcome, Step, Write};

/// Cancels tasks or puts them back.
pub(super) struct SteerTasks {
    tenant: TenantName,
    selection: Selection,
    now: Timestamp,
}

impl SteerTasks {
    pub(super) fn new(tenant: &TenantName, selection: Selection, now: Timestamp) -> Self {
        Self { tenant: tenant.clone(), selection: selection.cleaned(), now }
    }
}

/// A task that was looked at.
#[derive(Debug, FromRow)]
struct Looked {
    place: i64,
    created_at: i64,
    tenant_id: i64,
    day: i32,
    fits: bool,
}

/// Unfinished tasks, of those in these states.
macro_rules! unfinished {
    ($states:literal) => {
        concat!(
            "SELECT q.place, q.created_at, q.tenant_id, 0 AS day,
                    position($5 IN coalesce(q.error, '')) > 0 AND starts_with(coalesce(q.error, ''), $8) AND q.created_at >= $6 AND q.created_at < $7
                    AND ($9 = '' OR coalesce(q.group_name, '') = $9) AS fits
             FROM (SELECT c.tenant_id, c.priority, c.kind FROM present_counts c
                   WHERE c.tenant_id = (SELECT id FROM tenants WHERE name = $1) AND c.what <= 2 AND ($2 = '' OR c.kind = $2)
                   GROUP BY c.tenant_id, c.priority, c.kind HAVING sum(c.count) > 0) k
             CROSS JOIN LATERAL (
                 SELECT * FROM queue w WHERE ",
            places_of_queue!("k.tenant_id, k.priority, k.kind", ">" "$3", "<=" "9223372036854775807"),
            " ",
            $states,
            " ORDER BY tenant_id, priority, kind, place LIMIT $4
             ) q ORDER BY q.place LIMIT $4"
        )
    };
}

/// Finished tasks in these states.
macro_rules! finished {
    ($states:literal) => {
        concat!(
            "SELECT h.place, h.created_at, h.tenant_id, h.day,
                    position($5 IN coalesce(h.error, '')) > 0 AND starts_with(coalesce(h.error, ''), $8) AND h.finished_at >= $6 AND h.finished_at < $7
                    AND ($2 = '' OR h.kind = $2) AND ($9 = '' OR coalesce(h.group_name, '') = $9) AS fits
             FROM (VALUES ",
            $states,
            ") s (state) CROSS JOIN LATERAL (
                 SELECT * FROM history w WHERE w.tenant_id = (SELECT id FROM tenants WHERE name = $1) AND w.state = s.state
                   AND w.place > $3 ORDER BY w.place LIMIT $4
             ) h ORDER BY h.place LIMIT $4"
        )
    };
}

const UNFINISHED: &str = unfinished!("");
const WAITING: &str = unfinished!("AND NOT EXISTS (SELECT FROM leases r WHERE r.place = w.place)");
const RUNNING: &str = "
    SELECT q.place, q.created_at, q.tenant_id, 0 AS day,
           position($5 IN coalesce(q.error, '')) > 0 AND starts_with(coalesce(q.error, ''), $8) AND q.created_at >= $6 AND q.created_at < $7
           AND ($9 = '' OR coalesce(q.group_name, '') = $9) AS fits
    FROM leases l CROSS JOIN LATERAL (SELECT * FROM queue WHERE place = l.place OFFSET 0) q
    WHERE q.tenant_id = (SELECT id FROM tenants WHERE name = $1) AND ($2 = '' OR q.kind = $2) AND l.place > $3
    ORDER BY l.place LIMIT $4";
const GIVEN_UP: &str = finished!("(4), (5)");
const DEAD: &str = finished!("(4)");
const CANCELLED: &str = finished!("(5)");

/// The next tasks behind the place, one more than may be looked at; none if the filter's state cannot be changed.
fn look<'a>(tenant: &'a TenantName, selection: &'a Selection) -> Option<Rows<'a, Looked>> {
    let states: Vec<TaskState> = selection.states().collect();
    let statement = match (selection.steering, states.as_slice()) {
        (_, []) => return None,
        (Steering::Cancel, [TaskState::Waiting]) => WAITING,
        (Steering::Cancel, [TaskState::Running]) => RUNNING,
        (Steering::Cancel, _) => UNFINISHED,
        (Steering::Revive, [TaskState::Dead]) => DEAD,
        (Steering::Revive, [TaskState::Cancelled]) => CANCELLED,
        (Steering::Revive, _) => GIVEN_UP,
    };
    let after = selection.after.max(*Shard::of_tenant(tenant).places().start());
    let (from, until) = selection.filter.span();
    let rows = query_as(statement).bind(tenant.as_str()).bind(selection.filter.kind.as_str()).bind(after);
    let rows = rows.bind(i64::from(selection.limit) + 1).bind(selection.filter.error.as_str());
    Some(rows.bind(from).bind(until).bind(selection.filter.prefix()).bind(selection.filter.group.as_str()))
}

/// Those that fit, and up to where was looked, if there may be more.
fn cut(mut looked: Vec<Looked>, selection: &Selection) -> (Vec<Looked>, Option<i64>) {
    let limit = selection.limit as usize;
    let is_more = looked.len() > limit;
    looked.truncate(limit);
    let through = looked.last().map(|last| last.place).filter(|_| is_more);
    looked.retain(|row| row.fits);
    (looked, through)
}

/// The tasks that would be changed.
pub(super) async fn dry(source: &Source, tenant: &TenantName, selection: Selection) -> Result<Steered> {
    let selection = selection.cleaned();
    if look(tenant, &selection).is_none() {
        return Ok(Steered::default());
    }
    let looked = source.rows(|| look(tenant, &selection).unwrap_or_else(|| query_as(DEAD))).await?;
    let (fit, through) = cut(looked, &selection);
    let tasks = fit.iter().map(|row| id((row.place, row.created_at))).collect();
    Ok(Steered { tasks, through })
}

#[async_trait]
impl Write for SteerTasks {
    type Output = Steered;

    async fn run(calls: &[Self], step: &mut Step<'_>) -> Outcome<Vec<Steered>> {
        let mut steered = Vec::with_capacity(calls.len());
        for call in calls {
            steered.push(call.run_one(step).await?);
        }
        Ok(steered)
    }
}

impl SteerTasks {
    async fn run_one(&self, step: &mut Step<'_>) -> Outcome<Steered> {
        let Some(look) = look(&self.tenant, &self.selection) else { return Ok(Steered::default()) };
        let (fit, through) = cut(step.rows(look).await?, &self.selection);
        let Some(tenant) = fit.first().map(|row| row.tenant_id) else {
            return Ok(Steered { tasks: Vec::new(), through });
        };
        let changed = match self.selection.steering {
            Steering::Cancel => self.cancel(tenant, &fit, step).await?,
            Steering::Revive => self.revive(tenant, &fit, step).await?,
        };
        let tasks = changed.into_iter().map(id).collect();
        Ok(Steered { tasks, through })
    }

    async fn cancel(&self, tenant: i64, fit: &[Looked], step: &mut Step<'_>) -> Outcome<Vec<(i64, i64)>> {
        let places: Vec<i64> = fit.iter().map(|row| row.place).collect();
        let lock = query_as::<_, (i64, i64)>(
            "SELECT place, created_at FROM queue WHERE place = ANY($1) AND tenant_id + 0 = $2 ORDER BY place FOR UPDATE",
        );
        let locked = step.rows(lock.bind(places).bind(tenant)).await?;
        let places: Vec<i64> = locked.iter().map(|(place, _)| *place).collect();
        if !places.is_empty() {
            cancel(tenant, &places, self.now, step).await?;
        }
        Ok(locked)
    }

    async fn revive(&self, tenant: i64, fit: &[Looked], step: &mut Step<'_>) -> Outcome<Vec<(i64, i64)>> {
        let places: Vec<i64> = fit.iter().map(|row| row.place).collect();
        let mut days: Vec<i32> = fit.iter().map(|row| row.day).collect();
        days.sort_unstable();
        days.dedup();
        let lock = query_as::<_, (i64,)>(
            "SELECT place FROM history WHERE tenant_id = $1 AND state IN (4, 5) AND place = ANY($2) AND day = ANY($3)
             ORDER BY place FOR UPDATE",
        );
        let locked = step.rows(lock.bind(tenant).bind(places).bind(days.clone())).await?;
        let places: Vec<i64> = locked.into_iter().map(|(place,)| place).collect();
        let back = query_as::<_, Revived>(BACK).bind(tenant).bind(places).bind(days);
        let mut revived = step.rows(back.bind(self.now.as_micros())).await?;
        revived.sort_unstable_by_key(|(place, ..)| *place);
        let mut tasks = Vec::with_capacity(revived.len());
        for (place, created_at, before, priority, kind, group) in revived {
            let (before, after) = (state(before)?, TaskState::Waiting);
            step.changes.shift(tenant, priority, &kind, before, after);
            if let Some(group) = group {
                step.changes.group(tenant, &group, self.now).shift(before, after, 1, self.now);
            }
            tasks.push((place, created_at));
        }
        Ok(tasks)
    }
}

fn id((place, created_at): (i64, i64)) -> Id {
    Id::placed(Timestamp::from_micros(created_at), place)
}

/// A task that was put back: place, moment, what it was, priority, kind, group.
type Revived = (i64, i64, i32, i32, String, Option<String>);

const BACK: &str = "
    WITH h AS (
        DELETE FROM history WHERE tenant_id = $1 AND state IN (4, 5) AND place = ANY($2) AND day = ANY($3)
        RETURNING *
    ), q AS (
        INSERT INTO queue (place, tenant_id, created_at, run_at, max_attempts, attempt, priority, kind, payload, keep, key_until,
                           trace_parent, options, key, error, progress, checkpoint, group_name)
        SELECT place, tenant_id, created_at, $4, max_attempts, 0, priority, kind, payload, keep, key_until, trace_parent,
               options, key, error, progress, checkpoint, group_name
        FROM h
    )
    SELECT place, created_at, state, priority, kind, group_name FROM h";
