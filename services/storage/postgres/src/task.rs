//! The queue's log: each method one line to the file of its noun.

mod append;
mod cancel;
mod held;
mod lease;
mod read;
mod revive;
mod row;
mod settle;

use async_trait::async_trait;
use tidemill_kernel::{Id, Page, PageRequest, Priority, TenantName, Timestamp};
use tidemill_store::Result;
use tidemill_store::task::{
    AppendedTask, Completion, Failure, Grant, LeaseRef, NewTask, Queues, Running, Settled, Task, TaskCount,
    TaskState, TaskStore, Waiting,
};

use crate::PostgresStore;

pub(crate) use append::{AppendTasks, NewRow, insert};
pub(crate) use cancel::cancel_of_query;
pub(crate) use lease::LeaseTasks;
pub(crate) use row::{id, priority, uuid};
pub(crate) use settle::SettleTasks;

#[async_trait]
impl TaskStore for PostgresStore {
    async fn append_tasks(
        &self,
        tenant: &TenantName,
        tasks: Vec<NewTask>,
        now: Timestamp,
    ) -> Result<Vec<AppendedTask>> {
        self.lanes.appends.call(AppendTasks::new(tenant.clone(), tasks, now)).await
    }

    async fn lease_tasks(
        &self,
        grants: Vec<Grant>,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<(Task, Id)>> {
        self.lanes.leases.call(LeaseTasks { grants, expires_at, now }).await
    }

    async fn settle_tasks(
        &self,
        completions: Vec<Completion>,
        failures: Vec<Failure>,
        now: Timestamp,
    ) -> Result<Settled> {
        self.lanes.settles.call(SettleTasks::new(completions, failures, now)).await
    }

    async fn renew_leases(&self, leases: Vec<LeaseRef>, expires_at: Timestamp) -> Result<Vec<Id>> {
        self.database.write(held::RenewLeases { leases, expires_at }).await
    }

    async fn release_leases(&self, leases: Vec<LeaseRef>, _now: Timestamp) -> Result<Vec<Waiting>> {
        self.database.write(held::ReleaseLeases { leases }).await
    }

    async fn cancel_task(&self, tenant: &TenantName, id: Id, now: Timestamp) -> Result<Task> {
        self.database.write(cancel::CancelTask { tenant: tenant.clone(), id, now }).await
    }

    async fn revive_task(&self, tenant: &TenantName, id: Id, now: Timestamp) -> Result<(Task, Waiting)> {
        self.database.write(revive::ReviveTask { tenant: tenant.clone(), id, now }).await
    }

    async fn task(&self, tenant: &TenantName, id: Id) -> Result<Option<Task>> {
        read::task(&self.database.primary, tenant, id).await
    }

    async fn page_tasks(
        &self,
        tenant: &TenantName,
        state: Option<TaskState>,
        kind: Option<&str>,
        page: PageRequest,
    ) -> Result<Page<Task>> {
        self.read(async |source| read::page(&source, tenant, state, kind, page.clone()).await).await
    }

    async fn queues(&self) -> Result<Queues> {
        read::queues(&self.database.primary).await
    }

    async fn load_waiting(
        &self,
        tenant: &TenantName,
        priority: Priority,
        kind: &str,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Waiting>> {
        read::waiting(&self.database.primary, tenant, priority, kind, after, limit).await
    }

    async fn load_new(&self, after: i64, limit: u32) -> Result<Vec<Waiting>> {
        read::new(&self.database.primary, after, limit).await
    }

    async fn load_running(&self, after: i64, limit: u32) -> Result<Vec<Running>> {
        read::running(&self.database.primary, after, limit).await
    }

    async fn count_tasks(&self, tenant: &TenantName) -> Result<Vec<TaskCount>> {
        self.read(async |source| read::counts(&source, tenant).await).await
    }
}
