//! Counts of tasks by tenant, priority, kind and state: changed by each step for its whole batch at once.

use std::collections::HashMap;

use tidemill_kernel::{Priority, TenantName};
use tidemill_store::Result;
use tidemill_store::task::{QueueDepth, Queues, TaskCount, TaskState};

use super::row::{priority, state};
use crate::reader::Readers;
use crate::statement::query;
use crate::writer::{Step, encode};

/// By how much the counts change. Tasks of one queue come in runs, so the queue of the last one is looked at first.
#[derive(Debug, Default)]
pub(super) struct Changes {
    queues: HashMap<(i64, i32, String), usize>,
    counts: Vec<[i64; TaskState::ALL.len()]>,
    last: Option<((i64, i32, String), usize)>,
}

impl Changes {
    /// A task was made in this state, or came into it.
    pub(super) fn add(&mut self, tenant: i64, priority: i32, kind: &str, state: TaskState, count: i64) {
        let index = self.index(tenant, priority, kind);
        // States are numbered from 1.
        self.counts[index][state as usize - 1] += count;
    }

    fn index(&mut self, tenant: i64, priority: i32, kind: &str) -> usize {
        if let Some(((last_tenant, last_priority, last_kind), index)) = &self.last
            && (*last_tenant, *last_priority, last_kind.as_str()) == (tenant, priority, kind)
        {
            return *index;
        }
        let key = (tenant, priority, kind.to_owned());
        let next = self.counts.len();
        let index = *self.queues.entry(key.clone()).or_insert(next);
        if index == next {
            self.counts.push([0; TaskState::ALL.len()]);
        }
        self.last = Some((key, index));
        index
    }

    /// A task went from one state to another.
    pub(super) fn shift(&mut self, tenant: i64, priority: i32, kind: &str, from: TaskState, to: TaskState) {
        self.add(tenant, priority, kind, from, -1);
        self.add(tenant, priority, kind, to, 1);
    }

    /// The rows that the statement takes.
    fn encode(&self) -> Result<String> {
        let mut rows = Vec::new();
        for ((tenant, priority, kind), index) in &self.queues {
            let changed = TaskState::ALL.iter().zip(&self.counts[*index]).filter(|(_, count)| **count != 0);
            rows.extend(changed.map(|(state, count)| (*tenant, *priority, kind, state.number(), *count)));
        }
        encode(&rows)
    }

    /// Writes them down.
    pub(super) fn save(self, step: &mut Step<'_>) -> Result<()> {
        if !self.queues.is_empty() {
            step.execute(query(CHANGE).bind(self.encode()?))?;
        }
        Ok(())
    }
}

const CHANGE: &str = "
    INSERT INTO task_counts (tenant_id, priority, kind, state, count)
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
           json_extract(value, '$[3]'), json_extract(value, '$[4]')
    FROM jsonb_each(?1) WHERE true
    ON CONFLICT DO UPDATE SET count = count + excluded.count";

/// Tenant, priority, kind, how many wait.
type DepthRow = (TenantName, i32, String, i64);

/// The queues that have waiting tasks, and the last place in the log.
pub(super) async fn queues(readers: &Readers) -> Result<Queues> {
    let statement = query(
        "SELECT json_array(
             (SELECT json_group_array(json_array(n.name, c.priority, c.kind, c.count))
              FROM task_counts c JOIN tenants n ON n.id = c.tenant_id WHERE c.state = 1 AND c.count > 0),
             coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'tasks'), 0))",
    );
    let row: Option<(Vec<DepthRow>, i64)> = readers.row(statement).await?;
    let (depths, last_sequence) = row.unwrap_or_default();
    let depth = |(tenant, number, kind, waiting): DepthRow| -> Result<QueueDepth> {
        Ok(QueueDepth { tenant, priority: priority(number)?, kind, waiting })
    };
    Ok(Queues { depths: depths.into_iter().map(depth).collect::<Result<_>>()?, last_sequence })
}

/// A tenant's tasks by priority and state.
pub(super) async fn of(readers: &Readers, tenant: &TenantName) -> Result<Vec<TaskCount>> {
    let statement = query(
        "SELECT json_array(c.priority, c.state, sum(c.count))
         FROM task_counts c JOIN tenants n ON n.id = c.tenant_id WHERE n.name = ?1
         GROUP BY c.priority, c.state HAVING sum(c.count) > 0 ORDER BY c.priority, c.state",
    );
    let rows: Vec<(i32, i32, i64)> = readers.rows(statement.bind(tenant.as_str())).await?;
    let count = |(number, at, count)| -> Result<TaskCount> {
        let priority: Priority = priority(number)?;
        Ok(TaskCount { priority, state: state(at)?, count })
    };
    rows.into_iter().map(count).collect()
}
