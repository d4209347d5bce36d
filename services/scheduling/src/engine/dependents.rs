//! Tasks that wait for others to succeed.
//!
//! Whether a task may run is never stored: it follows from how the tasks that it depends on stand, and the store is asked for
//! that when the task comes into memory and when the last of those has ended. So nothing can be lost between the two, and
//! whoever takes a shard over asks anew. What ends while the store answers is remembered until it has; what is missed all the
//! same (a task cancelled by a call that could not tell of it) comes out when the store is asked again after a while.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use tidemill_kernel::{Id, Shard, TenantName, Timestamp};
use tidemill_policy::Candidate;
use tidemill_proto::storage::v1::{self as store, FoundTask};
use tidemill_proto::time::from_micros;
use tidemill_proto::types::v1::dependency::Task as Named;
use tidemill_proto::types::v1::{Dependency, DependencyFailure, Task};

use super::{Effect, Ended, Ending, Engine};
use crate::dependencies::{Verdict, judge};

/// The most references of one question to the store.
const ASK: usize = 2_000;
/// How long a task waits until the store is asked again, although nothing was heard of what it depends on.
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// The most tasks that are asked for again at once.
const AGAIN: usize = 1_000;

/// A question: how the tasks stand that these depend on, and they themselves.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    pub(crate) tenant: TenantName,
    /// Each with the number of its dependencies.
    pub(crate) tasks: Vec<(Id, usize)>,
    /// Of each task: itself, then its dependencies.
    pub(crate) references: Vec<Dependency>,
}

/// Tasks that wait for others.
#[derive(Debug, Default)]
pub(super) struct Dependents {
    waiting: BTreeMap<Id, Dependent>,
    /// Who waits for a task.
    by_dependency: HashMap<Id, BTreeSet<Id>>,
    unasked: BTreeSet<Id>,
    /// How many questions are under way.
    asking: usize,
    /// What has ended while one was.
    ended: HashSet<Id>,
}

/// A task that waits for others.
#[derive(Debug)]
struct Dependent {
    candidate: Candidate,
    run_at: Timestamp,
    depends_on: Vec<Dependency>,
    on_failure: DependencyFailure,
    /// Those that have not ended, as far as is known.
    open: BTreeSet<Id>,
    asked_at: Timestamp,
}

impl Dependents {
    pub(super) fn has(&self, task: Id) -> bool {
        self.waiting.contains_key(&task)
    }

    pub(super) fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        self.waiting.values().map(|dependent| &dependent.candidate)
    }

    /// How much is remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.by_dependency.len() + self.unasked.len() + self.asking + self.ended.len()
    }

    fn remove(&mut self, task: Id) -> Option<Dependent> {
        let dependent = self.waiting.remove(&task)?;
        self.unasked.remove(&task);
        for open in &dependent.open {
            if let Some(dependents) = self.by_dependency.get_mut(open) {
                dependents.remove(&task);
                if dependents.is_empty() {
                    self.by_dependency.remove(open);
                }
            }
        }
        Some(dependent)
    }

    /// A task has ended. The store is asked about those that wait for nothing else, or whose fate it decides.
    pub(super) fn on_end(&mut self, task: Id, succeeded: bool) {
        if self.waiting.is_empty() {
            return;
        }
        if self.asking > 0 {
            self.ended.insert(task);
        }
        for waiting in self.by_dependency.remove(&task).unwrap_or_default() {
            let Some(dependent) = self.waiting.get_mut(&waiting) else { continue };
            dependent.open.remove(&task);
            let decides = !succeeded && dependent.on_failure != DependencyFailure::Run;
            if decides || dependent.open.is_empty() {
                self.unasked.insert(waiting);
            }
        }
    }

    fn wait_for(&mut self, task: Id, open: BTreeSet<Id>) {
        let Some(dependent) = self.waiting.get_mut(&task) else { return };
        if open.iter().any(|id| self.ended.contains(id)) {
            self.unasked.insert(task);
        }
        for id in &open {
            self.by_dependency.entry(*id).or_default().insert(task);
        }
        dependent.open = open;
    }

    /// Forgets the tasks of a shard that is run by another.
    pub(super) fn lose(&mut self, shard: Shard) {
        let lost: Vec<Id> =
            self.waiting.keys().filter(|id| Shard::of_place(id.place()) == shard).copied().collect();
        lost.into_iter().for_each(|id| _ = self.remove(id));
    }

    /// Asks again for those that nothing was heard of for long.
    pub(super) fn ask_again(&mut self, now: Timestamp) {
        let is_due =
            |dependent: &Dependent| dependent.asked_at > now || now.since(dependent.asked_at) >= ASK_AGAIN;
        let due = self.waiting.iter().filter(|(_, dependent)| is_due(dependent)).map(|(id, _)| *id);
        self.unasked.extend(due.take(AGAIN).collect::<Vec<_>>());
    }
}

