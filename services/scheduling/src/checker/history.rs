//! What was seen of a run, as events in any order, and the same sorted into one story a task.

use std::collections::BTreeMap;
use std::time::Duration;

use tidemill_kernel::Id;

/// A time since the run began, on one clock for all observers.
pub type Moment = Duration;

/// Tasks that are first come first served among themselves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Queue {
    /// Whose they are.
    pub tenant: String,
    /// How urgent they are, as their tenant said.
    pub priority: i32,
    /// What has to be done.
    pub kind: String,
}

/// How a worker says that an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With a result, and so many tasks that follow.
    Completed(u32),
    /// Without one.
    Failed,
    /// Put off.
    Snoozed,
}

/// Who had a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// The scheduler of this name: killed, stopped, cut off, its clock moved.
    Scheduler(String),
    /// The worker of this name: killed, stopped, or a stream of it broken.
    Worker(String),
    /// Everybody, by the store.
    Everybody,
}

/// How the store says that a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// With a result, which names the lease's token.
    Succeeded(Id),
    /// Given up.
    Dead,
    /// Cancelled.
    Cancelled,
    /// Not yet.
    Unfinished,
}

/// What becomes of a task when one that it depends on fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// It dies too.
    Die,
    /// It runs when all have ended.
    Run,
    /// It waits until that one is put back and succeeds.
    Wait,
}

/// Something that was seen.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A client asked for a task, and was told that it is stored.
    Submitted {
        /// The task that he was told.
        task: Id,
        /// Its queue.
        queue: Queue,
        /// Its key; empty for none.
        key: String,
        /// When he asked, the first time.
        asked: Moment,
        /// When he was told.
        at: Moment,
        /// Whether it had to wait for a time of its own.
        delayed: bool,
        /// How many attempts it may spend.
        max_attempts: u32,
    },
    /// A client said that a task runs only when another has succeeded.
    Depends {
        /// The task.
        task: Id,
        /// The other.
        on: Id,
        /// What becomes of the task when that fails.
        on_failure: OnFailure,
    },
    /// A worker was given a lease.
    Started {
        /// The task.
        task: Id,
        /// The lease's token.
        token: Id,
        /// Its queue.
        queue: Queue,
        /// Which attempt it is.
        attempt: u32,
        /// The worker.
        worker: String,
        /// Who gave it.
        scheduler: String,
        /// When.
        at: Moment,
    },
    /// A worker runs an attempt no longer.
    Stopped {
        /// The lease's token.
        token: Id,
        /// When.
        at: Moment,
    },
    /// A worker sent a result, once or again.
    Sent {
        /// The lease's token.
        token: Id,
        /// Which.
        ending: Ending,
    },
    /// A worker was told what became of a result.
    Answered {
        /// The lease's token.
        token: Id,
        /// Whether it counted.
        accepted: bool,
        /// When.
        at: Moment,
    },
    /// A task was cancelled or put back by hand.
    Steered {
        /// The task.
        task: Id,
        /// When it was asked for.
        at: Moment,
    },
    /// Something was wrong for a while.
    Disturbed {
        /// With whom.
        who: Who,
        /// Since when.
        from: Moment,
        /// Until when, at least.
        until: Moment,
    },
    /// What the store holds of a task at the end.
    Ended {
        /// The task.
        task: Id,
        /// How it ended.
        found: Found,
        /// The token of the attempt whose result brought it, if one did.
        parent: Option<Id>,
    },
}

/// What was seen of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// In any order.
    pub events: Vec<Event>,
}

/// One attempt.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) task: Id,
    pub(super) token: Id,
    pub(super) tenant: String,
    pub(super) kind: String,
    pub(super) number: u32,
    pub(super) worker: String,
    pub(super) scheduler: String,
    pub(super) started: Moment,
    /// The end of time for one that nobody saw end.
    pub(super) stopped: Moment,
    pub(super) sent: Vec<Ending>,
    /// When it was first told to count.
    pub(super) accepted: Option<Moment>,
}

impl Attempt {
    pub(super) fn completed(&self) -> Option<u32> {
        self.sent.iter().find_map(|ending| match ending {
            Ending::Completed(follow_ups) => Some(*follow_ups),
            _ => None,
        })
    }
}

