//! Tasks as people list them: newest first, unfinished and finished ones merged by their places.
//!
//! The queue is in the order of its queues, so those of a tenant that have tasks, which the counts tell, are each walked
//! from their end; so are the states of the history. A statement sees one moment: a task is in one of the two.

use sqlx::query_as;
use tidemill_kernel::{Page, PageRequest, Shard, TenantName};
use tidemill_store::task::{Task, TaskState};
use tidemill_store::text::clean;
use tidemill_store::{Result, token};

use super::row::{TaskRow, history_columns, places_of_queue, queue_columns};
use crate::page::PageRows;
use crate::reader::Source;

/// Unfinished tasks, of those that fit.
macro_rules! unfinished {
    ($fit:literal) => {
        concat!(
            "SELECT ",
            queue_columns!(),
            " FROM (SELECT c.tenant_id, c.priority, c.kind FROM present_counts c
                    WHERE c.tenant_id = (SELECT id FROM tenants WHERE name = $1) AND c.what <= 2
                      AND ($2::text IS NULL OR c.kind = $2)
                    GROUP BY c.tenant_id, c.priority, c.kind HAVING sum(c.count) > 0) k
              CROSS JOIN LATERAL (
                  SELECT * FROM queue w WHERE ",
            places_of_queue!("k.tenant_id, k.priority, k.kind", ">=" "$5", "<" "$3"),
            " ",
            $fit,
            " ORDER BY tenant_id DESC, priority DESC, kind DESC, place DESC LIMIT $4
              ) q LEFT JOIN LATERAL (SELECT * FROM leases WHERE place = q.place OFFSET 0) l ON true"
        )
    };
}

/// Finished tasks in these states.
macro_rules! finished {
    ($states:literal) => {
        concat!(
            "SELECT ",
            history_columns!(),
            " FROM (VALUES ",
            $states,
            ") s (state) CROSS JOIN LATERAL (
                  SELECT * FROM history w WHERE w.tenant_id = (SELECT id FROM tenants WHERE name = $1) AND w.state = s.state
                    AND w.place < $3 AND w.place >= $5 AND ($2::text IS NULL OR w.kind = $2)
                  ORDER BY w.place DESC LIMIT $4
              ) h"
        )
    };
}

const ANY: &str =
    concat!(unfinished!(""), " UNION ALL ", finished!("(3), (4), (5)"), " ORDER BY place DESC LIMIT $4");
const WAITING: &str = concat!(
    unfinished!("AND NOT EXISTS (SELECT FROM leases r WHERE r.place = w.place)"),
    " ORDER BY place DESC LIMIT $4"
);
const RUNNING: &str = concat!(
    "SELECT ",
    queue_columns!(),
    " FROM leases l CROSS JOIN LATERAL (SELECT * FROM queue WHERE place = l.place OFFSET 0) q
      WHERE q.tenant_id = (SELECT id FROM tenants WHERE name = $1) AND ($2::text IS NULL OR q.kind = $2)
        AND l.place < $3 AND l.place >= $5 ORDER BY l.place DESC LIMIT $4"
);
const SUCCEEDED: &str = concat!(finished!("(3)"), " ORDER BY place DESC LIMIT $4");
const DEAD: &str = concat!(finished!("(4)"), " ORDER BY place DESC LIMIT $4");
const CANCELLED: &str = concat!(finished!("(5)"), " ORDER BY place DESC LIMIT $4");

/// A page of tasks.
pub(super) async fn page(
    source: &Source,
    tenant: &TenantName,
    state: Option<TaskState>,
    kind: Option<&str>,
    page: PageRequest,
) -> Result<Page<Task>> {
    let scope = ["tasks", tenant.as_str(), state.map_or("", TaskState::name), kind.unwrap_or("")];
    let before: i64 = token::decode(&scope, &page.token)?.unwrap_or(i64::MAX);
    let statement = match state {
        None => ANY,
        Some(TaskState::Waiting) => WAITING,
        Some(TaskState::Running) => RUNNING,
        Some(TaskState::Succeeded) => SUCCEEDED,
        Some(TaskState::Dead) => DEAD,
        Some(TaskState::Cancelled) => CANCELLED,
    };
    let (kind, from) = (kind.map(|kind| clean(kind.to_owned())), *Shard::of_tenant(tenant).places().start());
    let mut read = PageRows::new(page.size, TaskRow::bytes);
    let rows = |missing| {
        let rows = query_as(statement).bind(tenant.as_str()).bind(kind.as_deref());
        rows.bind(before).bind(missing).bind(from)
    };
    source.fill(&mut read, rows).await?;
    let Page { items, next_token } = read.cut(|last| token::encode(&scope, &last.id.place()));
    let items = items.into_iter().map(|row| row.decode(tenant.clone())).collect::<Result<_>>()?;
    Ok(Page { items, next_token })
}
