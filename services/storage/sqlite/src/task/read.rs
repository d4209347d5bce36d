//! What can be read of the log.

use tidemill_kernel::{Id, Page, PageRequest, Priority, TenantName};
use tidemill_store::task::{Running, Task, TaskState, Waiting};
use tidemill_store::{Result, token};

use super::row::{RunningRow, TaskRow, WaitingRow, task_json, waiting_json};
use crate::reader::{PageRows, Readers};
use crate::statement::json;
use crate::statement::query;

/// One task.
pub(super) async fn task(readers: &Readers, tenant: &TenantName, id: Id) -> Result<Option<Task>> {
    let row = query(concat!(
        "SELECT ",
        task_json!(),
        " FROM tasks t JOIN task_states s ON s.id = t.id JOIN tenants n ON n.id = t.tenant_id
          WHERE t.task_id = ?1 AND n.name = ?2"
    ));
    let row: Option<TaskRow> = readers.row(row.bind(id.as_bytes().to_vec()).bind(tenant.as_str())).await?;
    row.map(|row| row.decode(tenant.clone())).transpose()
}

/// One state's tasks of the tenant, newest first: a walk down the index.
macro_rules! of_state {
    ($state:literal) => {
        concat!(
            "SELECT ",
            task_json!(),
            ", s.id FROM task_states s CROSS JOIN tasks t ON t.id = s.id
              WHERE s.tenant_id = (SELECT id FROM tenants WHERE name = ?1) AND s.state = ",
            $state,
            " AND s.id < ?4 AND (?2 IS NULL OR ?2 = ",
            $state,
            ") AND (?3 IS NULL OR s.kind = ?3)"
        )
    };
}

/// A page of tasks, newest first: SQLite merges the walks, so that a row is read only when it is shown.
pub(super) async fn page(
    readers: &Readers,
    tenant: &TenantName,
    state: Option<TaskState>,
    kind: Option<&str>,
    page: PageRequest,
) -> Result<Page<Task>> {
    let scope = ["tasks", tenant.as_str(), state.map_or("", TaskState::name), kind.unwrap_or("")];
    let before: Option<i64> = token::decode(&scope, &page.token)?;
    let rows = query(concat!(
        of_state!("1"),
        " UNION ALL ",
        of_state!("2"),
        " UNION ALL ",
        of_state!("3"),
        " UNION ALL ",
        of_state!("4"),
        " UNION ALL ",
        of_state!("5"),
        " ORDER BY 2 DESC LIMIT ?5"
    ));
    let mut read = PageRows::new(page.size);
    let rows = rows.bind(tenant.as_str()).bind(state.map(TaskState::number)).bind(kind);
    let rows = rows.bind(before.unwrap_or(i64::MAX)).bind(read.missing());
    read.read(readers, rows, json::<TaskRow>).await?;
    let Page { items, next_token } = read.cut(|last| token::encode(&scope, &last.sequence));
    let items = items.into_iter().map(|row| row.decode(tenant.clone())).collect::<Result<_>>()?;
    Ok(Page { items, next_token })
}

/// Waiting tasks of one queue.
pub(super) async fn waiting(
    readers: &Readers,
    tenant: &TenantName,
    priority: Priority,
    kind: &str,
    after: i64,
    limit: u32,
) -> Result<Vec<Waiting>> {
    let rows = query(concat!(
        "SELECT ",
        waiting_json!(),
        " FROM tenants n CROSS JOIN task_states s ON s.tenant_id = n.id CROSS JOIN tasks t ON t.id = s.id
          WHERE n.name = ?1 AND s.priority = ?2 AND s.kind = ?3 AND s.state = 1 AND s.id > ?4
          ORDER BY s.id LIMIT ?5"
    ));
    let rows = rows.bind(tenant.as_str()).bind(priority.number()).bind(kind);
    let rows: Vec<WaitingRow> = readers.rows(rows.bind(after).bind(i64::from(limit))).await?;
    rows.into_iter().map(WaitingRow::decode).collect()
}

/// Waiting tasks of all queues: a walk along the log itself, from a place that is near its end.
pub(super) async fn new(readers: &Readers, after: i64, limit: u32) -> Result<Vec<Waiting>> {
    let rows = query(concat!(
        "SELECT ",
        waiting_json!(),
        " FROM task_states s NOT INDEXED CROSS JOIN tasks t ON t.id = s.id
          CROSS JOIN tenants n ON n.id = s.tenant_id WHERE s.state = 1 AND s.id > ?1 ORDER BY s.id LIMIT ?2"
    ));
    let rows: Vec<WaitingRow> = readers.rows(rows.bind(after).bind(i64::from(limit))).await?;
    rows.into_iter().map(WaitingRow::decode).collect()
}

/// Running tasks.
pub(super) async fn running(readers: &Readers, after: i64, limit: u32) -> Result<Vec<Running>> {
    let rows = query(concat!(
        "SELECT json_array(",
        waiting_json!(),
        ", s.worker, hex(s.token), s.expires_at, s.attempt, t.max_attempts)
          FROM task_states s INDEXED BY task_states_running CROSS JOIN tasks t ON t.id = s.id
          CROSS JOIN tenants n ON n.id = s.tenant_id WHERE s.state = 2 AND s.id > ?1 ORDER BY s.id LIMIT ?2"
    ));
    let rows: Vec<RunningRow> = readers.rows(rows.bind(after).bind(i64::from(limit))).await?;
    rows.into_iter().map(RunningRow::decode).collect()
}
