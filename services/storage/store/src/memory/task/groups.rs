//! Groups in memory.

use std::time::Duration;

use tidemill_kernel::{TenantName, Timestamp};

use crate::memory::State;
use crate::task::{Group, GroupChange, Task, TaskState};

impl State {
    pub(super) fn group(&self, tenant: &TenantName, name: &str) -> Option<&Group> {
        self.groups.get(&(tenant.clone(), name.to_owned()))
    }

    /// The tenant's groups behind a name, in order.
    pub(super) fn groups_behind(&self, tenant: &TenantName, after: String, limit: usize) -> Vec<Group> {
        let behind = self.groups.range((tenant.clone(), after.clone())..);
        let behind = behind.take_while(|((of, _), _)| of == tenant).filter(|((_, name), _)| *name > after);
        behind.map(|(_, group)| group.clone()).take(limit).collect()
    }

    /// A task was stored.
    pub(super) fn submit_to_group(&mut self, task: &Task, now: Timestamp) {
        let mut change = GroupChange::at(now);
        change.submit(now);
        self.change_group(task, &change);
    }

    /// A task that was in this state is in another one now.
    pub(in crate::memory) fn shift_group(&mut self, task: &Task, from: TaskState, now: Timestamp) {
        let mut change = GroupChange::at(now);
        change.shift(from, task.state, 1, now);
        self.change_group(task, &change);
    }

    fn change_group(&mut self, task: &Task, change: &GroupChange) {
        let name = &task.new.group;
        if name.is_empty() {
            return;
        }
        let new = || Group::empty(name.clone(), change.first_at);
        let group = self.groups.entry((task.tenant.clone(), name.clone())).or_insert_with(new);
        group.total += change.total;
        group.succeeded += change.succeeded;
        group.dead += change.dead;
        group.cancelled += change.cancelled;
        group.changed_at = group.changed_at.max(change.changed_at);
    }

    /// Removes groups that have ended and whose time is over; how many.
    pub(super) fn sweep_groups(&mut self, keep: Duration, limit: usize, now: Timestamp) -> usize {
        let is_over = |group: &Group| group.open() == 0 && group.changed_at + keep <= now;
        let over = self.groups.iter().filter(|(_, group)| is_over(group)).map(|(key, _)| key.clone());
        let over: Vec<_> = over.take(limit).collect();
        over.iter().for_each(|key| _ = self.groups.remove(key));
        over.len()
    }
}
