//! Tasks that wait for others to succeed, or for whole groups of them.
//!
//! Whether a task may run is never stored: it follows from how the tasks that it depends on stand, and the store is asked for
//! that when the task comes into memory and when the last of those has ended. So nothing can be lost between the two, and
//! whoever takes a shard over asks anew. What ends while the store answers is remembered until it has ([`Questions`]); what is
//! missed all the same (a task cancelled by a call that could not tell of it) comes out when the store is asked again after a
//! while. Of a group the store says how many tasks are open: when as many ends were heard of, it is asked again ([`Groups`]).

mod questions;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

use hashbrown::HashMap;
use tidemill_kernel::{Id, Shard, TenantName, Timestamp};
use tidemill_policy::Candidate;
use tidemill_proto::storage::v1::{self as store, FoundTask};
use tidemill_proto::time::from_micros;
use tidemill_proto::types::v1::{Dependency, DependencyFailure, Task, TaskState};

use self::questions::Questions;
use super::waited::Groups;
use super::{Effect, Ended, Ending, Engine};
use crate::dependencies::{Name, Open, Verdict, judge};

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
    /// Counts up; none is 0.
    pub(crate) number: u64,
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
    /// Those to be asked for, of all that wait.
    unasked: BTreeMap<TenantName, BTreeSet<Id>>,
    /// Whose were asked for last: tenants take turns.
    turn: Option<TenantName>,
    questions: Questions,
    /// The last one that was asked for although nothing was heard.
    again: Option<Id>,
    groups: Groups,
}

/// A task that waits for others.
#[derive(Debug)]
struct Dependent {
    candidate: Candidate,
    run_at: Timestamp,
    depends_on: Vec<Name>,
    on_failure: DependencyFailure,
    /// Those that have not ended, as far as is known.
    open: Open,
    /// The group that it belongs to itself; empty for none.
    group: String,
    /// Those that have failed, as far as is known, if it waits for them to be mended.
    failed: BTreeSet<Id>,
    /// The last question about it; answers to older ones tell of another life of the task.
    asked: u64,
    asked_at: Timestamp,
    /// The store is being told that it will never run.
    is_given_up: bool,
}

impl Dependent {
    /// Takes in how those stand that it depends on. A key is looked up until it is found: from then on its task is meant,
    /// whoever has the key.
    fn learn(&mut self, found: &[FoundTask]) {
        let waits = self.on_failure == DependencyFailure::Wait;
        for (name, found) in self.depends_on.iter_mut().zip(found) {
            if !waits && matches!(name, Name::Id(_)) {
                continue;
            }
            let Ok(id) = found.id.parse::<Id>() else { continue };
            *name = Name::Id(id);
            match found.state() {
                TaskState::Dead | TaskState::Cancelled if waits => _ = self.failed.insert(id),
                TaskState::Unspecified => {}
                _ => _ = self.failed.remove(&id),
            }
        }
    }

    /// A task has ended; whether that may decide what becomes of this one.
    fn on_end(&mut self, task: Id, succeeded: bool) -> bool {
        self.open.tasks.remove(&task);
        if succeeded {
            self.failed.remove(&task);
        }
        self.open.tasks.is_empty() || (!succeeded && self.on_failure != DependencyFailure::Run)
    }
}

impl Dependents {
    pub(super) fn has(&self, task: Id) -> bool {
        self.waiting.contains_key(&task)
    }

    /// Whether the store is being told that it will never run.
    pub(super) fn is_given_up(&self, task: Id) -> bool {
        self.waiting.get(&task).is_some_and(|dependent| dependent.is_given_up)
    }

