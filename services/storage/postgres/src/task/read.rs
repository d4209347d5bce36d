//! What can be read of the log.
//!
//! Who follows the log reads up to the horizon, which is asked for first: every place up to there is settled, and what
//! is read afterwards shows it. `id + 0` keeps the horizon out of the index: few rows lie beyond it, and a range closed
//! at both ends looks so narrow to a planner without statistics that it would sort all of the range for one page.

use sqlx::query_as;
use tidemill_kernel::{Id, Page, PageRequest, Priority, TenantName};
use tidemill_store::task::{QueueDepth, Queues, Running, Task, TaskCount, TaskState, Waiting};
use tidemill_store::text::clean;
use tidemill_store::{Result, token};

use super::row::{RunningRow, TaskRow, WaitingRow, priority, state, task_columns, task_states, uuid};
use crate::page::PageRows;
use crate::reader::Source;
use crate::tenant::tenant_name;

/// One task.
pub(super) async fn task(source: &Source, tenant: &TenantName, id: Id) -> Result<Option<Task>> {
    let row = || {
        query_as::<_, TaskRow>(concat!(
            "SELECT ",
            task_columns!(),
            " FROM tasks t JOIN tenants n ON n.id = t.tenant_id",
            task_states!(),
            "WHERE t.task_id = $1 AND n.name = $2"
        ))
        .bind(uuid(id))
        .bind(tenant.as_str())
    };
    source.row(row).await?.map(TaskRow::decode).transpose()
}

/// A page of tasks, newest first, of what this table shows of each. The page is cut before anything is joined to it.
macro_rules! page_of {
    ($from:literal) => {
        concat!(
            "WITH page AS MATERIALIZED (SELECT p.tenant_id, p.id FROM ",
            $from,
            " AND p.tenant_id = (SELECT id FROM tenants WHERE name = $1) AND ($2::text IS NULL OR p.kind = $2)
              AND p.id < $3 ORDER BY p.id DESC LIMIT $4) SELECT ",
            task_columns!(),
            " FROM page p JOIN tenants n ON n.id = p.tenant_id
              JOIN tasks t ON t.tenant_id = p.tenant_id AND t.id = p.id",
            task_states!(),
            "ORDER BY t.id DESC"
        )
    };
}

const ANY: &str = page_of!("tasks p WHERE true");
const WAITING: &str = page_of!("queue p WHERE NOT EXISTS (SELECT FROM leases r WHERE r.task_id = p.task_id)");
const RUNNING: &str = page_of!("leases p WHERE true");
const SUCCEEDED: &str = page_of!("finished p WHERE p.state = 3");
const DEAD: &str = page_of!("finished p WHERE p.state = 4");
const CANCELLED: &str = page_of!("finished p WHERE p.state = 5");

/// A page of tasks, newest first.
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
    let kind = kind.map(|kind| clean(kind.to_owned()));
    let mut read = PageRows::new(page.size, TaskRow::bytes);
    let rows =
        |missing| query_as(statement).bind(tenant.as_str()).bind(kind.as_deref()).bind(before).bind(missing);
    source.fill(&mut read, rows).await?;
    let Page { items, next_token } = read.cut(|last| token::encode(&scope, &last.id));
    let items = items.into_iter().map(TaskRow::decode).collect::<Result<_>>()?;
    Ok(Page { items, next_token })
}

async fn horizon(source: &Source) -> Result<i64> {
    let row = source.row(|| query_as::<_, (i64,)>("SELECT task_log_settled()")).await?;
    Ok(row.map_or(0, |(place,)| place))
}

/// Waiting tasks of one queue.
pub(super) async fn waiting(
    source: &Source,
    tenant: &TenantName,
    priority: Priority,
    kind: &str,
    after: i64,
    limit: u32,
) -> Result<Vec<Waiting>> {
    let (horizon, kind) = (horizon(source).await?, clean(kind.to_owned()));
    let rows = || {
        query_as::<_, WaitingRow>(
            "SELECT q.task_id, $1::text AS tenant, q.kind, q.priority, q.id, q.run_at FROM queue q
             WHERE q.tenant_id = (SELECT id FROM tenants WHERE name = $1) AND q.priority = $2 AND q.kind = $3
               AND q.id > $4 AND q.id + 0 <= $5
               AND NOT EXISTS (SELECT FROM leases l WHERE l.task_id = q.task_id)
             ORDER BY q.id LIMIT $6",
        )
        .bind(tenant.as_str())
        .bind(priority.number())
        .bind(&kind)
        .bind(after)
        .bind(horizon)
        .bind(i64::from(limit))
    };
    source.rows(rows).await?.into_iter().map(WaitingRow::decode).collect()
}

/// Waiting tasks of all queues.
pub(super) async fn new(source: &Source, after: i64, limit: u32) -> Result<Vec<Waiting>> {
    let horizon = horizon(source).await?;
    if horizon <= after {
        return Ok(Vec::new());
    }
    let rows = || {
        query_as::<_, WaitingRow>(
            "WITH page AS MATERIALIZED (
                 SELECT * FROM queue q WHERE q.id > $1 AND q.id + 0 <= $2
                   AND NOT EXISTS (SELECT FROM leases l WHERE l.task_id = q.task_id)
                 ORDER BY q.id LIMIT $3
             )
             SELECT q.task_id, n.name AS tenant, q.kind, q.priority, q.id, q.run_at
             FROM page q JOIN tenants n ON n.id = q.tenant_id ORDER BY q.id",
        )
        .bind(after)
        .bind(horizon)
        .bind(i64::from(limit))
    };
    source.rows(rows).await?.into_iter().map(WaitingRow::decode).collect()
}

/// Running tasks.
pub(super) async fn running(source: &Source, after: i64, limit: u32) -> Result<Vec<Running>> {
    let rows = || {
        query_as::<_, RunningRow>(
            "SELECT l.task_id, n.name AS tenant, l.kind, l.priority, l.id, q.run_at, l.worker, l.token, l.expires_at,
                    l.attempt, t.max_attempts
             FROM leases l JOIN queue q ON q.id = l.id JOIN tasks t ON t.tenant_id = l.tenant_id AND t.id = l.id
             JOIN tenants n ON n.id = l.tenant_id WHERE l.id > $1 ORDER BY l.id LIMIT $2",
        )
        .bind(after)
        .bind(i64::from(limit))
    };
    source.rows(rows).await?.into_iter().map(RunningRow::decode).collect()
}

/// The queues that have waiting tasks, and the place up to which all tasks are among them.
pub(super) async fn queues(source: &Source) -> Result<Queues> {
    let last_sequence = horizon(source).await?;
    let rows = || {
        query_as::<_, (String, i32, String, i64)>(
            "SELECT n.name, c.priority, c.kind, c.count FROM present_counts c JOIN tenants n ON n.id = c.tenant_id
             WHERE c.what = 1 AND c.count > 0",
        )
    };
    let depth = |(tenant, number, kind, waiting)| -> Result<QueueDepth> {
        Ok(QueueDepth { tenant: tenant_name(tenant)?, priority: priority(number)?, kind, waiting })
    };
    let depths = source.rows(rows).await?.into_iter().map(depth).collect::<Result<_>>()?;
    Ok(Queues { depths, last_sequence })
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
