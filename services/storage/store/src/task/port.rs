//! The steps.

use std::time::Duration;

use async_trait::async_trait;
use tidemill_kernel::{Id, Page, PageRequest, Priority, Shard, TenantName, Timestamp};

use super::{
    AppendedTask, Board, Claim, Completion, Failure, Fence, Progress, Queues, RecordedLease, Settled, Task,
    TaskCount, TaskState, TenantTasks,
};
use crate::Result;

/// The queue's durable log.
///
/// Places of a shard are given in the order of commits: who sees one sees all before it that there will ever be.
#[async_trait]
pub trait TaskStore: Send + Sync + 'static {
    /// Stores tasks of several tenants, all or none; what became of each, by tenant and in order. A task whose key the
    /// tenant has already, also within the batch, is not stored. [`crate::Error::NotFound`] without a tenant.
    async fn append_tasks(
        &self,
        batches: Vec<TenantTasks>,
        now: Timestamp,
    ) -> Result<Vec<Vec<AppendedTask>>>;

    /// Renews, takes and gives up shards; how everything stands after that.
    async fn claim_shards(&self, claim: Claim, now: Timestamp) -> Result<Board>;

    /// Writes down leases of tasks that are not finished, and forgets those given back. Returns the tasks among the
    /// leases that are finished or unknown: whoever runs them does it in vain. Recording a lease again changes
    /// nothing; a lease whose task ends at the same moment leaves no trace.
    async fn record_leases(
        &self,
        fence: Fence,
        leases: Vec<RecordedLease>,
        given_back: Vec<Id>,
    ) -> Result<Vec<Id>>;

    /// Notes how far tasks are. Those that are not in the queue any more are passed over.
    async fn save_progress(&self, fence: Fence, progress: Vec<Progress>) -> Result<()>;

    /// Ends attempts. Each counts only if its task is not finished; a task that is named twice counts once. A
    /// completion that counts stores its analysis (only if the match still exists and has none) and its follow-ups
    /// (under the rules of [`Self::append_tasks`]) in the same step. A success with a `keep` of zero leaves nothing
    /// but its count. [`crate::Error::Fenced`].
    async fn settle_tasks(
        &self,
        fence: Fence,
        completions: Vec<Completion>,
        failures: Vec<Failure>,
        now: Timestamp,
    ) -> Result<Settled>;

    /// Cancels a task that is not finished, and forgets its lease. [`crate::Error::NotFound`], or
    /// [`crate::Error::WrongState`] when it is; cancelling a cancelled one changes nothing.
    async fn cancel_task(&self, tenant: &TenantName, id: Id, now: Timestamp) -> Result<Task>;

    /// Puts a dead or cancelled task back at its old place: waiting, attempts counted anew, runnable at `now`; its last
    /// error stays. [`crate::Error::NotFound`], or [`crate::Error::WrongState`] for any other state.
    async fn revive_task(&self, tenant: &TenantName, id: Id, now: Timestamp) -> Result<Task>;

    /// One task.
    async fn task(&self, tenant: &TenantName, id: Id) -> Result<Option<Task>>;

    /// A page of tasks, newest first.
    async fn page_tasks(
        &self,
        tenant: &TenantName,
        state: Option<TaskState>,
        kind: Option<&str>,
        page: PageRequest,
    ) -> Result<Page<Task>>;

    /// The queues of a shard that have waiting tasks.
    async fn queues(&self, shard: Shard) -> Result<Queues>;

    /// Unfinished tasks of one queue after a place, in their order, recorded ones included; at most `limit`, and fewer,
    /// but never none, when they are large (about 4 MiB).
    async fn load_waiting(
        &self,
        tenant: &TenantName,
        priority: Priority,
        kind: &str,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Task>>;

    /// Unfinished tasks of a shard after a place, in their order; bounded as [`Self::load_waiting`].
    async fn load_new(&self, shard: Shard, after: i64, limit: u32) -> Result<Vec<Task>>;

    /// Those of these tasks that are not finished, in no order; at least one if there is any, and fewer than asked for
    /// when they are large (about 4 MiB).
    async fn load_tasks(&self, tasks: Vec<Id>) -> Result<Vec<Task>>;

    /// Unfinished tasks of a shard after a place that have a recorded lease, with its token, in their order.
    async fn load_running(&self, shard: Shard, after: i64, limit: u32) -> Result<Vec<(Task, Id)>>;

    /// A tenant's tasks by priority and state; those without tasks are left out; in order.
    async fn count_tasks(&self, tenant: &TenantName) -> Result<Vec<TaskCount>>;

    /// Removes at most `limit` finished tasks and keys whose time is over: tasks with a `keep` after that, others
    /// when they have been finished for `keep`; keys after `key_until`. How many were removed. Where whole
    /// partitions go, they count as one.
    async fn sweep(&self, keep: Duration, limit: u32, now: Timestamp) -> Result<u64>;
}