impl Engine {
    /// Keeps a task back that has not begun and depends on others. Whether it does.
    pub(super) fn keep_back(&mut self, task: &Task, candidate: &Candidate, run_at: Timestamp) -> bool {
        let Some(options) = task.options.as_deref().filter(|options| !options.depends_on.is_empty()) else {
            return false;
        };
        let id = candidate.id;
        if task.attempt > 0 || self.policy.waits(id) || self.policy.runs(id) {
            return false;
        }
        self.dependents.remove(id);
        let dependent = Dependent {
            candidate: candidate.clone(),
            run_at,
            depends_on: options.depends_on.clone(),
            on_failure: options.on_dependency_failure(),
            open: BTreeSet::new(),
            asked_at: Timestamp::default(),
        };
        self.dependents.waiting.insert(id, dependent);
        self.dependents.unasked.insert(id);
        true
    }

    /// Asks how the tasks stand that others depend on.
    pub(super) fn ask_dependencies(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let mut questions: BTreeMap<TenantName, Asked> = BTreeMap::new();
        for id in std::mem::take(&mut self.dependents.unasked) {
            let Some(dependent) = self.dependents.waiting.get_mut(&id) else { continue };
            dependent.asked_at = now;
            let tenant = dependent.candidate.tenant.clone();
            let question = questions.entry(tenant.clone()).or_insert_with(|| asked(tenant));
            question.tasks.push((id, dependent.depends_on.len()));
            question.references.push(itself(id));
            question.references.extend(dependent.depends_on.iter().cloned());
            if question.references.len() >= ASK {
                let tenant = question.tenant.clone();
                self.dependents.asking += 1;
                effects.push(Effect::FindTasks(std::mem::replace(question, asked(tenant))));
            }
        }
        for question in questions.into_values().filter(|question| !question.tasks.is_empty()) {
            self.dependents.asking += 1;
            effects.push(Effect::FindTasks(question));
        }
    }

    /// Lets go what may run, gives up what never will. None if the store could not be asked: it is asked again.
    pub(super) fn on_found(
        &mut self,
        asked: &Asked,
        found: Option<&[FoundTask]>,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        self.dependents.asking = self.dependents.asking.saturating_sub(1);
        let mut endings = Vec::new();
        let mut next = 0;
        for (id, count) in &asked.tasks {
            let range = next..next + 1 + count;
            next = range.end;
            let Some(dependent) = self.dependents.waiting.get(id) else { continue };
            let Some([own, found @ ..]) = found.and_then(|found| found.get(range)) else {
                self.dependents.unasked.insert(*id);
                continue;
            };
            match judge(own, &dependent.depends_on, found, dependent.on_failure) {
                Verdict::Gone => self.on_cancelled(*id, effects),
                Verdict::Wait(open) => self.dependents.wait_for(*id, open),
                Verdict::Run => self.release(*id, now, effects),
                Verdict::Die(error) => endings.push(given_up(*id, error, now)),
            }
        }
        if self.dependents.asking == 0 {
            self.dependents.ended.clear();
        }
        self.settle(None, endings, effects);
    }

    fn release(&mut self, task: Id, now: Timestamp, effects: &mut Vec<Effect>) {
        if let Some(Dependent { candidate, run_at, .. }) = self.dependents.remove(task) {
            self.know_tenant(&candidate.tenant, effects);
            self.wait_again(candidate, run_at, now);
        }
    }

    /// Forgets a task that is over, or is looked at anew.
    pub(super) fn forget_dependent(&mut self, task: Id) {
        self.dependents.remove(task);
    }
}

/// A task's own name.
fn itself(task: Id) -> Dependency {
    Dependency { task: Some(Named::Id(task.to_string())) }
}

fn asked(tenant: TenantName) -> Asked {
    Asked { tenant, tasks: Vec::new(), references: Vec::new() }
}

/// The end of a task that was never started.
fn given_up(task: Id, error: String, now: Timestamp) -> Ended {
    let attempt = store::Attempt {
        task_id: task.to_string(),
        number: 0,
        worker: "scheduler".to_owned(),
        started_at: Some(from_micros(now.as_micros())),
        recorded: false,
    };
    Ended { task, token: task, attempt, ending: Ending::Failed { error, retry_at: None } }
}
