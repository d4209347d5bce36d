//! The log's rows in memory: appended, found, removed.

use std::time::Duration;

use tidemill_kernel::{Id, Shard, TenantName, Timestamp};

use crate::memory::{Row, State};
use crate::task::{AppendedTask, NewTask, Reference, Standing, Task, TaskState};
use crate::text::clean;
use crate::{Error, Result};

impl State {
    /// Stores a task, unless its key is taken. The tenant exists.
    pub(in crate::memory) fn append_task(
        &mut self,
        tenant: &TenantName,
        new: NewTask,
        now: Timestamp,
    ) -> AppendedTask {
        let key = (tenant.clone(), new.key.clone());
        if let Some(id) = self.task_keys.get(&key).map(|(id, _)| *id)
            && (!new.unique || self.unfinished_task(id).is_some())
        {
            return AppendedTask { id, duplicate: true };
        }
        let shard = Shard::of_tenant(tenant);
        let count = self.last_count(shard) + 1;
        self.last_counts.insert(shard, count);
        let id = Id::placed(now, shard.place(count));
        if !new.key.is_empty() {
            self.task_keys.insert(key, (id, new.key_until));
        }
        let task = Task::stored(id, new, tenant.clone());
        self.submit_to_group(&task, now);
        self.tasks.insert(id.place(), Row { task, lease: None });
        AppendedTask { id, duplicate: false }
    }

    /// How many places of a shard were given.
    pub(super) fn last_count(&self, shard: Shard) -> i64 {
        self.last_counts.get(&shard).copied().unwrap_or(0)
    }

    /// The unfinished tasks of a shard after a place, in order.
    pub(super) fn unfinished(&self, shard: Shard, after: i64) -> impl Iterator<Item = &Row> {
        let rows = self.tasks.range(shard.places()).filter(move |(place, _)| **place > after);
        rows.map(|(_, row)| row).filter(|row| !row.is_finished())
    }

    /// The task with this id, if it is not finished.
    pub(in crate::memory) fn unfinished_task(&mut self, id: Id) -> Option<&mut Row> {
        self.any_task(id).filter(|row| !row.is_finished())
    }

    /// The tenant's task with this id.
    pub(super) fn tenant_task(&mut self, tenant: &TenantName, id: Id) -> Result<&mut Row> {
        let row = self.any_task(id).filter(|row| row.task.tenant == *tenant);
        row.ok_or_else(|| Error::NotFound { what: "task", name: id.to_string() })
    }

    /// How the tenant's task or group stands that is named so.
    pub(super) fn standing(&mut self, tenant: &TenantName, reference: Reference) -> Option<Standing> {
        let (id, is_known) = match reference {
            Reference::Task(id) => (id, false),
            Reference::Key(key) => (self.task_keys.get(&(tenant.clone(), clean(key)))?.0, true),
            Reference::Group(name) => return self.group(tenant, &clean(name)).map(Standing::group),
        };
        let state = self.tenant_task(tenant, id).ok().map(|row| row.state());
        (is_known || state.is_some()).then_some(Standing::task(id, state))
    }

    fn any_task(&mut self, id: Id) -> Option<&mut Row> {
        self.tasks.get_mut(&id.place()).filter(|row| row.task.id == id)
    }

    /// Removes a finished task; its count stays.
    pub(super) fn remove_task(&mut self, place: i64) {
        if let Some(Row { task, .. }) = self.tasks.remove(&place) {
            *self.removed.entry((task.tenant, task.new.priority, task.state)).or_insert(0) += 1;
        }
    }

    pub(super) fn sweep(&mut self, keep: Duration, limit: u32, now: Timestamp) -> u64 {
        let over =
            self.tasks.iter().filter(|(_, row)| row.kept_until(keep).is_some_and(|until| until <= now));
        let over: Vec<i64> = over.map(|(place, _)| *place).take(limit as usize).collect();
        over.iter().for_each(|place| self.remove_task(*place));
        let is_unfinished =
            |id: &Id| self.tasks.get(&id.place()).is_some_and(|row| row.task.id == *id && !row.is_finished());
        let keys = self.task_keys.iter().filter(|(_, (id, until))| *until <= now && !is_unfinished(id));
        let keys: Vec<_> = keys.map(|(key, _)| key.clone()).take(limit as usize - over.len()).collect();
        keys.iter().for_each(|key| {
            self.task_keys.remove(key);
        });
        // Groups last: no task is there any more that could still be put back into one of them.
        let groups = self.sweep_groups(keep, limit as usize - over.len() - keys.len(), now);
        (over.len() + keys.len() + groups) as u64
    }
}

impl Row {
    pub(super) fn is_finished(&self) -> bool {
        self.task.finished_at.is_some()
    }

    /// Until when it is kept, where the store keeps tasks for this long; none while it is not finished.
    fn kept_until(&self, keep: Duration) -> Option<Timestamp> {
        let own = self.task.new.keep.filter(|_| self.task.state == TaskState::Succeeded);
        self.task.finished_at.map(|finished_at| finished_at + own.unwrap_or(keep))
    }
}
