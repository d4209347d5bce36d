//! Who holds what at one moment.
//!
//! A lease lives in its scheduler's memory until it is recorded, so a scheduler that fails may take those of its last
//! moments with it: their workers go on in vain, beside the next attempt. That excuses two holders, and nothing else does but a fault
//! of the holder himself: one that stood still goes on with what is another's by now, or begins what it was given before. Two faults
//! at once may leave a worker without warning: a scheduler says late what it decided before, and who has its shard by now is away.

use std::collections::BTreeMap;

use tidemill_kernel::Id;

use super::history::{Moment, Who};
use super::stories::{Attempt, Stories};
use super::{Broken, Rules, Violation, violation};

/// Whether somebody else may have begun at `moment` although this attempt goes on.
fn is_forlorn(stories: &Stories, rules: &Rules, attempt: &Attempt, moment: Moment) -> bool {
    let recorded = attempt.started + rules.recorded_within;
    let giver = |who: &Who| matches!(who, Who::Scheduler(name) if *name == attempt.scheduler);
    let holder = |who: &Who| matches!(who, Who::Worker(name) if *name == attempt.worker);
    stories.disturbed(giver, attempt.started.saturating_sub(rules.recorded_within), recorded)
        || stories.disturbed(holder, attempt.started, moment)
}

/// Whether an attempt began when its worker had just stood still: then it may have been given long before.
fn is_belated(stories: &Stories, rules: &Rules, attempt: &Attempt) -> bool {
    let holder = |who: &Who| matches!(who, Who::Worker(name) if *name == attempt.worker);
    stories.disturbed(holder, attempt.started.saturating_sub(rules.order_within), attempt.started)
}

/// Whether an attempt began when its giver had just stood still, and its worker could not have heard of the shard's owner since
/// then, because that one failed too, or the worker's streams did: otherwise it would not have begun.
pub(super) fn is_unwarned(stories: &Stories, rules: &Rules, attempt: &Attempt, since: Moment) -> bool {
    let giver = |who: &Who| matches!(who, Who::Scheduler(name) if *name == attempt.scheduler);
    let other = |who: &Who| match who {
        Who::Scheduler(name) => *name != attempt.scheduler,
        Who::Worker(name) => *name == attempt.worker,
        Who::Everybody => true,
    };
    stories.disturbed(giver, attempt.started.saturating_sub(rules.order_within), attempt.started)
        && stories.disturbed(other, since, attempt.started)
}

/// No task is held twice.
pub(super) fn held_twice(stories: &Stories, rules: &Rules) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (task, story) in stories.tasks.iter().filter(|(_, story)| story.steered.is_none()) {
        for (index, later) in story.attempts.iter().enumerate() {
            for earlier in &story.attempts[..index] {
                if earlier.stopped > later.started + rules.order_within
                    && !is_forlorn(stories, rules, earlier, later.started)
                    && !is_belated(stories, rules, later)
                    && !is_unwarned(stories, rules, later, earlier.started)
                {
                    let (one, other, at) = (&earlier.worker, &later.worker, later.started);
                    let seen = format!("task {task} is held by {one} and {other} at {at:?}");
                    violations.push(violation(Broken::HeldTwice, seen));
                }
            }
        }
    }
    violations
}

/// No tenant and no kind runs more than its cap, whichever schedulers its tasks came from, and no worker more than its slots. A
/// task that is cancelled makes room for the next one at once; its worker hears of that a moment later, and counts it
/// until it has stopped.
pub(super) fn over_cap(stories: &Stories, rules: &Rules) -> Vec<Violation> {
    let mut violations = Vec::new();
    let steered = |task: Id| stories.tasks.get(&task).and_then(|story| story.steered);
    let until = |attempt: &Attempt| {
        let counts = !is_forlorn(stories, rules, attempt, attempt.stopped);
        counts.then(|| steered(attempt.task).map_or(attempt.stopped, |at| at.min(attempt.stopped)))
    };
    let cap = rules.tenant_concurrency.unwrap_or(u32::MAX);
    let mut found = over(stories, cap, |attempt| Some((attempt.tenant.as_str(), until(attempt)?)));
    for (kind, cap) in &rules.kind_concurrency {
        found.extend(over(stories, *cap, |attempt| {
            let until = until(attempt).filter(|_| attempt.kind == *kind)?;
            Some((attempt.kind.as_str(), until))
        }));
    }
    found.extend(over(stories, rules.slots, |attempt| Some((attempt.worker.as_str(), attempt.stopped))));
    for (name, count, at) in found {
        violations.push(violation(Broken::OverCap, format!("{name} runs {count} at {at:?}")));
    }
    violations
}

/// The first moment at which each group runs more than `cap`; `group` says to which an attempt belongs, and until when.
fn over<'a>(
    stories: &'a Stories,
    cap: u32,
    group: impl Fn(&'a Attempt) -> Option<(&'a str, Moment)>,
) -> Vec<(&'a str, u32, Moment)> {
    let mut steps: Vec<(Moment, bool, &str, Id)> = Vec::new();
    for attempt in stories.attempts() {
        // One that was stopped at once has held nothing.
        let Some((name, until)) = group(attempt).filter(|(_, until)| *until > attempt.started) else {
            continue;
        };
        steps.push((attempt.started, true, name, attempt.token));
        steps.push((until, false, name, attempt.token));
    }
    // What ends at a moment makes room for what begins then.
    steps.sort_unstable();
    let mut running: BTreeMap<&str, u32> = BTreeMap::new();
    let mut found: BTreeMap<&str, (u32, Moment)> = BTreeMap::new();
    for (at, begins, name, _) in steps {
        let count = running.entry(name).or_default();
        *count = if begins { *count + 1 } else { *count - 1 };
        if *count > cap {
            found.entry(name).or_insert((*count, at));
        }
    }
    found.into_iter().map(|(name, (count, at))| (name, count, at)).collect()
}