    pub(super) fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        self.waiting.values().map(|dependent| &dependent.candidate)
    }

    /// How much is remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
            + self.by_dependency.len()
            + self.unasked.len()
            + self.questions.len()
            + self.groups.len()
    }

    fn ask_for(&mut self, task: Id) {
        let Some(dependent) = self.waiting.get(&task) else { return };
        let tenant = &dependent.candidate.tenant;
        match self.unasked.get_mut(tenant) {
            Some(unasked) => _ = unasked.insert(task),
            None => _ = self.unasked.insert(tenant.clone(), BTreeSet::from([task])),
        }
    }

    fn remove(&mut self, task: Id) -> Option<Dependent> {
        let dependent = self.waiting.remove(&task)?;
        if let Some(unasked) = self.unasked.get_mut(&dependent.candidate.tenant) {
            unasked.remove(&task);
            if unasked.is_empty() {
                self.unasked.remove(&dependent.candidate.tenant);
            }
        }
        unlink(&mut self.by_dependency, task, &dependent.open.tasks);
        self.groups.leave_all(task, dependent.open.groups.keys());
        Some(dependent)
    }

    /// A task has ended. The store is asked about those that wait for nothing else, or whose fate it decides.
    pub(super) fn on_end(&mut self, task: Id, succeeded: bool) {
        if self.waiting.is_empty() {
            return;
        }
        self.questions.note_end(task, succeeded);
        for waiting in self.by_dependency.remove(&task).unwrap_or_default() {
            let dependent = self.waiting.get_mut(&waiting);
            if dependent.is_some_and(|dependent| dependent.on_end(task, succeeded)) {
                self.ask_for(waiting);
            }
        }
    }

    /// A task of a group, if it is one of a group, has ended.
    pub(super) fn on_group_end(&mut self, task: Id, group: &str) {
        if !group.is_empty() && self.minds_groups() {
            let decided = self.groups.on_end(task, group, self.questions.last_if_open());
            decided.into_iter().for_each(|id| self.ask_for(id));
        }
    }

    /// Whether it has to hear of the ends of tasks of groups.
    fn minds_groups(&self) -> bool {
        !self.waiting.is_empty() && (self.questions.last_if_open().is_some() || !self.groups.is_empty())
    }

    /// A task waits for these, as the answer to this question says. What has ended since it was asked is taken off, and only
    /// what that may decide is asked for again: by the next question, whose answer shows it.
    fn wait_for(&mut self, task: Id, open: Open, number: u64) {
        let Some(dependent) = self.waiting.get_mut(&task) else { return };
        let of_old = std::mem::replace(&mut dependent.open, open);
        let known: BTreeSet<Id> = dependent.open.tasks.union(&dependent.failed).copied().collect();
        let mut is_decided = false;
        for id in known {
            if let Some(succeeded) = self.questions.ended_since(number, id) {
                is_decided |= dependent.on_end(id, succeeded);
            }
        }
        unlink(&mut self.by_dependency, task, &of_old.tasks);
        for id in &dependent.open.tasks {
            self.by_dependency.entry(*id).or_default().insert(task);
        }
        self.groups.leave_all(task, of_old.groups.keys());
        for (group, count) in &dependent.open.groups {
            is_decided |= self.groups.wait_for(task, group, *count, number);
        }
        if is_decided {
            self.ask_for(task);
        }
    }

    /// Forgets the tasks of a shard that is run by another.
    pub(super) fn lose(&mut self, shard: Shard) {
        let lost: Vec<Id> =
            self.waiting.keys().filter(|id| Shard::of_place(id.place()) == shard).copied().collect();
        lost.into_iter().for_each(|id| _ = self.remove(id));
    }

    /// Asks again for those that nothing was heard of for long, some at a time, in turn.
    pub(super) fn ask_again(&mut self, now: Timestamp) {
        let is_due =
            |dependent: &Dependent| dependent.asked_at > now || now.since(dependent.asked_at) >= ASK_AGAIN;
        let after = self.again.map_or(Bound::Unbounded, Bound::Excluded);
        let before = self.again.into_iter().flat_map(|last| self.waiting.range(..=last));
        let in_turn = self.waiting.range((after, Bound::Unbounded)).chain(before);
        let due = in_turn.filter(|(_, dependent)| is_due(dependent)).map(|(id, _)| *id);
        let due: Vec<Id> = due.take(AGAIN).collect();
        self.again = due.last().copied().or(self.again);
        due.into_iter().for_each(|id| self.ask_for(id));
    }

    /// The next question, about as many tasks of one tenant as fit; none if there is nothing to ask, or enough under way.
    fn next_question(&mut self, now: Timestamp) -> Option<Asked> {
        if !self.questions.have_room() {
            return None;
        }
        let after = self.turn.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.unasked.range::<TenantName, _>((after, Bound::Unbounded)).next();
        let tenant = next.or_else(|| self.unasked.first_key_value())?.0.clone();
        let mut unasked = self.unasked.remove(&tenant)?;
        let number = self.questions.begin();
        let mut question = Asked { tenant, number, tasks: Vec::new(), references: Vec::new() };
        while question.references.len() < ASK
            && let Some(id) = unasked.pop_first()
        {
            let Some(dependent) = self.waiting.get_mut(&id) else { continue };
            (dependent.asked, dependent.asked_at) = (number, now);
            dependent.is_given_up = false;
            question.tasks.push((id, dependent.depends_on.len()));
            question.references.push(Name::Id(id).reference());
            question.references.extend(dependent.depends_on.iter().map(Name::reference));
        }
        if !unasked.is_empty() {
            self.unasked.insert(question.tenant.clone(), unasked);
        }
        self.turn = Some(question.tenant.clone());
        Some(question)
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
            depends_on: options.depends_on.iter().filter_map(Name::of).collect(),
            on_failure: options.on_dependency_failure(),
            open: Open::default(),
            group: task.group.clone(),
            failed: BTreeSet::new(),
            asked: 0,
            asked_at: Timestamp::default(),
            is_given_up: false,
        };
        self.dependents.waiting.insert(id, dependent);
        self.dependents.ask_for(id);
        true
    }

    /// Asks how the tasks stand that others depend on.
    pub(super) fn ask_dependencies(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        while let Some(question) = self.dependents.next_question(now) {
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
        let mut endings = Vec::new();
        let mut next = 0;
        for (id, count) in &asked.tasks {
            let range = next..next + 1 + count;
            next = range.end;
            let dependent = self.dependents.waiting.get_mut(id);
            // It may have been put back since, or asked for again.
            let Some(dependent) = dependent.filter(|one| one.asked == asked.number) else { continue };
            let Some([own, found @ ..]) = found.and_then(|found| found.get(range)) else {
                self.dependents.ask_for(*id);
                continue;
            };
            dependent.learn(found);
            match judge(own, &dependent.depends_on, found, dependent.on_failure, &dependent.failed) {
                Verdict::Gone => self.on_cancelled(*id, effects),
                Verdict::Wait(open) => self.dependents.wait_for(*id, open, asked.number),
                Verdict::Run => self.release(*id, now, effects),
                Verdict::Die(error) => {
                    dependent.is_given_up = true;
                    endings.push(given_up(*id, error, now));
                }
            }
        }
        self.dependents.questions.end(asked.number);
        self.dependents.groups.forget_ends(self.dependents.questions.oldest());
        self.settle(None, endings, effects);
    }

    fn release(&mut self, task: Id, now: Timestamp, effects: &mut Vec<Effect>) {
        if let Some(Dependent { candidate, run_at, .. }) = self.dependents.remove(task) {
            self.know_tenant(&candidate.tenant, effects);
            self.wait_again(candidate, run_at, now);
        }
    }

    /// A task is over, perhaps one of a group that is waited for: if that cannot be told, it may be of any.
    pub(super) fn note_group_end(&mut self, id: Id) {
        if !self.dependents.minds_groups() {
            return;
        }
        let held = self.held.get(&id).map(|held| held.group.clone());
        let kept_back = || self.dependents.waiting.get(&id).map(|dependent| dependent.group.clone());
        let group = held.or_else(kept_back).or_else(|| self.bodies.get(id).map(|task| task.group.clone()));
        match group {
            Some(group) => self.dependents.on_group_end(id, &group),
            None => {
                let last = self.dependents.questions.last_if_open();
                let anew = self.dependents.groups.on_any_end(Shard::of_place(id.place()), last);
                anew.into_iter().for_each(|id| self.dependents.ask_for(id));
            }
        }
    }

    /// Forgets a task that is over, or is looked at anew.
    pub(super) fn forget_dependent(&mut self, task: Id) {
        self.dependents.remove(task);
    }
}

/// A task does not wait for these any more.
fn unlink(by_dependency: &mut HashMap<Id, BTreeSet<Id>>, task: Id, open: &BTreeSet<Id>) {
    for open in open {
        if let Some(dependents) = by_dependency.get_mut(open) {
            dependents.remove(&task);
            if dependents.is_empty() {
                by_dependency.remove(open);
            }
        }
    }
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
