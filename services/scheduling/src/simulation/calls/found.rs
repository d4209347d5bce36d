//! What the store holds: what is left to do, what somebody has to mend, and how everything ended.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use tidemill_kernel::{Id, PageRequest, TenantName};
use tidemill_proto::types::v1::dependency::Task as Named;
use tidemill_proto::types::v1::{DependencyFailure, TaskOptions};
use tidemill_store::TaskStore;
use tidemill_store::task::{Group, Task, TaskCount, TaskState};

use super::{Store, at_once, wall};
use crate::checker;

impl Store {
    fn tasks(&self) -> Vec<Task> {
        let of = |name: &TenantName| at_once(self.memory.page_tasks(name, None, None, all())).unwrap().items;
        self.tenants.iter().flat_map(|(name, _)| of(name)).collect()
    }

    /// Tasks that have failed while others wait until they are mended, and what they failed with, by tenant.
    pub(in crate::simulation) fn failures_waited_for(&self) -> Vec<(String, Id)> {
        let tasks = self.tasks();
        let by_key: BTreeMap<_, _> = tasks.iter().map(|task| ((&task.tenant, &task.new.key), task)).collect();
        let by_id: BTreeMap<Id, _> = tasks.iter().map(|task| (task.id, task)).collect();
        let options = |task: &Task| TaskOptions::decode(&*task.new.options).unwrap();
        let is_waiting = |task: &&Task| {
            task.state == TaskState::Waiting
                && options(task).on_dependency_failure() == DependencyFailure::Wait
        };
        let mut open: Vec<_> = tasks.iter().filter(is_waiting).collect();
        let mut failures = BTreeSet::new();
        while let Some(task) = open.pop() {
            for dependency in options(task).depends_on {
                let on: Vec<_> = match dependency.task.unwrap() {
                    Named::Id(id) => by_id.get(&id.parse().unwrap()).copied().into_iter().collect(),
                    Named::Key(key) => by_key.get(&(&task.tenant, &key)).copied().into_iter().collect(),
                    Named::Group(group) => {
                        let of = |other: &&Task| other.tenant == task.tenant && other.new.group == group;
                        tasks.iter().filter(of).collect()
                    }
                };
                for on in on {
                    let has_failed = matches!(on.state, TaskState::Dead | TaskState::Cancelled);
                    if has_failed && failures.insert((on.tenant.to_string(), on.id)) {
                        open.push(on);
                    }
                }
            }
        }
        failures.into_iter().collect()
    }

    /// Whether every task has come to an end.
    pub(in crate::simulation) fn is_done(&self) -> bool {
        let none_left = |count: &TaskCount| {
            count.count == 0 || !matches!(count.state, TaskState::Waiting | TaskState::Running)
        };
        let is_done =
            |name: &TenantName| at_once(self.memory.count_tasks(name)).unwrap().iter().all(none_left);
        self.tenants.iter().all(|(name, _)| is_done(name))
    }

    /// How everything ended, with the times if nothing has moved the store's clock.
    pub(in crate::simulation) fn found(&self) -> Vec<checker::Event> {
        let found = |task: Task| checker::Event::Ended {
            task: task.id,
            found: match task.state {
                TaskState::Succeeded => checker::Found::Succeeded(task.result.parse().unwrap()),
                TaskState::Dead => checker::Found::Dead,
                TaskState::Cancelled => checker::Found::Cancelled,
                TaskState::Waiting | TaskState::Running => checker::Found::Unfinished,
            },
            parent: task.new.payload.parse().ok(),
            at: task.finished_at.filter(|_| !self.is_skewed).map(|at| at.since(wall(0, 0))),
        };
        let tasks = self.tasks().into_iter().map(found);
        tasks.chain(self.tenants.iter().flat_map(|(name, _)| self.groups(name))).collect()
    }

    fn groups(&self, tenant: &TenantName) -> Vec<checker::Event> {
        let counted = |group: Group| checker::Event::Counted {
            tenant: tenant.to_string(),
            counts: checker::Counts {
                total: group.total,
                succeeded: group.succeeded,
                dead: group.dead,
                cancelled: group.cancelled,
            },
            group: group.name,
        };
        let groups = at_once(self.memory.page_groups(tenant, all())).unwrap().items;
        groups.into_iter().map(counted).collect()
    }
}

fn all() -> PageRequest {
    PageRequest { size: u32::MAX, token: String::new() }
}
