//! Tasks appended to the log.

use async_trait::async_trait;
use tidemill_kernel::Timestamp;
use tidemill_store::task::{AppendedTask, NewTask, TenantTasks};

use super::insert::{self, NewRow};
use crate::writer::{Outcome, Step, Write};

/// One caller's tasks.
pub(crate) struct AppendTasks {
    batches: Vec<TenantTasks>,
    now: Timestamp,
}

impl AppendTasks {
    pub(super) fn new(batches: Vec<TenantTasks>, now: Timestamp) -> Self {
        let clean = |TenantTasks { tenant, tasks }: TenantTasks| TenantTasks {
            tenant,
            tasks: tasks.into_iter().map(NewTask::cleaned).collect(),
        };
        Self { batches: batches.into_iter().map(clean).collect(), now }
    }

    fn tasks(&self) -> impl Iterator<Item = &NewTask> {
        self.batches.iter().flat_map(|batch| &batch.tasks)
    }

    /// The rows that were appended, as they were sent.
    fn split(&self, appended: &mut impl Iterator<Item = AppendedTask>) -> Vec<Vec<AppendedTask>> {
        self.batches.iter().map(|batch| appended.take(batch.tasks.len()).collect()).collect()
    }
}

#[async_trait]
impl Write for AppendTasks {
    type Output = Vec<Vec<AppendedTask>>;

    fn bytes(&self) -> usize {
        self.tasks().map(|task| 100 + task.payload.len() + task.options.len() + task.key.len()).sum()
    }

    async fn run(calls: &[Self], step: &mut Step<'_>) -> Outcome<Vec<Self::Output>> {
        let mut rows = Vec::new();
        for call in calls {
            for TenantTasks { tenant: name, tasks } in &call.batches {
                let tenant = step.tenant(name).await?;
                rows.extend(tasks.iter().map(|task| NewRow::new(name, tenant, task, call.now)));
            }
        }
        let mut appended = insert::insert(&rows, step).await?.into_iter();
        Ok(calls.iter().map(|call| call.split(&mut appended)).collect())
    }

    async fn run_at_once(calls: &[Self], step: &mut Step<'_>) -> Option<Outcome<Vec<Self::Output>>> {
        let mut rows = Vec::with_capacity(calls.iter().map(|call| call.tasks().count()).sum());
        for call in calls {
            for TenantTasks { tenant: name, tasks } in &call.batches {
                let tenant = step.known_tenant(name)?;
                rows.extend(tasks.iter().map(|task| NewRow::new(name, tenant, task, call.now)));
            }
        }
        if rows.is_empty() || rows.iter().any(|row| !row.task.key.is_empty() || !row.task.group.is_empty()) {
            return None;
        }
        let appended = insert::insert_at_once(&rows, step).await;
        Some(appended.map(|appended| {
            let mut appended = appended.into_iter();
            calls.iter().map(|call| call.split(&mut appended)).collect()
        }))
    }
}
