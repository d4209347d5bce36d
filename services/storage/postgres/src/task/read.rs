//! What can be read of the log.
//!
//! Places of a shard are committed in their order, so who follows the log needs no more than the last place that he has
//! seen; who starts in the middle asks for the last one that is settled first, and reads the rest afterwards. Every load
//! walks an index from a place on: no row before it, dead or alive, is looked at.

use sqlx::query_as;
use tidemill_kernel::{Id, Priority, Shard, TenantName};
use tidemill_store::Result;
use tidemill_store::task::{QueueDepth, Queues, Task, TaskCount};
use tidemill_store::text::clean;
use uuid::Uuid;

use super::row::{
    TaskRow, columns, history_columns, id, placed, places_of_queue, priority, queue_columns, state,
};
use crate::database::Database;
use crate::reader::{Rows, Source};
use crate::tenant::tenant_name;

/// A task of a tenant, wherever it is. By its place: the tenant, which other indexes begin with, is only compared; of what has
/// ended, each state is looked up by the whole key. An index that leaves out a column in the middle is read through.
pub(super) fn one<'a>(tenant: &'a TenantName, id: Id) -> Rows<'a, TaskRow> {
    let (place, created_at) = placed(id);
    let one = query_as(concat!(
        "SELECT ",
        queue_columns!(),
        " FROM queue q LEFT JOIN leases l ON l.place = q.place
          WHERE q.place = $1 AND q.created_at = $2 AND q.tenant_id + 0 = (SELECT id FROM tenants WHERE name = $3)
          UNION ALL SELECT ",
        history_columns!(),
        " FROM (VALUES (3), (4), (5)) s (state) CROSS JOIN LATERAL (
              SELECT * FROM history w
              WHERE w.tenant_id = (SELECT id FROM tenants WHERE name = $3) AND w.state = s.state AND w.place = $1
                AND w.created_at = $2 AND w.day IN (-1, ($2 / 86400000000)::integer) OFFSET 0
          ) h"
    ));
    one.bind(place).bind(created_at).bind(tenant.as_str())
}

/// One task.
pub(super) async fn task(source: &Source, tenant: &TenantName, id: Id) -> Result<Option<Task>> {
    let row = source.row(|| one(tenant, id)).await?;
    row.map(|row| row.decode(tenant.clone())).transpose()
}

/// Unfinished tasks of one queue.
pub(super) async fn waiting(
    source: &Source,
    tenant: &TenantName,
    of: Priority,
    kind: &str,
    after: i64,
    limit: u32,
) -> Result<Vec<Task>> {
    let kind = clean(kind.to_owned());
    let rows = || {
        query_as::<_, TaskRow>(concat!(
            "SELECT ",
            queue_columns!(),
            " FROM (SELECT * FROM queue WHERE ",
            places_of_queue!("(SELECT id FROM tenants WHERE name = $1), $2, $3", ">" "$4", "<=" "9223372036854775807"),
            " ORDER BY tenant_id, priority, kind, place LIMIT $5) q
              LEFT JOIN LATERAL (SELECT * FROM leases WHERE place = q.place OFFSET 0) l ON true ORDER BY q.place"
        ))
        .bind(tenant.as_str())
        .bind(of.number())
        .bind(&kind)
        .bind(after)
        .bind(i64::from(limit))
    };
    let rows = source.load(rows, TaskRow::bytes).await?;
    rows.into_iter().map(|row| row.decode(tenant.clone())).collect()
}

/// Unfinished tasks of a shard.
pub(super) async fn new(database: &Database, shard: Shard, after: i64, limit: u32) -> Result<Vec<Task>> {
    let rows = || {
        query_as::<_, TaskRow>(concat!(
            "SELECT ",
            queue_columns!(),
            " FROM (SELECT * FROM queue WHERE place > $1 AND place <= $2 ORDER BY place LIMIT $3) q
              LEFT JOIN LATERAL (SELECT * FROM leases WHERE place = q.place OFFSET 0) l ON true ORDER BY q.place"
        ))
        .bind(after.max(*shard.places().start()))
        .bind(*shard.places().end())
        .bind(i64::from(limit))
    };
    let rows = database.primary.load(rows, TaskRow::bytes).await?;
    decode(database, rows.into_iter().map(|row| (row, ()))).await.map(firsts)
}

/// Those of the tasks that are not finished.
pub(super) async fn some(database: &Database, ids: &[Id]) -> Result<Vec<Task>> {
    let (places, moments) = columns(ids.iter().copied());
    let rows = || {
        query_as::<_, TaskRow>(concat!(
            "SELECT ",
            queue_columns!(),
            " FROM unnest($1::bigint[], $2::bigint[]) AS e (place, created_at)
              CROSS JOIN LATERAL (SELECT * FROM queue w WHERE w.place = e.place AND w.created_at = e.created_at OFFSET 0) q
              LEFT JOIN LATERAL (SELECT * FROM leases WHERE place = q.place OFFSET 0) l ON true"
        ))
        .bind(&places)
        .bind(&moments)
    };
    let rows = database.primary.load(rows, TaskRow::bytes).await?;
    decode(database, rows.into_iter().map(|row| (row, ()))).await.map(firsts)
}

