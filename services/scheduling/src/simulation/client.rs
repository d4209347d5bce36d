//! Clients: each submits under keys, asks again elsewhere until he is answered, and may cancel a task and put it back.

use std::collections::BTreeSet;

use rand::Rng;
use rand::seq::IteratorRandom;
use tidemill_kernel::Id;
use tidemill_proto::storage::v1 as api;
use tidemill_proto::types::v1::dependency::Task as Named;
use tidemill_proto::types::v1::{Dependency, DependencyFailure, NewTask, RetryPolicy, TaskOptions};

use super::calls::{Call, wall};
use super::plan::{Links, MS, Micros, SECOND, Submission};
use super::world::{Happening, World};
use crate::checker::{Event as Seen, Moment, OnFailure, Queue};
use crate::engine::Event;

/// How long a client waits for an answer.
const PATIENCE: Micros = 2 * SECOND;

/// A task of another submission, or a group: its name, and of a task its id.
type Other = (Option<Id>, Named);

/// The tenants' own name of a group.
pub(super) fn group_name(group: u8) -> String {
    format!("g{group}")
}

/// What the clients know.
#[derive(Debug)]
pub(super) struct Clients {
    /// By submission: the ids of its tasks, once it was answered.
    ids: Vec<Option<Vec<Id>>>,
    /// When each asked the first time.
    asked: Vec<Moment>,
    /// What his tasks wait for besides each other, by their numbers: what he says once he says again.
    outside: Vec<Vec<Vec<Other>>>,
    /// How many will still cancel or put back.
    steering: usize,
}

impl Clients {
    pub(super) fn new(count: usize) -> Self {
        let (ids, asked, outside) = (vec![None; count], vec![Moment::ZERO; count], vec![Vec::new(); count]);
        Self { ids, asked, outside, steering: 0 }
    }

    pub(super) fn are_done(&self) -> bool {
        self.steering == 0 && self.ids.iter().all(Option::is_some)
    }
}

impl World {
    pub(super) fn submit(&mut self, index: usize, tries: u32) {
        if self.clients.ids[index].is_some() {
            return;
        }
        if tries == 0 {
            self.clients.asked[index] = self.moment();
            self.clients.outside[index] = self.draw_others(index);
        }
        self.after(PATIENCE, Happening::Told { index, tries, told: None });
        let submission = self.plan.submissions[index].clone();
        let run_at = submission.delay.map(|delay| wall(submission.at + delay, 0));
        let retry = RetryPolicy {
            initial: Some(tidemill_proto::time::duration(std::time::Duration::from_millis(100))),
            maximum: Some(tidemill_proto::time::duration(std::time::Duration::from_secs(2))),
            final_kinds: vec!["final".into()],
        };
        let others = &self.clients.outside[index];
        let depends_on = |number: usize| {
            let inside = submission.links.get(number).into_iter().flat_map(|links| &links.inside);
            let inside = inside.map(|on| Named::Key(format!("{index}-{on}")));
            let outside = others.get(number).into_iter().flatten().map(|(_, name)| name.clone());
            inside.chain(outside).map(|task| Dependency { task: Some(task) }).collect()
        };
        let on_failure =
            |number: usize| submission.links.get(number).map_or(0, |links| links.on_failure.into());
        let options = |number: u32| TaskOptions {
            retry: Some(retry.clone()),
            depends_on: depends_on(number as usize),
            on_dependency_failure: on_failure(number as usize),
            ..TaskOptions::default()
        };
        let group = |number: u32| submission.group_of(number as usize).map(group_name);
        let task = |number: u32| NewTask {
            group: group(number).unwrap_or_default(),
            kind: submission.kind.into(),
            priority: submission.priority,
            key: format!("{index}-{number}"),
            run_at: run_at.map(|moment| tidemill_proto::time::from_micros(moment.as_micros())),
            max_attempts: submission.max_attempts,
            options: Some(Box::new(options(number))),
            ..NewTask::default()
        };
        let tasks = (0..submission.count).map(task).collect();
        let tenant = submission.tenant.clone();
        self.ask(Call::Append { index, tries, tenant, tasks });
    }

    /// For each task of a submission, those of other submissions of the tenant that it waits for, by id or by key, and groups that
    /// are there or come with it.
    fn draw_others(&mut self, index: usize) -> Vec<Vec<Other>> {
        let own = self.plan.submissions[index].clone();
        let others = self.plan.submissions.iter().zip(&self.clients.ids).enumerate();
        let told = others.filter(|(_, (other, _))| other.tenant == own.tenant);
        let told = told.filter_map(|(index, (other, ids))| Some((index, other, ids.as_ref()?)));
        let told: Vec<(usize, &Submission, usize, Id)> = told
            .flat_map(|(index, other, ids)| {
                ids.iter().enumerate().map(move |(number, id)| (index, other, number, *id))
            })
            .collect();
        let theirs = told.iter().filter_map(|(_, other, number, _)| other.group_of(*number));
        let ours = (0..own.count as usize).filter_map(|number| own.group_of(number));
        let groups: BTreeSet<u8> = theirs.chain(ours).collect();
        let rng = &mut self.rng;
        let mut draw = |links: &Links| {
            let may = told.iter().filter(|(_, other, number, _)| other.level(*number) <= links.level);
            let drawn = may.choose_multiple(rng, links.outside as usize);
            let mut name = |(index, _, number, id): &(usize, &Submission, usize, Id)| {
                let by_id = rng.random_bool(0.5);
                let key = || Named::Key(format!("{index}-{number}"));
                (Some(*id), if by_id { Named::Id(id.to_string()) } else { key() })
            };
            let named: Vec<Other> = drawn.into_iter().map(&mut name).collect();
            let known = links.groups.iter().filter(|group| groups.contains(group));
            named.into_iter().chain(known.map(|group| (None, Named::Group(group_name(*group))))).collect()
        };
        own.links.iter().map(&mut draw).collect()
    }

