//! The queue's log: each method one line to the file of its noun.

mod append;
mod find;
mod groups;
mod history;
mod page;
mod queues;
mod read;
mod record;
mod row;
mod select;
mod settle;
mod shards;
mod steer;

use std::time::Duration;

use async_trait::async_trait;
use tidemill_kernel::{Id, Page, PageRequest, Priority, Shard, TenantName, Timestamp};
use tidemill_store::Result;
use tidemill_store::task::{
    AppendedTask, Board, Claim, Completion, Failure, Fence, Group, Progress, QueueDepth, Queues,
    RecordedLease, Reference, Selection, Settled, Standing, Steered, Task, TaskCount, TaskState, TaskStore,
    TenantTasks,
};

use crate::SqliteStore;

pub(crate) use append::{NewRow, insert};
pub(crate) use queues::TaskMemo;
pub(crate) use row::priority;
pub(crate) use steer::cancel_of_query;

#[async_trait]
impl TaskStore for SqliteStore {
    async fn append_tasks(
        &self,
        batches: Vec<TenantTasks>,
        now: Timestamp,
    ) -> Result<Vec<Vec<AppendedTask>>> {
        self.writer.call(append::AppendTasks::new(batches, now)).await
    }

    async fn claim_shards(&self, claim: Claim, now: Timestamp) -> Result<Board> {
        self.writer.call(shards::ClaimShards { claim, now }).await
    }

    async fn record_leases(
        &self,
        fence: Fence,
        leases: Vec<RecordedLease>,
        given_back: Vec<Id>,
    ) -> Result<Vec<Id>> {
        self.writer.call(record::RecordLeases { fence, leases, given_back }).await
    }

    async fn save_progress(&self, fence: Fence, progress: Vec<Progress>) -> Result<()> {
        self.writer.call(record::SaveProgress::new(fence, progress)).await
    }

    async fn settle_tasks(
        &self,
        fence: Fence,
        completions: Vec<Completion>,
        failures: Vec<Failure>,
        now: Timestamp,
    ) -> Result<Settled> {
        self.writer.call(settle::SettleTasks::new(fence, completions, failures, now)).await
    }

    async fn cancel_task(&self, tenant: &TenantName, id: Id, now: Timestamp) -> Result<Task> {
        self.writer.call(steer::CancelTask { tenant: tenant.clone(), id, now }).await
    }

    async fn revive_task(&self, tenant: &TenantName, id: Id, now: Timestamp) -> Result<Task> {
        self.writer.call(steer::ReviveTask { tenant: tenant.clone(), id, now }).await
    }

    async fn prioritise_task(&self, tenant: &TenantName, id: Id, priority: Priority) -> Result<Task> {
        self.writer.call(steer::PrioritiseTask { tenant: tenant.clone(), id, priority }).await
    }

    async fn steer_tasks(
        &self,
        tenant: &TenantName,
        selection: Selection,
        now: Timestamp,
    ) -> Result<Steered> {
        if selection.is_dry {
            return select::dry(&self.readers, tenant, selection).await;
        }
        self.writer.call(select::SteerTasks::new(tenant, selection, now)).await
    }

    async fn task(&self, tenant: &TenantName, id: Id) -> Result<Option<Task>> {
        read::task(&self.readers, tenant, id).await
    }

    async fn find_tasks(
        &self,
        tenant: &TenantName,
        references: Vec<Reference>,
    ) -> Result<Vec<Option<Standing>>> {
        find::standings(&self.readers, tenant, references).await
    }

    async fn page_tasks(
        &self,
        tenant: &TenantName,
        state: Option<TaskState>,
        kind: Option<&str>,
        page: PageRequest,
    ) -> Result<Page<Task>> {
        page::page(&self.readers, tenant, state, kind, page).await
    }

    async fn queues(&self, shard: Shard) -> Result<Queues> {
        queues::queues(&self.readers, shard).await
    }

    async fn depths(&self, shards: &[Shard]) -> Result<Vec<QueueDepth>> {
        queues::depths(&self.readers, shards).await
    }

    async fn load_waiting(
        &self,
        tenant: &TenantName,
        priority: Priority,
        kind: &str,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Task>> {
        read::waiting(&self.readers, tenant, priority, kind, after, limit).await
    }

    async fn load_new(&self, shard: Shard, after: i64, limit: u32) -> Result<Vec<Task>> {
        read::new(&self.readers, shard, after, limit).await
    }

    async fn load_tasks(&self, tasks: Vec<Id>) -> Result<Vec<Task>> {
        read::single(&self.readers, tasks).await
    }

    async fn load_running(&self, shard: Shard, after: i64, limit: u32) -> Result<Vec<(Task, Id)>> {
        read::running(&self.readers, shard, after, limit).await
    }

    async fn count_tasks(&self, tenant: &TenantName) -> Result<Vec<TaskCount>> {
        queues::of(&self.readers, tenant).await
    }

    async fn group(&self, tenant: &TenantName, name: &str) -> Result<Option<Group>> {
        groups::one(&self.readers, tenant, name).await
    }

    async fn page_groups(&self, tenant: &TenantName, page: PageRequest) -> Result<Page<Group>> {
        groups::page(&self.readers, tenant, page).await
    }

    async fn sweep(&self, keep: Duration, limit: u32, now: Timestamp) -> Result<u64> {
        self.writer.call(history::Sweep { keep, limit, now }).await
    }
}
