//! What was seen of a run, sorted: one story a task, and who belongs to which group.

use std::collections::BTreeMap;

use tidemill_kernel::Id;

use super::history::{Counts, Ending, Event, Found, History, Moment, OnFailure, Queue, Who};

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
    /// The group that it was submitted to.
    pub(super) group: Option<String>,
    pub(super) awaits: Vec<(String, OnFailure)>,
    pub(super) ended_at: Option<Moment>,
}

impl Story {
    /// The attempt whose result is stored, if it was seen.
    pub(super) fn winner(&self) -> Option<&Attempt> {
        let won = |attempt: &&Attempt| self.found == Some(Found::Succeeded(attempt.token));
        self.attempts.iter().find(won)
    }

    /// When the first attempt began.
    pub(super) fn started(&self) -> Option<Moment> {
        self.attempts.first().map(|first| first.started)
    }
}

/// A group: whose, and its name.
pub(super) type GroupName = (String, String);

/// All that was seen of one group.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    /// Its tasks, each with the moment at which somebody was first told that it is there; none if nobody was.
    pub(super) members: BTreeMap<Id, Option<Moment>>,
    /// Those of them that follow from a result, by its token.
    pub(super) follow_ups: BTreeMap<Id, Vec<Id>>,
    pub(super) found: Option<Counts>,
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
pub(super) struct Stories {
    pub(super) tasks: BTreeMap<Id, Story>,
    pub(super) groups: BTreeMap<GroupName, Group>,
    pub(super) disturbances: Vec<Disturbance>,
    /// The groups of what follows from results.
    follows: BTreeMap<Id, String>,
}

impl Stories {
    /// Sorts.
    pub(super) fn of(history: &History) -> Self {
        let mut stories = Self::default();
        let mut attempts = BTreeMap::new();
        let mut events: Vec<&Event> = history.events.iter().collect();
        // Starts first: what is said of an attempt finds it.
        events.sort_by_key(|event| !matches!(event, Event::Started { .. }));
        for event in events {
            stories.take(event, &mut attempts);
        }
        stories.join_groups(&attempts);
        for attempt in attempts.into_values() {
            stories.tasks.entry(attempt.task).or_default().attempts.push(attempt);
        }
        for story in stories.tasks.values_mut() {
            story.attempts.sort_by_key(|attempt| (attempt.started, attempt.token));
        }
        stories
    }

    /// Sorts tasks by their groups: those that a client named, and those that a result brought.
    fn join_groups(&mut self, attempts: &BTreeMap<Id, Attempt>) {
        for (task, story) in &self.tasks {
            let named = story.group.as_ref().zip(story.submitted.as_ref());
            let named = named.map(|(group, told)| (group, told.queue.tenant.clone(), Some(told.at)));
            let parent = story.parent.and_then(|token| attempts.get(&token));
            let follows = parent.and_then(|parent| {
                Some((self.follows.get(&parent.token)?, parent.tenant.clone(), parent.accepted))
            });
            if let Some((group, tenant, told)) = named.or(follows) {
                let group = self.groups.entry((tenant, group.clone())).or_default();
                group.members.insert(*task, told);
                let token = story.parent.filter(|_| story.submitted.is_none());
                token.into_iter().for_each(|token| group.follow_ups.entry(token).or_default().push(*task));
            }
        }
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
            Event::Joins { task, group } => self.tasks.entry(task).or_default().group = Some(group),
            Event::Awaits { task, group, on_failure } => {
                self.tasks.entry(task).or_default().awaits.push((group, on_failure));
            }
            Event::Follows { token, group } => _ = self.follows.insert(token, group),
            Event::Counted { tenant, group, counts } => {
                self.groups.entry((tenant, group)).or_default().found = Some(counts);
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
            Event::Ended { task, found, parent, at } => {
                let story = self.tasks.entry(task).or_default();
                (story.found, story.parent, story.ended_at) = (Some(found), parent, at);
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
