//! Counts as sums of changes: what a step adds, and how they are read and folded.

use std::collections::HashMap;

use sqlx::query_as;
use tidemill_kernel::{TenantName, Timestamp};
use tidemill_store::Result;
use tidemill_store::content::Counts;
use tidemill_store::task::{GroupChange, TaskState};

use crate::database::Database;
use crate::reader::Source;

/// After so many changes they are folded.
pub(crate) const FOLD_AFTER: u64 = 2_000;

/// What of a tenant's content is counted; tasks are counted by the number of their state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Documents = 11,
    Queries = 12,
    Sources = 13,
    Matches = 14,
    Analyses = 15,
}

/// By how much a step changes the counts.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    content: HashMap<(i64, i32), i64>,
    tasks: HashMap<(i64, i32, String), [i64; TaskState::ALL.len()]>,
    groups: HashMap<(i64, String), GroupChange>,
}

/// Changes of groups as columns.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct GroupColumns {
    pub(crate) tenants: Vec<i64>,
    pub(crate) names: Vec<String>,
    pub(crate) totals: Vec<i64>,
    pub(crate) succeeded: Vec<i64>,
    pub(crate) dead: Vec<i64>,
    pub(crate) cancelled: Vec<i64>,
    pub(crate) first_at: Vec<i64>,
    pub(crate) changed_at: Vec<i64>,
}

/// Changes as columns.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Columns {
    pub(crate) tenants: Vec<i64>,
    pub(crate) whats: Vec<i32>,
    pub(crate) priorities: Vec<i32>,
    pub(crate) kinds: Vec<String>,
    pub(crate) changes: Vec<i64>,
}

impl Changes {
    pub(crate) fn content(&mut self, tenant: i64, what: Content, change: i64) {
        *self.content.entry((tenant, what as i32)).or_default() += change;
    }

    /// A task was made in this state, or came into it.
    pub(crate) fn task(&mut self, tenant: i64, priority: i32, kind: &str, state: TaskState, change: i64) {
        // States are numbered from 1.
        self.tasks.entry((tenant, priority, kind.to_owned())).or_default()[state as usize - 1] += change;
    }

    /// A task went from one state to another.
    pub(crate) fn shift(&mut self, tenant: i64, priority: i32, kind: &str, from: TaskState, to: TaskState) {
        let counts = self.tasks.entry((tenant, priority, kind.to_owned())).or_default();
        counts[from as usize - 1] -= 1;
        counts[to as usize - 1] += 1;
    }

    /// What changes of a tenant's group.
    pub(crate) fn group(&mut self, tenant: i64, name: &str, now: Timestamp) -> &mut GroupChange {
        self.groups.entry((tenant, name.to_owned())).or_insert_with(|| GroupChange::at(now))
    }

    /// Those of groups, which are taken out.
    pub(crate) fn take_groups(&mut self) -> GroupColumns {
        let mut columns = GroupColumns::default();
        for ((tenant, name), change) in self.groups.drain() {
            columns.tenants.push(tenant);
            columns.names.push(name);
            columns.totals.push(change.total);
            columns.succeeded.push(change.succeeded);
            columns.dead.push(change.dead);
            columns.cancelled.push(change.cancelled);
            columns.first_at.push(change.first_at.as_micros());
            columns.changed_at.push(change.changed_at.as_micros());
        }
        columns
    }

    /// Those that change anything.
    pub(crate) fn into_columns(self) -> Columns {
        let mut columns = Columns::default();
        for ((tenant, what), change) in self.content {
            columns.push(tenant, what, 0, "", change);
        }
        for ((tenant, priority, kind), counts) in self.tasks {
            for (state, change) in TaskState::ALL.iter().zip(counts) {
                columns.push(tenant, state.number(), priority, &kind, change);
            }
        }
        columns
    }
}

impl Columns {
    fn push(&mut self, tenant: i64, what: i32, priority: i32, kind: &str, change: i64) {
        if change != 0 {
            self.tenants.push(tenant);
            self.whats.push(what);
            self.priorities.push(priority);
            self.kinds.push(kind.to_owned());
            self.changes.push(change);
        }
    }
}

/// How much of everything a tenant has.
pub(crate) async fn content(source: &Source, tenant: &TenantName) -> Result<Counts> {
    let rows = || {
        query_as::<_, (i32, i64)>(
            "SELECT c.what, c.count FROM present_counts c
             WHERE c.tenant_id = (SELECT id FROM tenants WHERE name = $1) AND c.what > 10",
        )
        .bind(tenant.as_str())
    };
    let rows: HashMap<i32, i64> = source.rows(rows).await?.into_iter().collect();
    let count = |what: Content| rows.get(&(what as i32)).copied().unwrap_or(0);
    Ok(Counts {
        documents: count(Content::Documents),
        queries: count(Content::Queries),
        sources: count(Content::Sources),
        matches: count(Content::Matches),
        analyses: count(Content::Analyses),
    })
}

/// Folds the changes into the counts; another time if it fails.
pub(crate) async fn fold(database: &Database) {
    if let Err(error) = sqlx::raw_sql("SELECT fold_counts()").execute(&database.pool).await {
        tracing::debug!(%error, "the counts were not folded");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_columns_add_up_to_what_was_changed(
            steps in prop::collection::vec((0_i64..3, 0_i32..2, 0_usize..2, 0_usize..5, 0_usize..5, any::<bool>()), 0..60),
        ) {
            let (mut changes, mut model) = (Changes::default(), HashMap::new());
            for (tenant, priority, kind, from, to, is_content) in steps {
                let kind = ["analyze", "collect"][kind];
                let (from, to) = (TaskState::ALL[from], TaskState::ALL[to]);
                if is_content {
                    changes.content(tenant, Content::Matches, 2);
                    *model.entry((tenant, 14, 0, String::new())).or_insert(0) += 2;
                } else {
                    changes.shift(tenant, priority, kind, from, to);
                    changes.task(tenant, priority, kind, to, 3);
                    *model.entry((tenant, from.number(), priority, kind.to_owned())).or_insert(0) -= 1;
                    *model.entry((tenant, to.number(), priority, kind.to_owned())).or_insert(0) += 4;
                }
            }
            model.retain(|_, change| *change != 0);
            let columns = changes.into_columns();
            let mut added = HashMap::new();
            for row in 0..columns.tenants.len() {
                let key =
                    (columns.tenants[row], columns.whats[row], columns.priorities[row], columns.kinds[row].clone());
                prop_assert!(added.insert(key, columns.changes[row]).is_none(), "a count is changed once");
            }
            prop_assert_eq!(added, model);
        }
    }
}
