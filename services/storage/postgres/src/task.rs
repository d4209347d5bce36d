//! The queue's log: each method one line to the file of its noun.

mod append;
mod cancel;
mod columns;
mod fence;
mod find;
mod groups;
mod insert;
mod keys;
mod list;
mod prioritise;
mod read;
mod record;
mod revive;
mod row;
mod select;
mod settle;
mod shards;
mod sweep;

use std::time::Duration;

use async_trait::async_trait;
use tidemill_kernel::{Id, Page, PageRequest, Priority, Shard, TenantName, Timestamp};
use tidemill_store::Result;
use tidemill_store::task::{
    AppendedTask, Board, Claim, Completion, Failure, Fence, Group, Progress, QueueDepth, Queues,
    RecordedLease, Reference, Selection, Settled, Standing, Steered, Task, TaskCount, TaskState, TaskStore,
    TenantTasks,
};

use crate::PostgresStore;

pub(crate) use append::AppendTasks;
pub(crate) use cancel::cancel_of_query;
pub(crate) use insert::{NewRow, insert};
pub(crate) use row::{id, priority, uuid};
pub(crate) use settle::SettleTasks;

#[async_trait]
impl TaskStore for PostgresStore {
    async fn append_tasks(
        &self,
        batches: Vec<TenantTasks>,
        now: Timestamp,
    ) -> Result<Vec<Vec<AppendedTask>>> {
        self.lanes.appends.call(AppendTasks::new(batches, now)).await
    }

    async fn claim_shards(&self, claim: Claim, now: Timestamp) -> Result<Board> {
        self.database.write(shards::ClaimShards::new(claim, now)).await
    }

    async fn record_leases(
        &self,
        fence: Fence,
        leases: Vec<RecordedLease>,
        given_back: Vec<Id>,
    ) -> Result<Vec<Id>> {
        self.database.write(record::RecordLeases::new(fence, leases, given_back)).await
    }

    async fn save_progress(&self, fence: Fence, progress: Vec<Progress>) -> Result<()> {
        self.database.write(record::SaveProgress::new(fence, progress)).await
    }

    async fn settle_tasks(
        &self,
        fence: Fence,
        completions: Vec<Completion>,
        failures: Vec<Failure>,
        now: Timestamp,
    ) -> Result<Settled> {
        self.lanes.settles.call(SettleTasks::new(fence, completions, failures, now)).await
    }

    async fn cancel_task(&self, tenant: &TenantName, id: Id, now: Timestamp) -> Result<Task> {
        self.database.write(cancel::CancelTask { tenant: tenant.clone(), id, now }).await
    }

    async fn revive_task(&self, tenant: &TenantName, id: Id, now: Timestamp) -> Result<Task> {
        self.database.write(revive::ReviveTask { tenant: tenant.clone(), id, now }).await
    }

    async fn prioritise_task(&self, tenant: &TenantName, id: Id, priority: Priority) -> Result<Task> {
        self.database.write(prioritise::PrioritiseTask { tenant: tenant.clone(), id, priority }).await
    }

    async fn steer_tasks(
        &self,
        tenant: &TenantName,
        selection: Selection,
        now: Timestamp,
    ) -> Result<Steered> {
        if selection.is_dry {
            return select::dry(&self.database.primary, tenant, selection).await;
        }
        self.database.write(select::SteerTasks::new(tenant, selection, now)).await
    }

    async fn task(&self, tenant: &TenantName, id: Id) -> Result<Option<Task>> {
        read::task(&self.database.primary, tenant, id).await
    }

    async fn find_tasks(
        &self,
        tenant: &TenantName,
        references: Vec<Reference>,
    ) -> Result<Vec<Option<Standing>>> {
        find::standings(&self.database, tenant, references).await
    }

    async fn page_tasks(
        &self,
        tenant: &TenantName,
        state: Option<TaskState>,
        kind: Option<&str>,
        page: PageRequest,
    ) -> Result<Page<Task>> {
        self.read(async |source| list::page(&source, tenant, state, kind, page.clone()).await).await
    }

    async fn queues(&self, shard: Shard) -> Result<Queues> {
        read::queues(&self.database.primary, shard).await
    }

    async fn depths(&self, shards: &[Shard]) -> Result<Vec<QueueDepth>> {
        read::depths(&self.database.primary, shards).await
    }

    async fn load_waiting(
        &self,
        tenant: &TenantName,
        priority: Priority,
        kind: &str,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Task>> {
        read::waiting(&self.database.primary, tenant, priority, kind, after, limit).await
    }

    async fn load_new(&self, shard: Shard, after: i64, limit: u32) -> Result<Vec<Task>> {
        read::new(&self.database, shard, after, limit).await
    }

    async fn load_tasks(&self, tasks: Vec<Id>) -> Result<Vec<Task>> {
        read::some(&self.database, &tasks).await
    }

    async fn load_running(&self, shard: Shard, after: i64, limit: u32) -> Result<Vec<(Task, Id)>> {
        read::running(&self.database, shard, after, limit).await
    }

    async fn count_tasks(&self, tenant: &TenantName) -> Result<Vec<TaskCount>> {
        self.read(async |source| read::counts(&source, tenant).await).await
    }

    async fn group(&self, tenant: &TenantName, name: &str) -> Result<Option<Group>> {
        groups::one(&self.database.primary, tenant, name).await
    }

    async fn page_groups(&self, tenant: &TenantName, page: PageRequest) -> Result<Page<Group>> {
        self.read(async |source| groups::page(&source, tenant, page.clone()).await).await
    }

    async fn sweep(&self, keep: Duration, limit: u32, now: Timestamp) -> Result<u64> {
        sweep::sweep(&self.database, keep, limit, now).await
    }
}
