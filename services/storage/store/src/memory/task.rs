//! The queue's log in memory.

mod leases;

use std::collections::BTreeMap;

use async_trait::async_trait;
use tidemill_kernel::{Id, Page, PageRequest, Priority, TenantName, Timestamp};

use super::{MemoryStore, Row, State};
use crate::page::cut;
use crate::task::{
    AppendedTask, Completion, Failure, Grant, LeaseRef, NewTask, QueueDepth, Queues, Running, Settled, Task,
    TaskCount, TaskState, TaskStore, Waiting,
};
use crate::{Error, Result, token};

#[async_trait]
impl TaskStore for MemoryStore {
    async fn append_tasks(
        &self,
        tenant: &TenantName,
        tasks: Vec<NewTask>,
        now: Timestamp,
    ) -> Result<Vec<AppendedTask>> {
        let mut state = self.state();
        state.has_tenant(tenant)?;
        for task in &tasks {
            state.check_task(tenant, task)?;
        }
        let mut appended = Vec::with_capacity(tasks.len());
        for task in tasks {
            let id = task.id;
            appended.push(match state.append_task(tenant, task.cleaned(), now) {
                Ok(sequence) => AppendedTask { id, duplicate: false, sequence },
                Err(id) => AppendedTask { id, duplicate: true, sequence: 0 },
            });
        }
        Ok(appended)
    }

