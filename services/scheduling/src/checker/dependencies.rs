//! What depends on another comes after it, and dies with it alone.

use tidemill_kernel::Id;

use super::history::{Found, Moment, OnFailure};
use super::stories::{Stories, Story};
use super::{Broken, Rules, Violation, groups, violation};

/// No task is started before all that it depends on have succeeded, or have ended if it runs however they do. A success is
/// final, whatever is done by hand; another end is not, and a fault may leave a worker at what has ended long ago.
pub(super) fn too_early(stories: &Stories, rules: &Rules) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (task, story) in &stories.tasks {
        let Some(first) = story.attempts.first() else { continue };
        let latest = first.started + rules.order_within;
        for (on, on_failure) in &story.depends_on {
            let Some(other) = stories.tasks.get(on) else { continue };
            let done = other.winner().map(|attempt| attempt.stopped);
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

/// No task that depends on others dies before its first attempt but with one of those, if it says so. What a fault meets may
/// have been begun unseen.
pub(super) fn given_up(stories: &Stories) -> Vec<Violation> {
    let is_reason = |(on, on_failure): &(Id, OnFailure)| {
        *on_failure == OnFailure::Die && !stories.tasks.get(on).is_some_and(has_only_succeeded)
    };
    let died = stories.tasks.iter().filter(|(_, story)| {
        let never = story.attempts.is_empty() && story.found == Some(Found::Dead);
        let is_meant = never && !(story.depends_on.is_empty() && story.awaits.is_empty());
        let since = story.submitted.as_ref().map(|submitted| submitted.asked);
        let is_calm = since.is_some_and(|since| !stories.disturbed(|_| true, since, Moment::MAX));
        is_meant
            && is_calm
            && !story.depends_on.iter().any(is_reason)
            && !groups::may_have_failed(stories, story)
    });
    let seen = |(task, _)| violation(Broken::GivenUp, format!("task {task} is dead, and was never started"));
    died.map(seen).collect()
}

/// Whether a task succeeded, and cannot have ended otherwise before.
pub(super) fn has_only_succeeded(story: &Story) -> bool {
    story.steered.is_none() && matches!(story.found, Some(Found::Succeeded(_)))
}
