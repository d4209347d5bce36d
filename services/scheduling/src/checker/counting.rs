//! Nothing acknowledged is lost, nothing counts twice, nothing is made up. No fault excuses these, but for the order of
//! messages, which may bring a lease that was given before its task's result counted.

use std::collections::BTreeMap;

use tidemill_kernel::Id;

use super::history::{Found, Who};
use super::holding::is_unwarned;
use super::stories::Stories;
use super::{Broken, Rules, Violation, violation};

/// Every task that a client was told of, or that the store shows, has come to an end.
pub(super) fn lost(stories: &Stories) -> Vec<Violation> {
    let open = stories.tasks.iter().filter(|(_, story)| match story.found {
        None => story.submitted.is_some(),
        Some(found) => found == Found::Unfinished,
    });
    open.map(|(task, story)| {
        let (what, starts) =
            (if story.found.is_none() { "gone" } else { "unfinished" }, story.attempts.len());
        violation(Broken::Lost, format!("task {task} is {what} at the end, after {starts} starts"))
    })
    .collect()
}

/// A task has at most one result that counts: the one that is stored, with what follows from it, once.
pub(super) fn twice(stories: &Stories) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut children: BTreeMap<Id, u32> = BTreeMap::new();
    for parent in stories.tasks.values().filter_map(|story| story.parent) {
        *children.entry(parent).or_default() += 1;
    }
    for (task, story) in &stories.tasks {
        let winners: Vec<Id> = story
            .attempts
            .iter()
            .filter(|attempt| attempt.accepted.is_some() && attempt.completed().is_some())
            .map(|attempt| attempt.token)
            .collect();
        if winners.len() > 1 {
            violations.push(violation(Broken::CountedTwice, format!("task {task}: results {winners:?}")));
        }
        let stored = match story.found {
            Some(Found::Succeeded(token)) => Some(token),
            _ => None,
        };
        if let (Some(winner), false) = (winners.first(), stored == winners.first().copied()) {
            let seen = format!("task {task}: {winner} was told to count, the store has {:?}", story.found);
            violations.push(violation(Broken::Invented, seen));
        }
        for attempt in &story.attempts {
            let follow_ups = attempt.completed().filter(|_| stored == Some(attempt.token)).unwrap_or(0);
            let made = children.remove(&attempt.token).unwrap_or(0);
            if made != follow_ups {
                let seen =
                    format!("task {task}: {made} tasks follow from {}, not {follow_ups}", attempt.token);
                violations.push(violation(Broken::CountedTwice, seen));
            }
        }
        let sent =
            |token: Id| story.attempts.iter().any(|one| one.token == token && one.completed().is_some());
        if let Some(token) = stored.filter(|token| !sent(*token)) {
            violations
                .push(violation(Broken::Invented, format!("task {task}: nobody sent the result {token}")));
        }
        if story.found == Some(Found::Cancelled) && story.steered.is_none() {
            violations.push(violation(Broken::Invented, format!("task {task}: nobody cancelled it")));
        }
    }
    violations
}

/// One key, one task: also of those that nobody was told of, because an answer was lost and the same was asked for again.
pub(super) fn keys(stories: &Stories) -> Vec<Violation> {
    let mut tasks: BTreeMap<(&str, &str), Id> = BTreeMap::new();
    let mut violations = Vec::new();
    for (task, story) in &stories.tasks {
        if story.submitted.is_none() && story.parent.is_none() && story.found.is_some() {
            violations.push(violation(
                Broken::KeyTwice,
                format!("task {task} is there, and nobody was told of it"),
            ));
        }
        let Some(submitted) = story.submitted.as_ref().filter(|one| !one.key.is_empty()) else { continue };
        let key = (submitted.queue.tenant.as_str(), submitted.key.as_str());
        if let Some(other) = tasks.insert(key, *task) {
            violations.push(violation(Broken::KeyTwice, format!("{key:?}: tasks {other} and {task}")));
        }
    }
    violations
}

/// What has counted is not run again, and nothing more often than it may be.
pub(super) fn again(stories: &Stories, rules: &Rules) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (task, story) in stories.tasks.iter().filter(|(_, story)| story.steered.is_none()) {
        let counted = story.attempts.iter().filter(|attempt| attempt.completed().is_some());
        let counted = counted.filter_map(|attempt| attempt.accepted).min();
        for attempt in &story.attempts {
            let holder = |who: &Who| matches!(who, Who::Worker(name) if *name == attempt.worker);
            let late = counted.filter(|counted| attempt.started > *counted + rules.order_within);
            // A worker that stood still finds what it was given long ago.
            let is_excused = |counted| {
                stories.disturbed(holder, counted, attempt.started)
                    || is_unwarned(stories, rules, attempt, counted)
            };
            if late.is_some_and(|counted| !is_excused(counted)) {
                let seen = format!("task {task}: attempt {} began after its result counted", attempt.token);
                violations.push(violation(Broken::RunAgain, seen));
            }
            let most = story.submitted.as_ref().map_or(u32::MAX, |submitted| submitted.max_attempts);
            if attempt.number > most || attempt.number == 0 {
                let seen = format!("task {task}: attempt {} of {most}", attempt.number);
                violations.push(violation(Broken::TooOften, seen));
            }
        }
    }
    violations
}
