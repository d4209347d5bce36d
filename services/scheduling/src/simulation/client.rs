//! Clients: each submits under keys, asks again elsewhere until he is answered, and may cancel a task and put it back.

use rand::Rng;
use tidemill_kernel::Id;
use tidemill_proto::storage::v1 as api;
use tidemill_proto::types::v1::dependency::Task as Named;
use tidemill_proto::types::v1::{Dependency, NewTask, RetryPolicy, TaskOptions};

use super::calls::{Call, wall};
use super::plan::{MS, Micros, SECOND, Submission};
use super::world::{Happening, World};
use crate::checker::{Event as Seen, Moment, Queue};
use crate::engine::Event;

/// How long a client waits for an answer.
const PATIENCE: Micros = 2 * SECOND;

/// What the clients know.
#[derive(Debug)]
pub(super) struct Clients {
    /// By submission: the ids of its tasks, once it was answered.
    ids: Vec<Option<Vec<Id>>>,
    /// When each asked the first time.
    asked: Vec<Moment>,
    /// How many will still cancel or put back.
    steering: usize,
}

impl Clients {
    pub(super) fn new(count: usize) -> Self {
        Self { ids: vec![None; count], asked: vec![Moment::ZERO; count], steering: 0 }
    }

    pub(super) fn are_done(&self) -> bool {
        self.steering == 0 && self.ids.iter().all(Option::is_some)
    }
}

/// What a task of a submission depends on, by its number there. The tasks are sent with the root last but one.
fn dependency(submission: &Submission, number: u32) -> Option<u32> {
    let root = submission.count.saturating_sub(2);
    let is_next = number > root || number.is_multiple_of(3);
    (submission.is_tree && number != root).then(|| if is_next { root } else { number + 1 })
}

impl World {
    pub(super) fn submit(&mut self, index: usize, tries: u32) {
        if self.clients.ids[index].is_some() {
            return;
        }
        if tries == 0 {
            self.clients.asked[index] = self.moment();
        }
        self.after(PATIENCE, Happening::Told { index, tries, told: None });
        let submission = self.plan.submissions[index].clone();
        let run_at = submission.delay.map(|delay| wall(submission.at + delay, 0));
        let retry = RetryPolicy {
            initial: Some(tidemill_proto::time::duration(std::time::Duration::from_millis(100))),
            maximum: Some(tidemill_proto::time::duration(std::time::Duration::from_secs(2))),
            final_kinds: vec!["final".into()],
        };
        let depends_on = |number: u32| {
            let on = dependency(&submission, number).map(|on| Named::Key(format!("{index}-{on}")));
            on.map(|task| Dependency { task: Some(task) }).into_iter().collect()
        };
        let options = |number| TaskOptions {
            retry: Some(retry.clone()),
            depends_on: depends_on(number),
            ..TaskOptions::default()
        };
        let task = |number: u32| NewTask {
            kind: submission.kind.into(),
            priority: submission.priority,
            key: format!("{index}-{number}"),
            run_at: run_at.map(|moment| tidemill_proto::time::from_micros(moment.as_micros())),
            max_attempts: submission.max_attempts,
            options: Some(Box::new(options(number))),
            ..NewTask::default()
        };
        let tasks = (0..submission.count).map(task).collect();
        self.ask(Call::Append { index, tries, tenant: submission.tenant, tasks });
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
                delayed: submission.delay.is_some() || submission.is_tree,
                max_attempts: u32::try_from(submission.max_attempts).unwrap(),
            });
            let on = u32::try_from(number).ok().and_then(|number| dependency(&submission, number));
            let on = on.map(|on| ids[on as usize]);
            self.history.events.extend(on.map(|on| Seen::Depends { task: *task, on }));
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
