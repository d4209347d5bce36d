//! Keys of tasks: taken with a task, known until they are swept.
//!
//! The log of the tenant's shard is locked before, so nobody else takes keys of the same tenant meanwhile.

use std::collections::HashMap;

use sqlx::query_as;
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
    JOIN task_keys k ON k.tenant_id = s.tenant_id AND k.key = s.key";

/// Takes the keys of rows that are to have these ids; what becomes of each row.
pub(super) async fn take(rows: &[NewRow<'_>], ids: &[Id], step: &mut Step<'_>) -> Outcome<Vec<AppendedTask>> {
    let key = |row: &NewRow<'_>| (row.tenant, row.task.key.clone());
    let mut owners: HashMap<(i64, String), Id> = HashMap::new();
    // The first of a batch takes the key.
    let mut open: HashMap<(i64, String), usize> = HashMap::new();
    for (index, row) in rows.iter().enumerate().filter(|(_, row)| !row.task.key.is_empty()) {
        open.entry(key(row)).or_insert(index);
    }
    while !open.is_empty() {
        let (sent, indices): (Vec<_>, Vec<usize>) =
            open.iter().map(|(key, index)| (key.clone(), *index)).unzip();
        let (tenants, keys): (Vec<i64>, Vec<String>) = sent.into_iter().unzip();
        let (places, created) = columns(indices.iter().map(|index| ids[*index]));
        let until: Vec<i64> = indices.iter().map(|index| rows[*index].task.key_until.as_micros()).collect();
        let take = query_as::<_, (i64,)>(TAKE).bind(&tenants).bind(&keys).bind(places).bind(created);
        step.rows(take.bind(until)).await?;
        // Those taken before are found too. One that was swept in between is taken in the next round.
        for (tenant, key, place, created_at) in
            step.rows(query_as::<_, (i64, String, i64, i64)>(FIND).bind(tenants).bind(keys)).await?
        {
            let key = (tenant, key);
            open.remove(&key);
            owners.insert(key, Id::placed(Timestamp::from_micros(created_at), place));
        }
    }
    let outcome = |(row, id): (&NewRow<'_>, &Id)| match owners.get(&key(row)) {
        Some(owner) => AppendedTask { id: *owner, duplicate: owner != id },
        None => AppendedTask { id: *id, duplicate: false },
    };
    Ok(rows.iter().zip(ids).map(outcome).collect())
}