    async fn lease_tasks(
        &self,
        grants: Vec<Grant>,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<(Task, Id)>> {
        let mut state = self.state();
        Ok(grants.into_iter().filter_map(|grant| state.lease(grant, expires_at, now)).collect())
    }

    async fn settle_tasks(
        &self,
        completions: Vec<Completion>,
        failures: Vec<Failure>,
        now: Timestamp,
    ) -> Result<Settled> {
        self.state().settle(completions, failures, now)
    }

    async fn renew_leases(&self, leases: Vec<LeaseRef>, expires_at: Timestamp) -> Result<Vec<Id>> {
        let mut state = self.state();
        Ok(leases
            .into_iter()
            .filter(|lease| !state.renew(lease, expires_at))
            .map(|lease| lease.task)
            .collect())
    }

    async fn release_leases(&self, leases: Vec<LeaseRef>, _now: Timestamp) -> Result<Vec<Waiting>> {
        let mut state = self.state();
        Ok(leases.iter().filter_map(|lease| state.release(lease)).collect())
    }

    async fn cancel_task(&self, tenant: &TenantName, id: Id, now: Timestamp) -> Result<Task> {
        let mut state = self.state();
        let row = state.task_mut(tenant, id)?.1;
        match row.task.state {
            TaskState::Waiting | TaskState::Running => row.cancel(now),
            TaskState::Cancelled => {}
            TaskState::Succeeded | TaskState::Dead => return Err(Error::cannot_cancel(id, row.task.state)),
        }
        Ok(row.task.clone())
    }

    async fn revive_task(&self, tenant: &TenantName, id: Id, now: Timestamp) -> Result<(Task, Waiting)> {
        let mut state = self.state();
        let (sequence, row) = state.task_mut(tenant, id)?;
        if !matches!(row.task.state, TaskState::Dead | TaskState::Cancelled) {
            return Err(Error::cannot_revive(id, row.task.state));
        }
        let task = &mut row.task;
        task.new.run_at = now;
        (task.state, task.attempt, task.started_at, task.finished_at) = (TaskState::Waiting, 0, None, None);
        task.worker.clear();
        Ok((task.clone(), task.waiting(sequence)))
    }

    async fn task(&self, tenant: &TenantName, id: Id) -> Result<Option<Task>> {
        Ok(self.state().task_mut(tenant, id).ok().map(|(_, row)| row.task.clone()))
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
        let rows = store.tasks.range(..before).rev().filter(|(_, row)| row.task.tenant == *tenant);
        let rows = rows.filter(|(_, row)| state.is_none_or(|state| row.task.state == state));
        let rows = rows.filter(|(_, row)| kind.is_none_or(|kind| row.task.new.kind == kind));
        let rows = rows.take(page.size as usize + 1).map(|(place, row)| (*place, row.task.clone())).collect();
        let bytes = |task: &Task| task.new.payload.len() + task.result.len() + task.error.len();
        let page = cut(rows, page.size, |(_, task)| bytes(task), |(place, _)| token::encode(&scope, place));
        Ok(page.map(|(_, task)| task))
    }

    async fn queues(&self) -> Result<Queues> {
        let state = self.state();
        let mut depths = BTreeMap::new();
        for Row { task, .. } in state.tasks.values().filter(|row| row.task.state == TaskState::Waiting) {
            *depths.entry((task.tenant.clone(), task.new.priority, task.new.kind.clone())).or_insert(0) += 1;
        }
        let depths = depths.into_iter();
        let depths =
            depths.map(|((tenant, priority, kind), waiting)| QueueDepth { tenant, priority, kind, waiting });
        Ok(Queues { depths: depths.collect(), last_sequence: state.last_sequence })
    }

    async fn load_waiting(
        &self,
        tenant: &TenantName,
        priority: Priority,
        kind: &str,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Waiting>> {
        let state = self.state();
        let rows = state.waiting(after).filter(|row| row.tenant == *tenant);
        Ok(rows.filter(|row| row.priority == priority && row.kind == kind).take(limit as usize).collect())
    }

    async fn load_new(&self, after: i64, limit: u32) -> Result<Vec<Waiting>> {
        Ok(self.state().waiting(after).take(limit as usize).collect())
    }

    async fn load_running(&self, after: i64, limit: u32) -> Result<Vec<Running>> {
        let state = self.state();
        let rows = state.tasks.iter().filter(|(place, _)| **place > after);
        Ok(rows.filter_map(|(place, row)| row.running(*place)).take(limit as usize).collect())
    }

    async fn count_tasks(&self, tenant: &TenantName) -> Result<Vec<TaskCount>> {
        let state = self.state();
        let mut counts = BTreeMap::new();
        for Row { task, .. } in state.tasks.values().filter(|row| row.task.tenant == *tenant) {
            *counts.entry((task.new.priority, task.state)).or_insert(0) += 1;
        }
        let counts = counts.into_iter();
        Ok(counts.map(|((priority, state), count)| TaskCount { priority, state, count }).collect())
    }
}

impl State {
    /// Refuses a task whose id another tenant's task has.
    pub(super) fn check_task(&self, tenant: &TenantName, task: &NewTask) -> Result<()> {
        let present = self.task_ids.get(&task.id).and_then(|place| self.tasks.get(place));
        if present.is_some_and(|row| row.task.tenant != *tenant) {
            return Err(Error::Exists { what: "task", name: task.id.to_string() });
        }
        Ok(())
    }

    /// Stores a task; its place in the log, or the id of the task that is there already. The tenant exists.
    pub(super) fn append_task(
        &mut self,
        tenant: &TenantName,
        new: NewTask,
        now: Timestamp,
    ) -> Result<i64, Id> {
        if self.task_ids.contains_key(&new.id) {
            return Err(new.id);
        }
        let key = (tenant.clone(), new.key.clone());
        if let Some(present) = self.task_keys.get(&key).and_then(|place| self.tasks.get(place)) {
            return Err(present.task.new.id);
        }
        self.last_sequence += 1;
        self.task_ids.insert(new.id, self.last_sequence);
        if !new.key.is_empty() {
            self.task_keys.insert(key, self.last_sequence);
        }
        self.tasks
            .insert(self.last_sequence, Row { task: Task::stored(new, tenant.clone(), now), lease: None });
        Ok(self.last_sequence)
    }

    fn waiting(&self, after: i64) -> impl Iterator<Item = Waiting> {
        let rows = self.tasks.iter().filter(move |(place, _)| **place > after);
        rows.filter(|(_, row)| row.task.state == TaskState::Waiting)
            .map(|(place, row)| row.task.waiting(*place))
    }

    fn task_mut(&mut self, tenant: &TenantName, id: Id) -> Result<(i64, &mut Row)> {
        let place = self.task_ids.get(&id).copied();
        let row = place.and_then(|place| Some((place, self.tasks.get_mut(&place)?)));
        row.filter(|(_, row)| row.task.tenant == *tenant)
            .ok_or_else(|| Error::NotFound { what: "task", name: id.to_string() })
    }
}
