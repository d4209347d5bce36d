//! The queue's log in memory. A row is the task as its ended attempts left it, and its recorded lease beside it.

mod attempts;
mod groups;
mod log;
mod shards;
mod steer;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use tidemill_kernel::{Id, Page, PageRequest, Priority, Shard, TenantName, Timestamp};

use super::{MemoryStore, Row};
use crate::page::{cut, load};
use crate::task::{
    AppendedTask, Board, Claim, Completion, Failure, Fence, Group, Progress, QueueDepth, Queues,
    RecordedLease, Reference, Selection, Settled, Standing, Steered, Task, TaskCount, TaskState, TaskStore,
    TenantTasks,
};
use crate::{Error, Result, token};

#[async_trait]
impl TaskStore for MemoryStore {
    async fn append_tasks(
        &self,
        batches: Vec<TenantTasks>,
        now: Timestamp,
    ) -> Result<Vec<Vec<AppendedTask>>> {
        let mut state = self.state();
        for batch in &batches {
            state.has_tenant(&batch.tenant)?;
        }
        let mut append = |TenantTasks { tenant, tasks }: TenantTasks| {
            tasks.into_iter().map(|task| state.append_task(&tenant, task.cleaned(), now)).collect()
        };
        Ok(batches.into_iter().map(&mut append).collect())
    }

    async fn claim_shards(&self, claim: Claim, now: Timestamp) -> Result<Board> {
        Ok(self.state().claim(claim, now))
    }

    async fn record_leases(
        &self,
        fence: Fence,
        leases: Vec<RecordedLease>,
        given_back: Vec<Id>,
    ) -> Result<Vec<Id>> {
        let mut state = self.state();
        state.check_fence(&fence)?;
        Ok(state.record(leases, &given_back))
    }

    async fn save_progress(&self, fence: Fence, progress: Vec<Progress>) -> Result<()> {
        let mut state = self.state();
        state.check_fence(&fence)?;
        progress.into_iter().for_each(|progress| state.save_progress(progress.cleaned()));
        Ok(())
    }

    async fn settle_tasks(
        &self,
        fence: Fence,
        completions: Vec<Completion>,
        failures: Vec<Failure>,
        now: Timestamp,
    ) -> Result<Settled> {
        let mut state = self.state();
        state.check_fence(&fence)?;
        Ok(state.settle(completions, failures, now))
    }

    async fn cancel_task(&self, tenant: &TenantName, id: Id, now: Timestamp) -> Result<Task> {
        let mut state = self.state();
        let row = state.tenant_task(tenant, id)?;
        match row.task.state {
            TaskState::Waiting | TaskState::Running => {
                row.cancel(now);
                let cancelled = row.shown();
                state.shift_group(&cancelled, TaskState::Waiting, now);
                Ok(cancelled)
            }
            TaskState::Cancelled => Ok(row.shown()),
            TaskState::Succeeded | TaskState::Dead => Err(Error::cannot_cancel(id, row.task.state)),
        }
    }

    async fn revive_task(&self, tenant: &TenantName, id: Id, now: Timestamp) -> Result<Task> {
        let mut state = self.state();
        let row = state.tenant_task(tenant, id)?;
        if !matches!(row.task.state, TaskState::Dead | TaskState::Cancelled) {
            return Err(Error::cannot_revive(id, row.shown().state));
        }
        let before = row.task.state;
        row.revive(now);
        let revived = row.shown();
        state.shift_group(&revived, before, now);
        Ok(revived)
    }

    async fn prioritise_task(&self, tenant: &TenantName, id: Id, priority: Priority) -> Result<Task> {
        let mut state = self.state();
        let row = state.tenant_task(tenant, id)?;
        if row.is_finished() {
            return Err(Error::cannot_prioritise(id, row.task.state));
        }
        row.task.new.priority = priority;
        Ok(row.shown())
    }

    async fn steer_tasks(
        &self,
        tenant: &TenantName,
        selection: Selection,
        now: Timestamp,
    ) -> Result<Steered> {
        Ok(self.state().steer(tenant, &selection, now))
    }

    async fn task(&self, tenant: &TenantName, id: Id) -> Result<Option<Task>> {
        Ok(self.state().tenant_task(tenant, id).ok().map(|row| row.shown()))
    }

    async fn find_tasks(
        &self,
        tenant: &TenantName,
        references: Vec<Reference>,
    ) -> Result<Vec<Option<Standing>>> {
        let mut state = self.state();
        Ok(references.into_iter().map(|reference| state.standing(tenant, reference)).collect())
    }

