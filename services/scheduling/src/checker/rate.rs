//! How fast tasks start. What somebody began whom a fault met is not counted: it may have been given at another time.

use super::history::{Moment, Who};
use super::stories::{Attempt, Stories};
use super::{Broken, Rules, Violation, violation};

/// In any time, no more of a kind is started than gathers in it, and what may be gathered before: a bucket that leaks at the
/// rate never holds more than a burst (J. Turner, "New directions in communications", 1986). Two starts may be seen closer
/// together than they were decided.
pub(super) fn over_rate(stories: &Stories, rules: &Rules) -> Vec<Violation> {
    let limits = rules.kind_rate.iter();
    limits.filter_map(|(kind, rate, burst)| fullest(stories, rules, kind, (*rate, *burst))).collect()
}

fn fullest(stories: &Stories, rules: &Rules, kind: &str, (rate, burst): (u64, u64)) -> Option<Violation> {
    let is_meant = |attempt: &&Attempt| attempt.kind == kind && !is_excused(stories, rules, attempt);
    let mut starts: Vec<Moment> =
        stories.attempts().filter(is_meant).map(|attempt| attempt.started).collect();
    starts.sort_unstable();
    let most = burst as f64 + rate as f64 * rules.order_within.as_secs_f64();
    let (mut level, mut last) = (0.0_f64, Moment::ZERO);
    for at in starts {
        level = (level - rate as f64 * (at - last).as_secs_f64()).max(0.0) + 1.0;
        last = at;
        if level > most + 1e-6 {
            let seen = format!("of {kind} there are {level:.1} more starts at {at:?} than {rate} a second");
            return Some(violation(Broken::OverRate, seen));
        }
    }
    None
}

fn is_excused(stories: &Stories, rules: &Rules, attempt: &Attempt) -> bool {
    let is_one = |who: &Who| match who {
        Who::Scheduler(name) => *name == attempt.scheduler,
        Who::Worker(name) => *name == attempt.worker,
        Who::Everybody => true,
    };
    stories.disturbed(is_one, attempt.started.saturating_sub(rules.order_within), attempt.started)
}
