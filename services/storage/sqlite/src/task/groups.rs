//! Groups: the counts of their tasks. Each step changes them for its whole batch at once; a step of tasks without a group
//! runs no statement for it.

use std::collections::HashMap;

use rusqlite::params;
use tidemill_kernel::{Page, PageRequest, TenantName, Timestamp};
use tidemill_store::task::{Group, GroupChange, TaskState};
use tidemill_store::text::clean;
use tidemill_store::{Result, token};

use crate::error::failed;
use crate::reader::Readers;
use crate::statement::query;
use crate::writer::Step;

/// By how much the counts change, by the queues of the tasks and their groups.
#[derive(Debug, Default)]
pub(super) struct GroupChanges(HashMap<i64, HashMap<String, GroupChange>>);

impl GroupChanges {
    /// A task of the queue came into the group.
    pub(super) fn submit(&mut self, queue: i64, group: &str, now: Timestamp) {
        self.of(queue, group, now).submit(now);
    }

    /// A task of the queue and the group, if it has one, went from one state to another.
    pub(super) fn shift(
        &mut self,
        queue: i64,
        group: Option<&str>,
        (from, to): (TaskState, TaskState),
        now: Timestamp,
    ) {
        if let Some(group) = group {
            self.of(queue, group, now).shift(from, to, 1, now);
        }
    }

    fn of(&mut self, queue: i64, group: &str, now: Timestamp) -> &mut GroupChange {
        self.0.entry(queue).or_default().entry(group.to_owned()).or_insert_with(|| GroupChange::at(now))
    }

    /// Writes them down.
    pub(super) fn save(self, step: &Step<'_>) -> Result<()> {
        for (queue, groups) in self.0 {
            let tenant = step.tenant_of_queue(queue)?;
            for (name, change) in groups {
                let GroupChange { total, succeeded, dead, cancelled, first_at, changed_at } = change;
                let open = total - succeeded - dead - cancelled;
                let (first_at, changed_at) = (first_at.as_micros(), changed_at.as_micros());
                let parameters =
                    params![tenant, name, total, open, succeeded, dead, cancelled, first_at, changed_at];
                step.prepare(CHANGE)?.execute(parameters).map_err(failed)?;
            }
        }
        Ok(())
    }
}

const CHANGE: &str = "
    INSERT INTO task_groups (tenant_id, name, total, open, succeeded, dead, cancelled, first_at, changed_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
    ON CONFLICT DO UPDATE SET total = total + excluded.total, open = open + excluded.open,
        succeeded = succeeded + excluded.succeeded, dead = dead + excluded.dead, cancelled = cancelled + excluded.cancelled,
        changed_at = max(changed_at, excluded.changed_at)";

/// The counts of a group as they are read: name, total, succeeded, dead, cancelled, first submission, last change.
type GroupRow = (String, i64, i64, i64, i64, Timestamp, Timestamp);

fn group((name, total, succeeded, dead, cancelled, first_at, changed_at): GroupRow) -> Group {
    Group { name, total, succeeded, dead, cancelled, first_at, changed_at }
}

/// One of a tenant's groups.
pub(super) async fn one(readers: &Readers, tenant: &TenantName, name: &str) -> Result<Option<Group>> {
    let statement = query(
        "SELECT json_array(g.name, g.total, g.succeeded, g.dead, g.cancelled, g.first_at, g.changed_at)
         FROM tenants n JOIN task_groups g ON g.tenant_id = n.id WHERE n.name = ?1 AND g.name = ?2",
    );
    let row: Option<GroupRow> =
        readers.row(statement.bind(tenant.as_str()).bind(clean(name.to_owned()))).await?;
    Ok(row.map(group))
}

/// A page of a tenant's groups, by name.
pub(super) async fn page(readers: &Readers, tenant: &TenantName, page: PageRequest) -> Result<Page<Group>> {
    let scope = ["groups", tenant.as_str()];
    let after: String = token::decode(&scope, &page.token)?.unwrap_or_default();
    let statement = query(
        "SELECT json_array(g.name, g.total, g.succeeded, g.dead, g.cancelled, g.first_at, g.changed_at)
         FROM tenants n CROSS JOIN task_groups g ON g.tenant_id = n.id
         WHERE n.name = ?1 AND g.name > ?2 ORDER BY g.name LIMIT ?3",
    );
    let statement = statement.bind(tenant.as_str()).bind(after).bind(i64::from(page.size) + 1);
    let rows: Vec<GroupRow> = readers.rows(statement).await?;
    let groups = rows.into_iter().map(group).collect();
    Ok(Page::cut(groups, page.size, |last: &Group| token::encode(&scope, &last.name)))
}

/// Removes groups that have ended and did not change since this moment: how many there are at most.
pub(super) const SWEEP: &str = "
    DELETE FROM task_groups WHERE (tenant_id, name) IN
        (SELECT tenant_id, name FROM task_groups WHERE open <= 0 AND changed_at <= ?1 ORDER BY changed_at LIMIT ?2)";
