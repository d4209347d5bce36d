//! What depends on another comes after it. First come, first served: of two tasks of one queue, the one whose client had
//! his answer before the other's client asked is started first, if its scheduler had heard of it by then. What has to be tried
//! again, waits for a time of its own or meets a fault while it waits is not compared.

use std::collections::BTreeMap;

use tidemill_kernel::Id;

use super::history::{Attempt, Found, Moment, OnFailure, Queue, Stories};
use super::{Broken, Rules, Violation, violation};

/// No task is started before all that it depends on have succeeded, or have ended if it runs however they do. A success is
/// final, whatever is done by hand; another end is not, and a fault may leave a worker at what has ended long ago.
pub(super) fn too_early(stories: &Stories, rules: &Rules) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (task, story) in &stories.tasks {
        let Some(first) = story.attempts.first() else { continue };
        let latest = first.started + rules.order_within;
        for (on, on_failure) in &story.depends_on {
            let Some(other) = stories.tasks.get(on) else { continue };
            let by = |attempt: &&Attempt| other.found == Some(Found::Succeeded(attempt.token));
            let done = other.attempts.iter().find(by).map(|attempt| attempt.stopped);
            let again = other.attempts.iter().map(|attempt| attempt.started).find(|again| *again > latest);
            let is_early = match on_failure {
                OnFailure::Run if other.steered.is_some() => false,
                OnFailure::Run if done.is_none() => {
                    again.is_some_and(|again| !stories.disturbed(|_| true, first.started, again))
                }
                _ => done.is_none_or(|done| done > latest),
            };
            if is_early {
                let seen = format!(
                    "task {task} was started at {:?}, and {on} was done at {done:?}, started again at {again:?}",
                    first.started
                );
                violations.push(violation(Broken::TooEarly, seen));
            }
        }
    }
    violations
}

/// No task that depends on others dies before its first attempt but with one of those, if it says so. What a fault meets may have been
/// begun unseen.
pub(super) fn given_up(stories: &Stories) -> Vec<Violation> {
    let is_reason = |(on, on_failure): &(Id, OnFailure)| {
        let other = stories.tasks.get(on);
        let has_succeeded = other
            .is_some_and(|other| other.steered.is_none() && matches!(other.found, Some(Found::Succeeded(_))));
        *on_failure == OnFailure::Die && !has_succeeded
    };
    let died = stories.tasks.iter().filter(|(_, story)| {
        let never = story.attempts.is_empty() && story.found == Some(Found::Dead);
        let is_meant = never && !story.depends_on.is_empty();
        let since = story.submitted.as_ref().map(|submitted| submitted.asked);
        let is_calm = since.is_some_and(|since| !stories.disturbed(|_| true, since, Moment::MAX));
        is_meant && is_calm && !story.depends_on.iter().any(is_reason)
    });
    let seen = |(task, _)| violation(Broken::GivenUp, format!("task {task} is dead, and was never started"));
    died.map(seen).collect()
}

/// A task that was started once.
struct Once {
    task: Id,
    asked: Moment,
    told: Moment,
    started: Moment,
}

/// No task is overtaken.
pub(super) fn out_of_order(stories: &Stories, rules: &Rules) -> Vec<Violation> {
    let mut queues: BTreeMap<&Queue, Vec<Once>> = BTreeMap::new();
    for (task, story) in stories.tasks.iter().filter(|(_, story)| story.steered.is_none()) {
        let (Some(submitted), [only]) = (&story.submitted, &story.attempts[..]) else { continue };
        let (asked, told, started) = (submitted.asked, submitted.at, only.started);
        let calm = only.number == 1 && !submitted.delayed && !stories.disturbed(|_| true, asked, started);
        if calm {
            queues.entry(&submitted.queue).or_default().push(Once { task: *task, asked, told, started });
        }
    }
    queues.into_values().filter_map(|queue| overtaken(queue, rules)).collect()
}

/// The first task of a queue that was overtaken.
fn overtaken(mut queue: Vec<Once>, rules: &Rules) -> Option<Violation> {
    let mut told: Vec<(Moment, Moment, Id)> =
        queue.iter().map(|one| (one.told, one.started, one.task)).collect();
    told.sort_unstable();
    queue.sort_by_key(|one| one.asked);
    let mut before = told.into_iter().peekable();
    // The last start of those who had their answer before the present one asked.
    let mut last: Option<(Moment, Id)> = None;
    for one in queue {
        while let Some((_, started, task)) =
            before.next_if(|(told, ..)| *told + rules.heard_within < one.asked)
        {
            last = last.max(Some((started, task)));
        }
        if let Some((started, task)) = last
            && started > one.started + rules.order_within
        {
            let late = started.saturating_sub(one.started);
            let seen = format!("task {} was started {late:?} before {task}, which came first", one.task);
            return Some(violation(Broken::OutOfOrder, seen));
        }
    }
    None
}
