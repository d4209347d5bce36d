//! First come, first served: of two tasks of one queue, the one whose client had
//! his answer before the other's client asked is started first, if its scheduler had heard of it by then. What has to be tried
//! again, waits for a time of its own or meets a fault while it waits is not compared.

use std::collections::BTreeMap;

use tidemill_kernel::Id;

use super::history::{Moment, Queue};
use super::stories::Stories;
use super::{Broken, Rules, Violation, violation};

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
        let waits = submitted.delayed || !story.depends_on.is_empty() || !story.awaits.is_empty();
        let calm = only.number == 1 && !waits && !stories.disturbed(|_| true, asked, started);
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
