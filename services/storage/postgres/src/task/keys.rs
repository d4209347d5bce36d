//! Keys of tasks: taken with a task, known until they are swept.
//!
//! The log of the tenant's shard is locked before, so nobody else takes keys of the same tenant meanwhile.

use std::collections::{HashMap, HashSet};

use sqlx::postgres::PgArguments;
use sqlx::query::QueryAs;
use sqlx::{Postgres, query_as};
use tidemill_kernel::{Id, Timestamp};
use tidemill_store::task::AppendedTask;

use super::insert::NewRow;
use super::row::columns;
use crate::writer::{Outcome, Step};

const TAKE: &str = "
    INSERT INTO task_keys (tenant_id, key, place, created_at, until)
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
        AS s (tenant_id, key, place, created_at, until)
    ORDER BY tenant_id, key COLLATE \"C\" ON CONFLICT DO NOTHING RETURNING place";

const FIND: &str = "
    SELECT k.tenant_id, k.key, k.place, k.created_at FROM unnest($1::bigint[], $2::text[]) AS s (tenant_id, key)
    CROSS JOIN LATERAL (SELECT * FROM task_keys WHERE tenant_id = s.tenant_id AND key = s.key OFFSET 0) k";

const UNFINISHED: &str = "SELECT place, created_at FROM queue WHERE place = ANY($1)";

/// Also of a key that a sweep has removed since it was found.
const TAKE_OVER: &str = "
    INSERT INTO task_keys (tenant_id, key, place, created_at, until)
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
        AS s (tenant_id, key, place, created_at, until)
    ORDER BY tenant_id, key COLLATE \"C\"
    ON CONFLICT (tenant_id, key) DO UPDATE
        SET place = excluded.place, created_at = excluded.created_at, until = excluded.until
    RETURNING place";

/// A tenant's key.
type Key = (i64, String);

/// Takes the keys of rows that are to have these ids; what becomes of each row.
pub(super) async fn take(rows: &[NewRow<'_>], ids: &[Id], step: &mut Step<'_>) -> Outcome<Vec<AppendedTask>> {
    let mut owners = take_free(rows, ids, step).await?;
    let heirs = heirs(rows, ids, &owners, step).await?;
    let outcome = |(index, (row, id)): (usize, (&NewRow<'_>, &Id))| {
        let key = key(row);
        if let Some(heir) = heirs.get(&key).filter(|heir| **heir <= index) {
            owners.insert(key.clone(), ids[*heir]);
        }
        match owners.get(&key) {
            Some(owner) => AppendedTask { id: *owner, duplicate: owner != id },
            None => AppendedTask { id: *id, duplicate: false },
        }
    };
    Ok(rows.iter().zip(ids).enumerate().map(outcome).collect())
}

/// Takes the keys that nobody has; who has each key then.
async fn take_free(rows: &[NewRow<'_>], ids: &[Id], step: &mut Step<'_>) -> Outcome<HashMap<Key, Id>> {
    let mut owners: HashMap<Key, Id> = HashMap::new();
    // The first of a batch takes the key.
    let mut open: HashMap<Key, usize> = HashMap::new();
    for (index, row) in rows.iter().enumerate().filter(|(_, row)| !row.task.key.is_empty()) {
        open.entry(key(row)).or_insert(index);
    }
    while !open.is_empty() {
        let sent: Vec<(Key, usize)> = open.iter().map(|(key, index)| (key.clone(), *index)).collect();
        step.rows(told(TAKE, rows, ids, &sent)).await?;
        let (tenants, keys): (Vec<i64>, Vec<String>) = sent.into_iter().map(|(key, _)| key).unzip();
        // Those taken before are found too. One that was swept in between is taken in the next round.
        for (tenant, key, place, created_at) in
            step.rows(query_as::<_, (i64, String, i64, i64)>(FIND).bind(tenants).bind(keys)).await?
        {
            let key = (tenant, key);
            open.remove(&key);
            owners.insert(key, Id::placed(Timestamp::from_micros(created_at), place));
        }
    }
    Ok(owners)
}

/// Gives keys of tasks that have ended to the first rows that want to be unique among those that have not; the numbers of these
/// rows.
async fn heirs(
    rows: &[NewRow<'_>],
    ids: &[Id],
    owners: &HashMap<Key, Id>,
    step: &mut Step<'_>,
) -> Outcome<HashMap<Key, usize>> {
    let mut heirs: HashMap<Key, usize> = HashMap::new();
    for (index, row) in rows.iter().enumerate().filter(|(_, row)| row.task.unique) {
        heirs.entry(key(row)).or_insert(index);
    }
    if heirs.is_empty() {
        return Ok(heirs);
    }
    let own: HashSet<&Id> = ids.iter().collect();
    heirs.retain(|key, _| owners.get(key).is_some_and(|owner| !own.contains(owner)));
    let (places, _) = columns(heirs.keys().filter_map(|key| owners.get(key)).copied());
    let unfinished = step.rows(query_as::<_, (i64, i64)>(UNFINISHED).bind(places)).await?;
    let unfinished: HashSet<Id> = unfinished
        .into_iter()
        .map(|(place, created_at)| Id::placed(Timestamp::from_micros(created_at), place))
        .collect();
    heirs.retain(|key, _| owners.get(key).is_some_and(|owner| !unfinished.contains(owner)));
    if !heirs.is_empty() {
        let sent: Vec<(Key, usize)> = heirs.iter().map(|(key, index)| (key.clone(), *index)).collect();
        step.rows(told(TAKE_OVER, rows, ids, &sent)).await?;
    }
    Ok(heirs)
}

/// A statement that is told which rows take which keys.
fn told<'q>(
    sql: &'static str,
    rows: &[NewRow<'_>],
    ids: &[Id],
    sent: &[(Key, usize)],
) -> QueryAs<'q, Postgres, (i64,), PgArguments> {
    let (tenants, keys): (Vec<i64>, Vec<String>) = sent.iter().map(|(key, _)| key.clone()).unzip();
    let (places, created) = columns(sent.iter().map(|(_, index)| ids[*index]));
    let until: Vec<i64> = sent.iter().map(|(_, index)| rows[*index].task.key_until.as_micros()).collect();
    query_as::<_, (i64,)>(sql).bind(tenants).bind(keys).bind(places).bind(created).bind(until)
}

fn key(row: &NewRow<'_>) -> Key {
    (row.tenant, row.task.key.clone())
}
