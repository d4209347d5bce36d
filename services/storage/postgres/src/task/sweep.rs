//! What is kept no longer: days of history dropped whole, what stands apart one by one, keys.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::{query, query_as};
use tidemill_kernel::Timestamp;
use tidemill_store::Result;

use crate::database::Database;
use crate::ledger;
use crate::writer::{Outcome, Step, Write};

/// A day in microseconds: the time that a partition of history holds.
const DAY: i64 = 86_400_000_000;

/// How many days have partitions ahead: none is made while tasks are stored.
const AHEAD: i64 = 3;

/// Makes partitions and drops those whose time is over, and that nobody uses: the next sweep drops the others.
struct SweepDays {
    keep: Duration,
    limit: u32,
    now: Timestamp,
}

/// Removes rows.
struct SweepRows {
    keep: Duration,
    limit: u32,
    now: Timestamp,
}

/// Removes what is kept no longer; how much.
pub(super) async fn sweep(
    database: &Arc<Database>,
    keep: Duration,
    limit: u32,
    now: Timestamp,
) -> Result<u64> {
    let days = match database.write(SweepDays { keep, limit, now }).await {
        Ok(days) => days,
        Err(error) => {
            tracing::debug!(%error, "the days of the history were not swept; they are the next time");
            0
        }
    };
    // A group with changes that are not folded is not removed.
    ledger::fold(database).await;
    let limit = limit.saturating_sub(u32::try_from(days).unwrap_or(u32::MAX));
    Ok(days + database.write(SweepRows { keep, limit, now }).await?)
}

fn micros(keep: Duration) -> i64 {
    i64::try_from(keep.as_micros()).unwrap_or(i64::MAX)
}

fn day(micros: i64) -> i32 {
    i32::try_from(micros.div_euclid(DAY)).unwrap_or(i32::MAX)
}

#[async_trait]
impl Write for SweepDays {
    type Output = u64;

    async fn run(calls: &[Self], step: &mut Step<'_>) -> Outcome<Vec<u64>> {
        let mut dropped = Vec::with_capacity(calls.len());
        for Self { keep, limit, now } in calls {
            let today = day(now.as_micros());
            // Others that sweep at the same time make and drop the same.
            step.execute(query("SELECT FROM history_days FOR UPDATE")).await?;
            let make = query("SELECT make_history_days($1, $2)").bind(today - 1);
            step.execute(make.bind(day(now.as_micros().saturating_add(AHEAD * DAY)))).await?;
            // What was made on a day and finished within another has ended when the one after it begins.
            let over = now.as_micros().saturating_sub(micros(*keep)).saturating_sub(2 * DAY);
            let drop = query_as::<_, (i64,)>("SELECT drop_history_days($1, $2)").bind(day(over));
            let drop = drop.bind(i32::try_from(*limit).unwrap_or(i32::MAX));
            dropped.push(step.row(drop).await?.map_or(0, |(days,)| days.unsigned_abs()));
        }
        Ok(dropped)
    }
}

/// Each takes the moment up to which, and how many at most.
const SWEEPS: [&str; 4] = [
    "DELETE FROM history_apart WHERE ctid = ANY (ARRAY(
         SELECT ctid FROM history_apart WHERE until <= $1 AND until IS NOT NULL ORDER BY until LIMIT $2
         FOR UPDATE SKIP LOCKED))",
    "DELETE FROM history_apart WHERE ctid = ANY (ARRAY(
         SELECT ctid FROM history_apart WHERE finished_at <= $1 AND until IS NULL ORDER BY finished_at LIMIT $2
         FOR UPDATE SKIP LOCKED))",
    "DELETE FROM task_keys WHERE ctid = ANY (ARRAY(
         SELECT k.ctid FROM task_keys k
         WHERE until <= $1 AND NOT EXISTS (SELECT FROM queue WHERE place = k.place OFFSET 0)
         ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED))",
    "DELETE FROM group_counts WHERE ctid = ANY (ARRAY(
         SELECT ctid FROM group_counts g WHERE changed_at <= $1 AND total <= succeeded + dead + cancelled
             AND NOT EXISTS (SELECT FROM group_changes c WHERE c.tenant_id = g.tenant_id AND c.name = g.name
                             AND c.id > (SELECT through FROM counted))
         ORDER BY changed_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
];

#[async_trait]
impl Write for SweepRows {
    type Output = u64;

    async fn run(calls: &[Self], step: &mut Step<'_>) -> Outcome<Vec<u64>> {
        let mut removed = Vec::with_capacity(calls.len());
        for Self { keep, limit, now } in calls {
            let mut left = u64::from(*limit);
            let now = now.as_micros();
            let ended = now.saturating_sub(micros(*keep));
            // As late as the last of their tasks may go.
            let quiet = ended.saturating_sub(2 * DAY);
            for (sweep, until) in SWEEPS.into_iter().zip([now, ended, now, quiet]) {
                let sweep = query(sweep).bind(until).bind(i64::try_from(left).unwrap_or(i64::MAX));
                left = left.saturating_sub(step.execute(sweep).await?);
            }
            removed.push(u64::from(*limit) - left);
        }
        Ok(removed)
    }
}
