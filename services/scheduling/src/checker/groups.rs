//! A task that waits for a group, and what a group counts.
//!
//! What is promised: between the submission of such a task and its start there was a moment at which no task of the group was open
//! that was there by then; if it minds failures, at which all those had succeeded. What comes into the group after that moment does
//! not matter. So the rule takes from each task of the group the time in which it was open for sure, from when somebody was told
//! that it is there until its result was sent at the earliest, and looks for a moment that none of these times covers. What follows
//! from a result is there in the same step in which its task ends: between the two there is no such moment. No fault excuses anything, because all
//! of it is what the store says in one answer.

use tidemill_kernel::Id;

use super::dependencies::has_only_succeeded;
use super::history::{Counts, Found, Moment, OnFailure};
use super::stories::{Group, GroupName, Stories, Story};
use super::{Broken, Violation, violation};

/// A moment that is later than all others by as little as there is.
const INSTANT: Moment = Moment::from_nanos(1);

/// No task that waits for a group is started, nor dies with it, before the group is over.
pub(super) fn before_its_end(stories: &Stories) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (task, story) in stories.tasks.iter().filter(|(_, story)| !story.awaits.is_empty()) {
        let Some(submitted) = &story.submitted else { continue };
        let group = |name: &String| {
            let name = (submitted.queue.tenant.clone(), name.clone());
            Some((stories.groups.get(&name)?, name.1))
        };
        let is_open = |group: &Group, minds: bool, until: Moment| {
            let open = group.members.iter().filter_map(|(member, told)| {
                let asked = stories.tasks[member].submitted.as_ref().map(|other| other.asked);
                // What was asked for at one moment came in one call, in one step.
                let from = if asked == Some(submitted.asked) { submitted.asked } else { (*told)? + INSTANT };
                Some((from, open_until(stories, group, *member, minds)?, *member))
            });
            covers(open.collect(), submitted.asked, until)
        };
        if let Some(started) = story.started() {
            for (name, on_failure) in &story.awaits {
                let Some((group, name)) = group(name) else { continue };
                if let Some(open) = is_open(group, *on_failure != OnFailure::Run, started) {
                    let seen =
                        format!("task {task} was started at {started:?}; of {name} there was {open:?}");
                    violations.push(violation(Broken::BeforeGroup, seen));
                }
            }
        } else if let (Some(Found::Dead), Some(died), []) =
            (story.found, story.ended_at, &story.depends_on[..])
            && story
                .awaits
                .iter()
                .filter_map(|(name, _)| group(name))
                .all(|(group, _)| is_open(group, false, died).is_some())
        {
            let seen = format!("task {task} died at {died:?}, and no group that it waits for was over");
            violations.push(violation(Broken::BeforeGroup, seen));
        }
    }
    violations
}

/// Until when a task of a group that was there has not ended for sure, or not succeeded if that is what counts; none if that
/// cannot be told.
fn open_until(stories: &Stories, group: &Group, member: Id, minds_failure: bool) -> Option<Moment> {
    let story = &stories.tasks[&member];
    let is_final = minds_failure || story.steered.is_none();
    if let Some(winner) = story.winner().filter(|_| is_final) {
        // What follows from a result is there at once.
        let follow = group.follow_ups.get(&winner.token).into_iter().flatten();
        let follow = follow.filter_map(|other| open_until(stories, group, *other, minds_failure)).max();
        return follow.max(Some(winner.stopped));
    }
    match story.found {
        // It never succeeded, or never ended.
        Some(Found::Dead | Found::Cancelled) if minds_failure => Some(Moment::MAX),
        Some(Found::Unfinished) if is_final => Some(Moment::MAX),
        _ => seen_open(stories, story),
    }
}

/// When the last attempt of a task began, before anything was done to it by hand, unless it may have begun in vain.
fn seen_open(stories: &Stories, story: &Story) -> Option<Moment> {
    let is_own = |started: &Moment| story.steered.is_none_or(|steered| *started < steered);
    let mut starts = story.attempts.iter().map(|attempt| attempt.started).filter(is_own);
    let first = starts.next()?;
    let last = starts.next_back().unwrap_or(first);
    (!stories.disturbed(|_| true, first, last)).then_some(last)
}

/// Those whose times, each without its end, leave no moment free together; none if there is one.
fn covers(mut times: Vec<(Moment, Moment, Id)>, from: Moment, until: Moment) -> Option<Vec<Id>> {
    times.sort_unstable();
    let (mut free, mut open) = (from, Vec::new());
    for (begin, end, task) in times {
        if begin <= free && end > free {
            free = end;
            open.push(task);
        }
    }
    (free > until).then_some(open)
}

/// Whether a task may have died with a group that it waits for.
pub(super) fn may_have_failed(stories: &Stories, story: &Story) -> bool {
    let tenant = story.submitted.as_ref().map(|submitted| submitted.queue.tenant.clone()).unwrap_or_default();
    let dying = story.awaits.iter().filter(|(_, on_failure)| *on_failure == OnFailure::Die);
    let mut groups = dying.map(|(name, _)| stories.groups.get(&(tenant.clone(), name.clone())));
    let has_failed =
        |group: &Group| group.members.keys().any(|member| !has_only_succeeded(&stories.tasks[member]));
    groups.any(|group| group.is_none_or(has_failed))
}

/// A group counts its tasks, each as it ended.
pub(super) fn miscounted(stories: &Stories) -> Vec<Violation> {
    let is_asked_about = stories.groups.values().any(|group| group.found.is_some());
    let groups = stories.groups.iter().filter(|_| is_asked_about);
    let wrong = |(name, group): (&GroupName, &Group)| {
        let (found, is) = (group.found.unwrap_or_default(), counted(stories, group));
        let seen = || format!("{name:?} has {found:?}, and its tasks are {is:?}");
        (found != is).then(|| violation(Broken::Miscounted, seen()))
    };
    groups.filter_map(wrong).collect()
}

fn counted(stories: &Stories, group: &Group) -> Counts {
    let mut counts = Counts::default();
    for member in group.members.keys() {
        counts.total += 1;
        match stories.tasks[member].found {
            Some(Found::Succeeded(_)) => counts.succeeded += 1,
            Some(Found::Dead) => counts.dead += 1,
            Some(Found::Cancelled) => counts.cancelled += 1,
            Some(Found::Unfinished) | None => {}
        }
    }
    counts
}