    /// Puts back what has failed and is waited for, once nothing else happens: somebody has mended it.
    pub(super) fn mend(&mut self) {
        for (tenant, task) in self.store.failures_waited_for() {
            self.history.events.push(Seen::Steered { task, at: self.moment() });
            self.ask(Call::Revive { tenant, task: task.to_string() });
        }
    }

    /// Asks any scheduler; one that is away does not answer.
    fn ask(&mut self, call: Call) {
        let node = self.rng.random_range(0..self.nodes.len());
        let (delay, run) = (self.delay(), self.nodes[node].run);
        self.after(delay, Happening::Ask { node, run, call });
    }

    /// The tasks are stored: the engine hears of those that are new, then the client.
    pub(super) fn stored(&mut self, node: usize, call: Call, stored: &[api::AppendedTask]) {
        let Call::Append { index, tries, tenant, tasks } = call else { return };
        let new = tasks.into_iter().zip(stored).filter(|(_, stored)| !stored.duplicate);
        let new: Vec<_> =
            new.filter_map(|(task, stored)| crate::submit::waiting(&tenant, task, &stored.id)).collect();
        if !new.is_empty() {
            self.tell_engine(node, Event::Appended(new));
        }
        let told = stored.iter().map(|stored| (stored.id.clone(), stored.duplicate)).collect();
        let delay = self.delay();
        self.after(delay, Happening::Told { index, tries, told: Some(told) });
    }

    pub(super) fn told(&mut self, index: usize, tries: u32, told: Option<Vec<(String, bool)>>) {
        if self.clients.ids[index].is_some() {
            return;
        }
        let Some(told) = told else {
            self.after(0, Happening::Submit { index, tries: tries + 1 });
            return;
        };
        let submission = self.plan.submissions[index].clone();
        let ids: Vec<Id> = told.iter().map(|(id, _)| id.parse().unwrap()).collect();
        for (number, task) in ids.iter().enumerate() {
            let (tenant, kind) = (submission.tenant.clone(), submission.kind.to_owned());
            self.history.events.push(Seen::Submitted {
                task: *task,
                queue: Queue { tenant, priority: submission.priority, kind },
                key: format!("{index}-{number}"),
                asked: self.clients.asked[index],
                at: self.moment(),
                delayed: submission.delay.is_some(),
                max_attempts: u32::try_from(submission.max_attempts).unwrap(),
            });
            let group = submission.group_of(number).map(group_name);
            self.history.events.extend(group.map(|group| Seen::Joins { task: *task, group }));
            let Some(links) = submission.links.get(number) else { continue };
            let on_failure = match links.on_failure {
                DependencyFailure::Unspecified | DependencyFailure::Die => OnFailure::Die,
                DependencyFailure::Run => OnFailure::Run,
                DependencyFailure::Wait => OnFailure::Wait,
            };
            let inside = links.inside.iter().map(|on| Seen::Depends {
                task: *task,
                on: ids[*on as usize],
                on_failure,
            });
            let outside = self.clients.outside[index][number].iter().map(|(on, name)| match (on, name) {
                (_, Named::Group(group)) => Seen::Awaits { task: *task, group: group.clone(), on_failure },
                (on, _) => Seen::Depends { task: *task, on: on.unwrap(), on_failure },
            });
            self.history.events.extend(inside.chain(outside));
        }
        self.say(|| format!("client {index} was told {told:?}"));
        self.clients.ids[index] = Some(ids);
        if let Some(after) = submission.cancel_after {
            self.clients.steering += 2;
            self.after(after, Happening::Steer { index, revive: false });
            self.after(2 * after + MS, Happening::Steer { index, revive: true });
        }
    }

    pub(super) fn steer(&mut self, index: usize, revive: bool) {
        self.clients.steering -= 1;
        let Some(id) = self.clients.ids[index].as_ref().map(|ids| ids[0]) else { return };
        self.history.events.push(Seen::Steered { task: id, at: self.moment() });
        let (tenant, task) = (self.plan.submissions[index].tenant.clone(), id.to_string());
        self.say(|| format!("client {index} steers {task}, revive: {revive}"));
        self.ask(if revive { Call::Revive { tenant, task } } else { Call::Cancel { tenant, task } });
    }
}
