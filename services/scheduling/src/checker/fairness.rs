//! Shares by weight: while two tenants have work waiting at one scheduler and nothing disturbs, what they are served,
//! divided by their weights, stays within one task of each.
//!
//! Bound: start-time fair queueing, `|W_f/w_f - W_g/w_g| <= c_f/w_f + c_g/w_g` over any such stretch (P. Goyal, H. Vin,
//! H. Cheng, SIGCOMM 1996), with all costs 1, widened by what may be on its way to workers.

use super::history::Moment;
use super::stories::Stories;
use super::{Broken, Rules, Violation, violation};

/// What happens to the work of two tenants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Came,
    Started,
}

/// How two tenants stand; the first, then the second.
#[derive(Default)]
struct Pair {
    waiting: [i64; 2],
    scheduler: [Option<String>; 2],
    served: [f64; 2],
    least: f64,
    most: f64,
}

/// Tenants whose weights are known are served by them, priority by priority and kind by kind.
pub(super) fn unfair(stories: &Stories, rules: &Rules) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (index, first) in rules.weights.iter().enumerate() {
        for second in &rules.weights[..index] {
            violations.extend(compare(stories, rules, [first, second]));
        }
    }
    violations
}

fn compare(stories: &Stories, rules: &Rules, tenants: [&(String, u32); 2]) -> Option<Violation> {
    let share = tenants.map(|(_, weight)| 1.0 / f64::from((*weight).max(1)));
    let bound = (share[0] + share[1]) * f64::from(1 + rules.in_flight);
    let mut pair = Pair::default();
    let mut last = Moment::ZERO;
    for (at, step, side, scheduler) in steps(stories, tenants) {
        if stories.disturbed(|_| true, last, at) {
            pair.begin_anew();
        }
        last = at;
        pair.take(step, side, scheduler, share[side], i64::from(rules.in_flight));
        let drift = pair.most - pair.least;
        if drift > bound + 1e-9 {
            let names = tenants.map(|(name, _)| name);
            let seen = format!("{names:?} drifted apart by {drift:.2} until {at:?}; the bound is {bound:.2}");
            return Some(violation(Broken::Unfair, seen));
        }
    }
    None
}

/// What came and was started of two tenants, by time.
fn steps<'a>(
    stories: &'a Stories,
    tenants: [&(String, u32); 2],
) -> Vec<(Moment, Step, usize, Option<&'a str>)> {
    let mut steps = Vec::new();
    for story in stories.tasks.values() {
        let Some(submitted) = &story.submitted else { continue };
        let Some(side) = tenants.iter().position(|(name, _)| *name == submitted.queue.tenant) else {
            continue;
        };
        steps.push((submitted.at, Step::Came, side, None));
        let first = story.attempts.first();
        let start = first.map(|first| {
            (first.started.max(submitted.at), Step::Started, side, Some(first.scheduler.as_str()))
        });
        steps.extend(start);
    }
    steps.sort_unstable();
    steps
}

impl Pair {
    fn take(&mut self, step: Step, side: usize, scheduler: Option<&str>, share: f64, margin: i64) {
        self.waiting[side] += if step == Step::Came { 1 } else { -1 };
        if let Some(name) = scheduler.filter(|name| self.scheduler[side].as_deref() != Some(name))
            && self.scheduler[side].replace(name.to_owned()).is_some()
        {
            self.begin_anew();
        }
        // One that was never started may be anybody's.
        let apart = matches!(&self.scheduler, [Some(one), Some(other)] if one != other);
        // What is on its way to workers waits no longer, although it has not been seen to start.
        let both_wait = self.waiting.iter().all(|waiting| *waiting > margin);
        if !both_wait || apart {
            self.begin_anew();
        } else if step == Step::Started {
            self.served[side] += share;
            let drift = self.served[0] - self.served[1];
            (self.least, self.most) = (self.least.min(drift), self.most.max(drift));
        }
    }

    fn begin_anew(&mut self) {
        (self.served, self.least, self.most) = ([0.0; 2], 0.0, 0.0);
    }
}
