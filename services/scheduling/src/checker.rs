//! Judges a run of the queue by what its clients and workers saw: was an acknowledged task lost, did a result count
//! twice, did two workers hold one task, was a cap exceeded, an order broken, a tenant served unfairly?
//!
//! It is a pure function of a [`History`], and knows nothing of how the queue works: the simulation of the engine and the
//! tests with real processes hand theirs to the same rules. What a fault excuses is written down in the history as a
//! disturbance, and each rule says which disturbances it accepts; whatever happens, nothing acknowledged may be lost and
//! nothing may count twice.
//!
//! After the histories of operations of Jepsen (K. Kingsbury), with rules in place of a linearizability search: each is a
//! walk over sorted events.
//!
//! To add a rule: a function from [`Stories`] to violations in the file of its noun, its line in [`check`], and in the
//! tests a history that it refuses.

mod counting;
mod dependencies;
mod fairness;
mod groups;
mod history;
mod holding;
mod idle;
mod order;
mod rate;
mod stories;
#[cfg(test)]
mod tests;

use std::fmt;

pub use history::{Counts, Ending, Event, Found, History, Moment, OnFailure, Queue, Who};
use stories::Stories;

/// What the run was promised, and how exactly its observers see.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// How many tasks a worker runs at once.
    pub slots: u32,
    /// How many tasks of one tenant run at once; none for no bound.
    pub tenant_concurrency: Option<u32>,
    /// How many tasks of a kind run at once, of all tenants and schedulers together.
    pub kind_concurrency: Vec<(String, u32)>,
    /// How many tasks of a kind start in a second, of all tenants and schedulers together, and how many at once after a rest.
    pub kind_rate: Vec<(String, u64, u64)>,
    /// Within this time after it was handed out, a lease is known to the store, if nothing disturbs.
    pub recorded_within: Moment,
    /// Two workers may see two starts in the wrong order if these are not further apart.
    pub order_within: Moment,
    /// The scheduler that runs a task's shard hears of it at most so long after its client was told that it is stored.
    pub heard_within: Moment,
    /// Weights of the tenants whose shares are compared; empty for none.
    pub weights: Vec<(String, u32)>,
    /// How many starts of a tenant may be on their way to workers, unseen.
    pub in_flight: u32,
    /// When whoever is idle begins what there is to do; none if that is not judged.
    pub idle: Option<Idle>,
}

/// How soon what may run is begun if nothing else runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idle {
    /// From this moment on everybody is there.
    pub since: Moment,
    /// It takes at most so long then.
    pub within: Moment,
    /// A task of which a worker says nothing more is held for so long.
    pub lease: Moment,
}

impl Default for Rules {
    /// No caps, exact observers.
    fn default() -> Self {
        Self {
            slots: u32::MAX,
            tenant_concurrency: None,
            kind_concurrency: Vec::new(),
            kind_rate: Vec::new(),
            recorded_within: Moment::from_millis(175),
            order_within: Moment::ZERO,
            heard_within: Moment::ZERO,
            weights: Vec::new(),
            in_flight: 0,
            idle: None,
        }
    }
}

/// What was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Broken {
    /// An acknowledged task never came to an end.
    Lost,
    /// Two results of one task counted, or the effects of one were stored twice.
    CountedTwice,
    /// What is stored is not what a worker sent and was told to count.
    Invented,
    /// One key made two tasks.
    KeyTwice,
    /// A task was started although its result was known to count.
    RunAgain,
    /// A task was started more often than it may be.
    TooOften,
    /// Two workers held one task.
    HeldTwice,
    /// A tenant or a kind ran more than its cap, or a worker more than its slots.
    OverCap,
    /// Of a kind more was started than its rate lets start.
    OverRate,
    /// A task that came first was started last.
    OutOfOrder,
    /// A task was started before one had succeeded that it depends on.
    TooEarly,
    /// A task that depends on others, or on a group, died without an attempt, and none of those had failed.
    GivenUp,
    /// A task that waits for a group was started, or died, while a task of the group was open.
    BeforeGroup,
    /// The store counts other tasks of a group than there are.
    Miscounted,
    /// What could have run, or was to die, was left waiting while nothing ran.
    LeftWaiting,
    /// Tenants that had work waiting were not served by their weights.
    Unfair,
}

/// One rule that one task or tenant shows to be broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The rule.
    pub broken: Broken,
    /// What was seen.
    pub seen: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.broken, self.seen)
    }
}

/// Everything that a run broke; empty for a good one.
pub fn check(history: &History, rules: &Rules) -> Vec<Violation> {
    let stories = Stories::of(history);
    let mut violations = counting::lost(&stories);
    violations.extend(counting::twice(&stories));
    violations.extend(counting::keys(&stories));
    violations.extend(counting::again(&stories, rules));
    violations.extend(holding::held_twice(&stories, rules));
    violations.extend(holding::over_cap(&stories, rules));
    violations.extend(rate::over_rate(&stories, rules));
    violations.extend(order::out_of_order(&stories, rules));
    violations.extend(dependencies::too_early(&stories, rules));
    violations.extend(dependencies::given_up(&stories));
    violations.extend(groups::before_its_end(&stories));
    violations.extend(groups::miscounted(&stories));
    violations.extend(idle::left_waiting(&stories, rules));
    violations.extend(fairness::unfair(&stories, rules));
    violations
}

fn violation(broken: Broken, seen: String) -> Violation {
    Violation { broken, seen }
}