/// What a client was told of a task.
#[derive(Debug, Clone)]
pub(super) struct Submission {
    pub(super) queue: Queue,
    pub(super) key: String,
    pub(super) asked: Moment,
    pub(super) at: Moment,
    pub(super) delayed: bool,
    pub(super) max_attempts: u32,
}

/// All that was seen of one task.
#[derive(Debug, Clone, Default)]
pub(super) struct Story {
    pub(super) submitted: Option<Submission>,
    /// In the order of their starts.
    pub(super) attempts: Vec<Attempt>,
    /// When it was first cancelled or put back by hand.
    pub(super) steered: Option<Moment>,
    pub(super) found: Option<Found>,
    pub(super) parent: Option<Id>,
    pub(super) depends_on: Vec<(Id, OnFailure)>,
}

/// A fault's time.
#[derive(Debug, Clone)]
pub(super) struct Disturbance {
    pub(super) who: Who,
    pub(super) from: Moment,
    pub(super) until: Moment,
}

/// A history sorted by tasks.
#[derive(Debug, Clone, Default)]
pub struct Stories {
    pub(super) tasks: BTreeMap<Id, Story>,
    pub(super) disturbances: Vec<Disturbance>,
}

impl Stories {
    /// Sorts.
    pub fn of(history: &History) -> Self {
        let mut stories = Self::default();
        let mut attempts = BTreeMap::new();
        let mut events: Vec<&Event> = history.events.iter().collect();
        // Starts first: what is said of an attempt finds it.
        events.sort_by_key(|event| !matches!(event, Event::Started { .. }));
        for event in events {
            stories.take(event, &mut attempts);
        }
        for attempt in attempts.into_values() {
            stories.tasks.entry(attempt.task).or_default().attempts.push(attempt);
        }
        for story in stories.tasks.values_mut() {
            story.attempts.sort_by_key(|attempt| (attempt.started, attempt.token));
        }
        stories
    }

    fn take(&mut self, event: &Event, attempts: &mut BTreeMap<Id, Attempt>) {
        match event.clone() {
            Event::Submitted { task, queue, key, asked, at, delayed, max_attempts } => {
                let submission = Submission { queue, key, asked, at, delayed, max_attempts };
                self.tasks.entry(task).or_default().submitted.get_or_insert(submission);
            }
            Event::Depends { task, on, on_failure } => {
                self.tasks.entry(task).or_default().depends_on.push((on, on_failure));
            }
            Event::Started { task, token, queue, attempt, worker, scheduler, at } => {
                let attempt = Attempt {
                    task,
                    token,
                    tenant: queue.tenant,
                    kind: queue.kind,
                    number: attempt,
                    worker,
                    scheduler,
                    started: at,
                    stopped: Moment::MAX,
                    sent: Vec::new(),
                    accepted: None,
                };
                attempts.entry(token).or_insert(attempt);
            }
            Event::Stopped { token, at } => {
                let attempt = attempts.get_mut(&token);
                attempt.into_iter().for_each(|attempt| attempt.stopped = attempt.stopped.min(at));
            }
            Event::Sent { token, ending } => {
                attempts.get_mut(&token).into_iter().for_each(|attempt| attempt.sent.push(ending));
            }
            Event::Answered { token, accepted: true, at } => {
                if let Some(attempt) = attempts.get_mut(&token) {
                    attempt.accepted = Some(attempt.accepted.map_or(at, |before| before.min(at)));
                }
            }
            Event::Answered { .. } => {}
            Event::Steered { task, at } => {
                let steered = &mut self.tasks.entry(task).or_default().steered;
                *steered = Some(steered.map_or(at, |before| before.min(at)));
            }
            Event::Disturbed { who, from, until } => {
                self.disturbances.push(Disturbance { who, from, until });
            }
            Event::Ended { task, found, parent } => {
                let story = self.tasks.entry(task).or_default();
                (story.found, story.parent) = (Some(found), parent);
            }
        }
    }

    /// All attempts of all tasks.
    pub(super) fn attempts(&self) -> impl Iterator<Item = &Attempt> {
        self.tasks.values().flat_map(|story| &story.attempts)
    }

    /// Whether one of these was disturbed between two moments.
    pub(super) fn disturbed(&self, is_meant: impl Fn(&Who) -> bool, from: Moment, until: Moment) -> bool {
        self.disturbances.iter().any(|one| {
            one.from <= until && one.until >= from && (one.who == Who::Everybody || is_meant(&one.who))
        })
    }
}
