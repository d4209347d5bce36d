//! Tasks put into the queue's log: places taken, keys looked at, rows inserted.

use sqlx::{query, query_as};
use tidemill_kernel::{Id, Shard, TenantName, Timestamp};
use tidemill_store::Error;
use tidemill_store::task::{AppendedTask, NewTask, TaskState};

use super::columns::{Columns, inserted};
use super::keys;
use crate::ledger::Changes;
use crate::writer::{Outcome, Step};

/// A task to be inserted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewRow<'a> {
    pub(crate) tenant: i64,
    pub(crate) shard: Shard,
    pub(crate) task: &'a NewTask,
    pub(crate) now: Timestamp,
}

impl<'a> NewRow<'a> {
    pub(crate) fn new(name: &TenantName, tenant: i64, task: &'a NewTask, now: Timestamp) -> Self {
        Self { tenant, shard: Shard::of_tenant(name), task, now }
    }
}

/// Inserts tasks in their order; what became of each.
pub(crate) async fn insert(rows: &[NewRow<'_>], step: &mut Step<'_>) -> Outcome<Vec<AppendedTask>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let shares = Shares::of(rows);
    let take = "SELECT array_agg(take_places(shard, places)) FROM unnest($1::bigint[], $2::bigint[]) AS s (shard, places)";
    let taken = query_as::<_, (Vec<i64>,)>(take).bind(&shares.shards).bind(&shares.counts);
    let (bases,) = step.row(taken).await?.unwrap_or_default();
    let appended = keys::take(rows, &shares.ids(rows, &bases)?, step).await?;
    let new: Vec<usize> = (0..rows.len()).filter(|index| !appended[*index].duplicate).collect();
    if !new.is_empty() {
        let insert =
            query(concat!("WITH taken AS (SELECT $18::bigint[] AS bases), ", inserted!(), " SELECT"));
        let columns = Columns::of(rows, &shares, new.iter().copied());
        step.execute(columns.bind_to(insert).bind(bases)).await?;
        new.iter().for_each(|index| count(&rows[*index], &mut step.changes));
    }
    Ok(appended)
}

/// The same with places, rows and counts in one statement, for rows without keys and groups.
const AT_ONCE: &str = concat!(
    "WITH taken AS MATERIALIZED (
         SELECT array_agg(take_places(shard, places)) AS bases
         FROM unnest($18::bigint[], $19::bigint[]) AS s (shard, places)
     ), ",
    inserted!(),
    ", counted AS (
         INSERT INTO count_changes (id, tenant_id, what, priority, kind, change)
         SELECT (SELECT change_log_take()), *
         FROM unnest($20::bigint[], $21::integer[], $22::integer[], $23::text[], $24::bigint[])
     )
     SELECT bases FROM taken"
);

/// Inserts tasks without keys and groups by one statement that is a step of its own.
pub(super) async fn insert_at_once(rows: &[NewRow<'_>], step: &mut Step<'_>) -> Outcome<Vec<AppendedTask>> {
    let shares = Shares::of(rows);
    let mut changes = Changes::default();
    rows.iter().for_each(|row| count(row, &mut changes));
    let changes = changes.into_columns();
    let insert = query(AT_ONCE);
    let insert = Columns::of(rows, &shares, 0..rows.len()).bind_to(insert);
    let insert = insert.bind(&shares.shards).bind(&shares.counts).bind(&changes.tenants).bind(&changes.whats);
    let insert = insert.bind(&changes.priorities).bind(&changes.kinds).bind(&changes.changes);
    let bases: Vec<i64> = step.value(insert).await?;
    step.counted += changes.tenants.len() as u64;
    let ids = shares.ids(rows, &bases)?;
    Ok(ids.into_iter().map(|id| AppendedTask { id, duplicate: false }).collect())
}

fn count(row: &NewRow<'_>, changes: &mut Changes) {
    changes.task(row.tenant, row.task.priority.number(), &row.task.kind, TaskState::Waiting, 1);
    if !row.task.group.is_empty() {
        changes.group(row.tenant, &row.task.group, row.now).submit(row.now);
    }
}

/// How many places of each shard's log a batch takes, and which of them each row has.
pub(super) struct Shares {
    /// In the order in which their logs are locked.
    shards: Vec<i64>,
    counts: Vec<i64>,
    /// Of each row: the index of its shard, and the place counted from the first that is taken.
    pub(super) of_rows: Vec<(usize, i64)>,
}

impl Shares {
    fn of(rows: &[NewRow<'_>]) -> Self {
        let mut shards: Vec<Shard> = rows.iter().map(|row| row.shard).collect();
        shards.sort_unstable();
        shards.dedup();
        let mut counts = vec![0; shards.len()];
        let share = |row: &NewRow<'_>| {
            let index = shards.binary_search(&row.shard).unwrap_or_default();
            counts[index] += 1;
            (index, counts[index] - 1)
        };
        let of_rows = rows.iter().map(share).collect();
        Self { shards: shards.into_iter().map(|shard| shard.number().into()).collect(), counts, of_rows }
    }

    fn ids(&self, rows: &[NewRow<'_>], bases: &[i64]) -> Result<Vec<Id>, Error> {
        let missing = || Error::Internal("no places were given".to_owned());
        let id = |(row, (index, offset)): (&NewRow<'_>, &(usize, i64))| {
            Ok(Id::placed(row.now, bases.get(*index).ok_or_else(missing)? + offset))
        };
        rows.iter().zip(&self.of_rows).map(id).collect()
    }
}
