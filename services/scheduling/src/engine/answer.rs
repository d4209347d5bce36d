//! What the engine tells of itself: how limits stand, why a task waits, whether a submission may come in.

use std::collections::BTreeMap;

use tidemill_kernel::{Id, Shard, TenantName, Timestamp};
use tidemill_policy::{Admit, Arrival, Explanation, LimitStatus, Scope, Share, Worker, fits_nowhere};
use tidemill_proto::types::v1::NewTask;

use super::{Asks, Engine};
use crate::convert;

/// A question.
#[derive(Debug)]
pub(crate) enum Question {
    /// How the limits of a tenant stand.
    Limits(TenantName),
    /// Why a task waits.
    Explain(Id),
    /// Whether these tasks may come in.
    Admit(Submission),
    /// Which of these tasks are of shards that are not run here.
    Others(Vec<Id>),
    /// What another scheduler may use of limits.
    Divide(Asks),
    /// What runs, and who else is there.
    Load,
}

/// Tasks of one tenant that are about to be stored.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) tenant: TenantName,
    pub(crate) tasks: Vec<NewTask>,
}

/// An answer.
#[derive(Debug)]
pub(crate) enum Answer {
    /// How they stand.
    Limits(Vec<LimitStatus>),
    /// Why it waits; none if it is not in memory.
    Explained(Option<Explanation>),
    /// They may come in; these are to be cancelled for them.
    Admitted { replaced: Vec<Id> },
    /// They may not.
    Refused(Refused),
    /// Those that are not.
    Others(Vec<Id>),
    /// What it may use of those that are divided here.
    Divided(Vec<(Scope, Share)>),
    /// What runs here, and who else is there.
    Load(Load),
    /// The tenant's shard is run by the scheduler at this address; empty if it is not known, or nobody runs it.
    Elsewhere(String),
}

/// What runs here, and who else is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// This scheduler's name.
    pub(crate) owner: String,
    /// How many tasks of its shards run, by kind.
    pub(crate) running: BTreeMap<String, u64>,
    /// The others that are believed alive: their names, and where they are reached.
    pub(crate) others: Vec<(String, String)>,
}

/// Why a submission may not come in.
#[derive(Debug)]
pub(crate) enum Refused {
    /// There is too much; there should be room after a while.
    Full { why: String, retry_after: std::time::Duration },
    /// No worker could run it.
    Unfit(String),
}

impl Engine {
    /// Answers.
    pub(crate) fn answer(&mut self, question: Question, now: Timestamp) -> Answer {
        let shard = match &question {
            Question::Others(tasks) => {
                let is_other = |id: &&Id| !self.shards.is_owned(Shard::of_place(id.place()));
                return Answer::Others(tasks.iter().filter(is_other).copied().collect());
            }
            Question::Divide(asks) => return Answer::Divided(self.divide(asks, now)),
            Question::Load => return Answer::Load(self.load_of()),
            Question::Limits(tenant) | Question::Admit(Submission { tenant, .. }) => Shard::of_tenant(tenant),
            Question::Explain(task) => Shard::of_place(task.place()),
        };
        if self.shards.epoch(shard).is_none() {
            return Answer::Elsewhere(self.shards.address_of(shard).unwrap_or_default().to_owned());
        }
        match question {
            Question::Limits(tenant) => {
                let limits = self.settings.get(&tenant).into_iter().flat_map(|set| &set.limits);
                let own = limits.filter_map(|scope| self.policy.limit(scope));
                let shared = self.shared.scopes().filter_map(|scope| self.policy.limit_of(scope, &tenant));
                Answer::Limits(own.chain(shared).collect())
            }
            Question::Explain(task) => {
                let workers: Vec<&Worker> = self.sessions.values().map(|session| &session.view).collect();
                Answer::Explained(self.policy.explain(task, workers, now))
            }
            Question::Admit(submission) => self.admit_submission(&submission, now),
            Question::Others(_) | Question::Divide(_) | Question::Load => Answer::Others(Vec::new()),
        }
    }

    fn load_of(&self) -> Load {
        let mut running: BTreeMap<String, u64> = BTreeMap::new();
        for held in self.held.values() {
            match running.get_mut(held.candidate.kind.as_str()) {
                Some(count) => *count += 1,
                None => _ = running.insert(held.candidate.kind.as_str().to_owned(), 1),
            }
        }
        Load { owner: self.shards.owner().to_owned(), running, others: self.shards.others().collect() }
    }

    /// Tasks that ask for nothing are asked about together, the others one by one.
    fn admit_submission(&mut self, submission: &Submission, now: Timestamp) -> Answer {
        let mut replaced = Vec::new();
        let is_plain = |task: &&NewTask| task.options.is_none();
        let plain = submission.tasks.iter().filter(is_plain).count();
        let first = submission.tasks.iter().find(is_plain).map(|task| (task, plain));
        let special = submission.tasks.iter().filter(|task| task.options.is_some()).map(|task| (task, 1));
        for (task, count) in first.into_iter().chain(special) {
            let (kind, traits) =
                (self.words.kind(&task.kind), task.options.as_deref().and_then(convert::traits));
            let traits = traits.as_deref();
            let workers = self.sessions.values().map(|session| &session.view);
            let of_kind = workers.filter(|worker| worker.kinds.contains(&kind));
            if let Some(lacks) = fits_nowhere(&kind, traits, of_kind) {
                return Answer::Refused(Refused::Unfit(convert::lacks(&lacks)));
            }
            let priority = tidemill_kernel::Priority::from_number(task.priority).unwrap_or_default();
            let arrival = Arrival { tenant: &submission.tenant, kind: &kind, priority, traits, count };
            match self.policy.admit(&arrival, now) {
                Admit::Queue => {}
                Admit::Replace(task) => replaced.push(task),
                Admit::Reject { why, retry_after } => {
                    return Answer::Refused(Refused::Full { why: why.to_string(), retry_after });
                }
            }
        }
        Answer::Admitted { replaced }
    }
}