/// Unfinished tasks of a shard that have a recorded lease, and its token.
pub(super) async fn running(
    database: &Database,
    shard: Shard,
    after: i64,
    limit: u32,
) -> Result<Vec<(Task, Id)>> {
    let rows = || {
        query_as::<_, LeasedRow>(concat!(
            "SELECT ",
            queue_columns!(),
            ", l.token FROM (SELECT * FROM leases WHERE place > $1 AND place <= $2 ORDER BY place LIMIT $3) l
              CROSS JOIN LATERAL (SELECT * FROM queue WHERE place = l.place OFFSET 0) q ORDER BY q.place"
        ))
        .bind(after.max(*shard.places().start()))
        .bind(*shard.places().end())
        .bind(i64::from(limit))
    };
    let rows = database.primary.load(rows, |row: &LeasedRow| row.task.bytes()).await?;
    decode(database, rows.into_iter().map(|row| (row.task, id(row.token)))).await
}

#[derive(sqlx::FromRow)]
struct LeasedRow {
    #[sqlx(flatten)]
    task: TaskRow,
    token: Uuid,
}

fn firsts<T>(pairs: Vec<(Task, T)>) -> Vec<Task> {
    pairs.into_iter().map(|(task, _)| task).collect()
}

/// Tasks of any tenants, each with what belongs to it.
async fn decode<T>(database: &Database, rows: impl Iterator<Item = (TaskRow, T)>) -> Result<Vec<(Task, T)>> {
    let rows: Vec<(TaskRow, T)> = rows.collect();
    let ids: Vec<i64> = rows.iter().map(|(row, _)| row.tenant_id).collect();
    let (mut names, missing) = database.known_names(&ids);
    if !missing.is_empty() {
        let found =
            || query_as::<_, (i64, String)>("SELECT id, name FROM tenants WHERE id = ANY($1)").bind(&missing);
        for (id, name) in database.primary.rows(found).await? {
            let name = tenant_name(name)?;
            database.learn_tenant(&name, id);
            names.insert(id, name);
        }
    }
    let decode = |(row, more): (TaskRow, T)| {
        let missing = || tidemill_store::Error::Internal(format!("tenant {} is gone", row.tenant_id));
        let name = names.get(&row.tenant_id).ok_or_else(missing)?.clone();
        Ok((row.decode(name)?, more))
    };
    rows.into_iter().map(decode).collect()
}

/// The queues of a shard that have waiting tasks, and the place up to which all tasks are among them.
pub(super) async fn queues(source: &Source, shard: Shard) -> Result<Queues> {
    let number = shard.number();
    let last = || query_as::<_, (i64,)>("SELECT settled_place_of($1)").bind(i64::from(number));
    let last_place = source.row(last).await?.map_or(shard.place(0), |(place,)| place);
    Ok(Queues { depths: depths(source, &[shard]).await?, last_place })
}

/// The queues of these shards that have waiting tasks.
pub(super) async fn depths(source: &Source, shards: &[Shard]) -> Result<Vec<QueueDepth>> {
    let numbers: Vec<i32> = shards.iter().map(|shard| shard.number().into()).collect();
    let rows = || {
        query_as::<_, (String, i32, String, i64)>(
            "SELECT n.name, c.priority, c.kind, c.count FROM present_counts c JOIN tenants n ON n.id = c.tenant_id
             WHERE c.what = 1 AND c.count > 0 AND n.shard = ANY($1)",
        )
        .bind(&numbers)
    };
    let depth = |(tenant, number, kind, waiting)| -> Result<QueueDepth> {
        Ok(QueueDepth { tenant: tenant_name(tenant)?, priority: priority(number)?, kind, waiting })
    };
    source.rows(rows).await?.into_iter().map(depth).collect()
}

/// A tenant's tasks by priority and state.
pub(super) async fn counts(source: &Source, tenant: &TenantName) -> Result<Vec<TaskCount>> {
    let rows = || {
        query_as::<_, (i32, i32, i64)>(
            "SELECT c.priority, c.what, sum(c.count)::bigint FROM present_counts c
             WHERE c.tenant_id = (SELECT id FROM tenants WHERE name = $1) AND c.what <= 5
             GROUP BY c.priority, c.what HAVING sum(c.count) > 0 ORDER BY c.priority, c.what",
        )
        .bind(tenant.as_str())
    };
    let count = |(number, at, count)| -> Result<TaskCount> {
        Ok(TaskCount { priority: priority(number)?, state: state(at)?, count })
    };
    source.rows(rows).await?.into_iter().map(count).collect()
}
