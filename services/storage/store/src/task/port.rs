//! The steps.

use std::time::Duration;

use async_trait::async_trait;
use tidemill_kernel::{Id, Page, PageRequest, Priority, Shard, TenantName, Timestamp};

use super::{
    AppendedTask, Board, Claim, Completion, Failure, Fence, Group, Progress, QueueDepth, Queues,
    RecordedLease, Reference, Selection, Settled, Standing, Steered, Task, TaskCount, TaskState, TenantTasks,
};
use crate::Result;

/// The queue's durable log.
///
/// Places of a shard are given in the order of commits: who sees one sees all before it that there will ever be. They may
/// have gaps. A task is known by its whole id: at the right place with another moment it is unknown.
///
/// Whatever makes a task that has a group, ends it or puts it back changes the group's counts in the same step: whoever reads a
/// group sees all of a step or nothing of it.
///
/// A step under a [`Fence`] that has passed is [`crate::Error::Fenced`] and changes nothing; one with nothing else in it
/// may be answered without a look at its fence. No step names a task twice, but for [`Self::settle_tasks`].
#[async_trait]
pub trait TaskStore: Send + Sync + 'static {
    /// Stores tasks of several tenants, each named once, all or none; what became of each, by tenant and in order; a
    /// tenant's places rise in the given order. A task whose key the tenant has already, also within the batch, is not
    /// stored: a key is taken until it is swept, whatever becomes of its task, unless a `unique` one takes it over from one that
    /// has ended. [`crate::Error::NotFound`] without a
    /// tenant.
    async fn append_tasks(&self, batches: Vec<TenantTasks>, now: Timestamp)
    -> Result<Vec<Vec<AppendedTask>>>;

    /// Renews, takes and gives up shards; how everything stands after that.
    async fn claim_shards(&self, claim: Claim, now: Timestamp) -> Result<Board>;

    /// Forgets the leases given back, after which their tasks stand as before the attempt, then writes down leases of
    /// tasks that are not finished; one takes the place of another that its task has. Returns, in no order, the tasks
    /// among the leases that are finished or unknown: whoever runs them does it in vain. Recording a lease again
    /// changes nothing; a lease whose task ends at the same moment leaves no trace. A lease of an attempt that has
    /// failed and is tried again is not told from one of the next: its owner records none that he has settled.
    async fn record_leases(
        &self,
        fence: Fence,
        leases: Vec<RecordedLease>,
        given_back: Vec<Id>,
    ) -> Result<Vec<Id>>;

    /// Notes how far tasks are; a later attempt finds it. Those that are not in the queue any more are passed over.
    async fn save_progress(&self, fence: Fence, progress: Vec<Progress>) -> Result<()>;

    /// Ends attempts, and forgets their leases. Each counts only if its task is not finished; a task that is named
    /// twice counts once, the first time. What the attempt says of number, worker and start stays with the task, and so
    /// do its progress, its checkpoint and, after a success, its last error. A completion that counts stores its
    /// analysis (only if the match still exists and has none) and its follow-ups (under the rules of
    /// [`Self::append_tasks`], when all attempts have ended) in the same step. A success with a `keep` of zero leaves nothing but its count and its
    /// key.
    async fn settle_tasks(
        &self,
        fence: Fence,
        completions: Vec<Completion>,
        failures: Vec<Failure>,
        now: Timestamp,
    ) -> Result<Settled>;

    /// Cancels a task that is not finished, and forgets its recorded lease; what that told of number, worker and start
    /// stays with the task. [`crate::Error::NotFound`], or [`crate::Error::WrongState`] when it is finished otherwise;
    /// cancelling a cancelled one changes nothing.
    async fn cancel_task(&self, tenant: &TenantName, id: Id, now: Timestamp) -> Result<Task>;

    /// Puts a dead or cancelled task back at its old place: waiting, as if never started, runnable at `now`; its last
    /// error, progress and checkpoint stay. [`crate::Error::NotFound`], or [`crate::Error::WrongState`] for any other
    /// state.
    async fn revive_task(&self, tenant: &TenantName, id: Id, now: Timestamp) -> Result<Task>;

    /// Moves a task that is not finished to another priority, at its old place; a recorded lease stays. [`crate::Error::NotFound`],
    /// or [`crate::Error::WrongState`] when it is finished; the priority that it has already changes nothing.
    async fn prioritise_task(&self, tenant: &TenantName, id: Id, priority: Priority) -> Result<Task>;

    /// Cancels or puts back the tenant's tasks of a selection, all in one step: of the first few behind a place, in the order of
    /// places, those that fit. Whoever goes on behind the place that is returned, until there is none, has changed all
    /// that were there when he began and fit still; doing it again does no harm. Nothing without such a tenant.
    async fn steer_tasks(&self, tenant: &TenantName, selection: Selection, now: Timestamp)
    -> Result<Steered>;

    /// One task.
    async fn task(&self, tenant: &TenantName, id: Id) -> Result<Option<Task>>;

    /// How the tenant's tasks and groups stand that are named, in the given order and as of one moment; none for what is unknown,
    /// all of it without such a tenant. A success that was not kept is unknown by its id and stateless by its key.
    async fn find_tasks(
        &self,
        tenant: &TenantName,
        references: Vec<Reference>,
    ) -> Result<Vec<Option<Standing>>>;

    /// A page of tasks, newest first: by their places, the last one first.
    async fn page_tasks(
        &self,
        tenant: &TenantName,
        state: Option<TaskState>,
        kind: Option<&str>,
        page: PageRequest,
    ) -> Result<Page<Task>>;

    /// The queues of a shard that have waiting tasks.
    async fn queues(&self, shard: Shard) -> Result<Queues>;

    /// The queues of these shards that have waiting tasks.
    async fn depths(&self, shards: &[Shard]) -> Result<Vec<QueueDepth>>;

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

    /// Unfinished tasks of a shard after a place that have a recorded lease, with its token, in their order; bounded as
    /// [`Self::load_waiting`].
    async fn load_running(&self, shard: Shard, after: i64, limit: u32) -> Result<Vec<(Task, Id)>>;

    /// A tenant's tasks by priority and state; those without tasks are left out; in order. Finished ones count for
    /// ever, also if they were not kept or were swept.
    async fn count_tasks(&self, tenant: &TenantName) -> Result<Vec<TaskCount>>;

    /// One of the tenant's groups.
    async fn group(&self, tenant: &TenantName, name: &str) -> Result<Option<Group>>;

    /// A page of the tenant's groups, by name.
    async fn page_groups(&self, tenant: &TenantName, page: PageRequest) -> Result<Page<Group>>;

    /// Removes at most `limit` finished tasks, keys and groups whose time is over: successes with a `keep` of their own when
    /// they have been finished for that long, all others when they have been finished for `keep`; keys at `key_until`, or
    /// when their tasks have ended, whichever is later; groups without an open task when they have not changed for `keep`, after
    /// all tasks whose time is over. How many were removed; 0 when nothing is left to do. Where whole partitions go, they count as
    /// one, and their tasks and groups may go up to two days late, never early.
    async fn sweep(&self, keep: Duration, limit: u32, now: Timestamp) -> Result<u64>;
}