    async fn page_tasks(
        &self,
        tenant: &TenantName,
        state: Option<TaskState>,
        kind: Option<&str>,
        page: PageRequest,
    ) -> Result<Page<Task>> {
        let scope = ["tasks", tenant.as_str(), state.map_or("", TaskState::name), kind.unwrap_or("")];
        let before = token::decode(&scope, &page.token)?.unwrap_or(i64::MAX);
        let store = self.state();
        let rows = store.tasks.range(..before).rev().map(|(_, row)| row);
        let rows = rows.filter(|row| row.task.tenant == *tenant);
        let rows = rows.filter(|row| kind.is_none_or(|kind| row.task.new.kind == kind));
        let rows = rows.map(Row::shown).filter(|task| state.is_none_or(|state| task.state == state));
        let rows = rows.take(page.size as usize + 1).collect();
        Ok(cut(rows, page.size, Task::bytes, |task| token::encode(&scope, &task.id.place())))
    }

    async fn queues(&self, shard: Shard) -> Result<Queues> {
        // The place first: what comes meanwhile is behind it.
        let last_place = shard.place(self.state().last_count(shard));
        Ok(Queues { depths: self.depths(&[shard]).await?, last_place })
    }

    async fn depths(&self, shards: &[Shard]) -> Result<Vec<QueueDepth>> {
        let state = self.state();
        let mut depths = BTreeMap::new();
        let rows = shards.iter().flat_map(|shard| state.unfinished(*shard, shard.place(0)));
        for row in rows.filter(|row| row.lease.is_none()) {
            let Task { tenant, new, .. } = &row.task;
            *depths.entry((tenant.clone(), new.priority, new.kind.clone())).or_insert(0) += 1;
        }
        let depth = |((tenant, priority, kind), waiting)| QueueDepth { tenant, priority, kind, waiting };
        Ok(depths.into_iter().map(depth).collect())
    }

    async fn load_waiting(
        &self,
        tenant: &TenantName,
        priority: Priority,
        kind: &str,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Task>> {
        let state = self.state();
        let rows = state.unfinished(Shard::of_tenant(tenant), after);
        let of_queue = |Row { task, .. }: &&Row| {
            task.tenant == *tenant && task.new.priority == priority && task.new.kind == kind
        };
        Ok(load(rows.filter(of_queue).map(Row::shown), limit, Task::bytes))
    }

    async fn load_new(&self, shard: Shard, after: i64, limit: u32) -> Result<Vec<Task>> {
        Ok(load(self.state().unfinished(shard, after).map(|row| row.shown()), limit, Task::bytes))
    }

    async fn load_tasks(&self, tasks: Vec<Id>) -> Result<Vec<Task>> {
        let mut state = self.state();
        let tasks = tasks.into_iter().filter_map(|id| Some(state.unfinished_task(id)?.shown()));
        Ok(load(tasks, u32::MAX, Task::bytes))
    }

    async fn load_running(&self, shard: Shard, after: i64, limit: u32) -> Result<Vec<(Task, Id)>> {
        let state = self.state();
        let rows = state.unfinished(shard, after);
        let running = rows.filter_map(|row| Some((row.shown(), row.lease.as_ref()?.token)));
        Ok(load(running, limit, |(task, _)| task.bytes()))
    }

    async fn count_tasks(&self, tenant: &TenantName) -> Result<Vec<TaskCount>> {
        let state = self.state();
        let mut counts = BTreeMap::new();
        let rows = state.tasks.values().filter(|row| row.task.tenant == *tenant);
        for row in rows {
            *counts.entry((row.task.new.priority, row.state())).or_insert(0) += 1;
        }
        for ((of, priority, state), count) in &state.removed {
            if of == tenant {
                *counts.entry((*priority, *state)).or_insert(0) += count;
            }
        }
        let counts = counts.into_iter();
        Ok(counts.map(|((priority, state), count)| TaskCount { priority, state, count }).collect())
    }

    async fn group(&self, tenant: &TenantName, name: &str) -> Result<Option<Group>> {
        Ok(self.state().group(tenant, name).cloned())
    }

    async fn page_groups(&self, tenant: &TenantName, page: PageRequest) -> Result<Page<Group>> {
        let scope = ["groups", tenant.as_str()];
        let after: String = token::decode(&scope, &page.token)?.unwrap_or_default();
        let groups = self.state().groups_behind(tenant, after, page.size as usize + 1);
        Ok(Page::cut(groups, page.size, |last: &Group| token::encode(&scope, &last.name)))
    }

    async fn sweep(&self, keep: Duration, limit: u32, now: Timestamp) -> Result<u64> {
        Ok(self.state().sweep(keep, limit, now))
    }
}
