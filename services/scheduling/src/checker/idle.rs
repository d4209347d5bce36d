//! Work is not left lying: what could run is not waiting for long while nothing at all runs, and what will never run is given
//! up. So the end of what a task waits for was heard of, and not found by chance when everything was looked at again.

use super::history::{Found, Moment, OnFailure};
use super::stories::{Attempt, Stories, Story};
use super::{Broken, Idle, Rules, Violation, violation};

/// Nothing that is ready waits for longer than it has to while nothing runs. Only what was neither put off nor changed by hand
/// is looked at, and only after the last fault.
pub(super) fn left_waiting(stories: &Stories, rules: &Rules) -> Vec<Violation> {
    let Some(idle) = rules.idle else { return Vec::new() };
    let calm = stories.disturbances.iter().map(|one| one.until).max().unwrap_or_default();
    let Idle { since, within, .. } = idle;
    let pauses = pauses(stories, idle);
    let mut violations = Vec::new();
    for (task, story) in stories.tasks.iter().filter(|(_, story)| story.steered.is_none()) {
        let Some(end) = decided(story) else { continue };
        let Some(ready) = ready(stories, story, end).map(|ready| ready.max(since).max(calm)) else {
            continue;
        };
        let is_idle =
            |(from, until): &&(Moment, Moment)| end.min(*until) > ready.max(*from).saturating_add(within);
        if let Some((from, _)) = pauses.iter().find(is_idle) {
            let seen = format!(
                "task {task} could run, or die, since {ready:?} and did at {end:?}; nothing ran since {from:?}"
            );
            violations.push(violation(Broken::LeftWaiting, seen));
        }
    }
    violations
}

/// When it was settled what becomes of a task: that it runs, or that it never will.
fn decided(story: &Story) -> Option<Moment> {
    let died = story.ended_at.filter(|_| story.found == Some(Found::Dead));
    story.started().or(died)
}

/// When a task could be started, as far as can be told: it was there, and what it waits for had ended.
fn ready(stories: &Stories, story: &Story, end: Moment) -> Option<Moment> {
    let submitted = story.submitted.as_ref().filter(|submitted| !submitted.delayed)?;
    let groups = story.awaits.iter().map(|(name, _)| {
        let name = (submitted.queue.tenant.clone(), name.clone());
        stories.groups.get(&name)
    });
    let groups: Vec<_> = groups.collect::<Option<_>>()?;
    let members = groups.iter().flat_map(|group| &group.members);
    // What came into a group afterwards was not waited for.
    let members = members.filter(|(_, told)| told.is_none_or(|told| told < end)).map(|(member, _)| member);
    let others = story.depends_on.iter().map(|(on, _)| on).chain(members);
    let waits = |on_failure: &OnFailure| *on_failure == OnFailure::Wait;
    let is_patient =
        story.awaits.iter().map(|(_, on)| on).chain(story.depends_on.iter().map(|(_, on)| on)).any(waits);
    others
        .map(|other| {
            let other = stories.tasks.get(other)?;
            let has_failed = !matches!(other.found, Some(Found::Succeeded(_)));
            if is_patient && has_failed { None } else { other.ended_at }
        })
        .try_fold(submitted.at, |latest, ended| Some(latest.max(ended?)))
}

/// The times, longer than has to be, in which nothing ran, and nothing was held by somebody who forgot it.
fn pauses(stories: &Stories, idle: Idle) -> Vec<(Moment, Moment)> {
    let held = |attempt: &Attempt| {
        // Who takes its shard over gives it a whole lease once more.
        let forgotten =
            attempt.sent.is_empty().then(|| attempt.stopped.max(idle.since).saturating_add(idle.lease));
        (attempt.started, forgotten.unwrap_or(attempt.stopped))
    };
    let mut busy: Vec<(Moment, Moment)> = stories.attempts().map(held).collect();
    busy.sort_unstable();
    let (mut pauses, mut since) = (Vec::new(), Moment::ZERO);
    for (from, until) in busy {
        if from > since.saturating_add(idle.within) {
            pauses.push((since, from));
        }
        since = since.max(until);
    }
    pauses.push((since, Moment::MAX));
    pauses
}
