//! From what is wanted at each moment to what is asked for: up soon, down late, never for a trifle, and looked at afterwards.
//! Pure.
//!
//! Invariants: what is asked for was wanted at some moment within the last `down_after`; two changes upward are at least
//! `pause` apart; it goes down only to the most that was wanted for as long as `down_after`.

use std::collections::VecDeque;
use std::time::Duration;

use tidemill_kernel::Timestamp;

/// When there is a change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rules {
    /// Smaller changes than this share are not worth making.
    pub(crate) tolerance: f64,
    /// The pause after a change before the next one upward.
    pub(crate) pause: Duration,
    /// How long less must have been wanted before there is less.
    pub(crate) down_after: Duration,
    /// When after a change its effect is looked at; for so many times as long nothing more is asked for if there was none.
    pub(crate) verify_after: Duration,
}

/// For how many times `verify_after` no more is asked for, when more did not help.
const HOLD: u32 = 5;

/// The share of its wait that a task must be spared for a change to count as seen.
const RELIEF: f64 = 0.1;

/// What a change brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Effect {
    /// There was no change, or it is too early to say.
    #[default]
    Unknown,
    /// Tasks wait less.
    Seen,
    /// The workers did not come.
    NoWorkers,
    /// They came, and tasks wait as before.
    None,
}

/// What is there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Seen {
    /// Workers.
    pub(crate) workers: u32,
    /// How long a task waits, in seconds, and how long it may.
    pub(crate) wait: f64,
    pub(crate) wait_goal: f64,
}

/// A change whose effect is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Check {
    at: Timestamp,
    to: u32,
    wait: f64,
}

/// One component's state.
#[derive(Debug, Clone, Default)]
pub(crate) struct Steady {
    asked: Option<u32>,
    changed_at: Option<Timestamp>,
    wanted: VecDeque<(Timestamp, u32)>,
    check: Option<Check>,
    held_until: Option<Timestamp>,
    effect: Effect,
}

impl Steady {
    /// What the last change brought.
    pub(crate) fn effect(&self) -> Effect {
        self.effect
    }

    /// One step: what is wanted and seen now; what is asked for from now on.
    pub(crate) fn step(&mut self, want: u32, seen: Seen, rules: &Rules, now: Timestamp) -> u32 {
        self.wanted.push_back((now, want));
        while self.wanted.get(1).is_some_and(|(at, _)| *at + rules.down_after <= now) {
            self.wanted.pop_front();
        }
        self.verify(seen, rules, now);
        let Some(asked) = self.asked else {
            self.asked = Some(want);
            return want;
        };
        let next = self.next(asked, want, rules, now);
        if next != asked {
            self.asked = Some(next);
            self.changed_at = Some(now);
            self.effect = Effect::Unknown;
            self.check =
                (next > asked).then_some(Check { at: now + rules.verify_after, to: next, wait: seen.wait });
        }
        next
    }

    fn next(&self, asked: u32, want: u32, rules: &Rules, now: Timestamp) -> u32 {
        let (few, some) =
            (f64::from(asked) * (1.0 - rules.tolerance), f64::from(asked) * (1.0 + rules.tolerance));
        if f64::from(want) > some {
            let is_paused = self.changed_at.is_some_and(|at| now < at + rules.pause);
            let is_held = self.held_until.is_some_and(|until| now < until);
            return if is_paused || is_held { asked } else { want };
        }
        let most = self.wanted.iter().map(|(_, want)| *want).max().unwrap_or(want);
        let is_long = self.wanted.front().is_some_and(|(at, _)| *at + rules.down_after <= now);
        if is_long && f64::from(most) < few { most } else { asked }
    }

    /// Looks at what the last change upward brought, when it is time to.
    fn verify(&mut self, seen: Seen, rules: &Rules, now: Timestamp) {
        let Some(check) = self.check.filter(|check| check.at <= now) else { return };
        self.check = None;
        self.effect = if seen.workers < check.to {
            Effect::NoWorkers
        } else if seen.wait <= seen.wait_goal || seen.wait <= check.wait * (1.0 - RELIEF) {
            Effect::Seen
        } else {
            // Something else holds them back: more workers would only take their share of it.
            self.held_until = Some(now + rules.verify_after * HOLD);
            Effect::None
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: Rules = Rules {
        tolerance: 0.1,
        pause: Duration::from_secs(30),
        down_after: Duration::from_secs(300),
        verify_after: Duration::from_secs(60),
    };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000) + Duration::from_secs(seconds)
    }

    fn seen(workers: u32, wait: f64) -> Seen {
        Seen { workers, wait, wait_goal: 1.5 }
    }

    proptest! {
        #[test]
        fn ups_are_apart_downs_are_late_and_everything_was_wanted(wants in prop::collection::vec(0_u32..40, 1..200)) {
            let (mut steady, mut asked, mut changes) = (Steady::default(), None, Vec::new());
            for (index, want) in wants.iter().enumerate() {
                let now = index as u64 * 5;
                let next = steady.step(*want, seen(40, 0.0), &RULES, at(now));
                // The naive rule: whatever is asked for was wanted within the last five minutes and a step.
                let recent = &wants[index.saturating_sub(60)..=index];
                if Some(next) != asked {
                    prop_assert!(recent.contains(&next));
                    if let Some(asked) = asked {
                        if next < asked {
                            prop_assert!(recent.iter().all(|want| *want <= next) && index >= 60);
                        } else if let Some((before, _)) = changes.last() {
                            prop_assert!(now >= before + 30);
                        }
                        changes.push((now, next));
                    }
                    asked = Some(next);
                }
            }
        }

        #[test]
        fn a_load_that_swings_by_a_trifle_changes_nothing(wants in prop::collection::vec(19_u32..=21, 1..200)) {
            let mut steady = Steady::default();
            steady.step(20, seen(20, 0.0), &RULES, at(0));
            for (index, want) in wants.into_iter().enumerate() {
                prop_assert_eq!(steady.step(want, seen(20, 0.0), &RULES, at(5 + 5 * index as u64)), 20);
            }
        }
    }

    #[test]
    fn a_change_that_brought_no_workers_or_no_relief_is_told_and_the_latter_holds_back_more() {
        for (workers, wait, effect, later) in
            [(4, 9.0, Effect::NoWorkers, 20), (8, 4.0, Effect::Seen, 20), (8, 9.0, Effect::None, 8)]
        {
            let mut steady = Steady::default();
            steady.step(4, seen(4, 0.0), &RULES, at(0));
            assert_eq!(steady.step(8, seen(4, 9.0), &RULES, at(60)), 8);
            assert_eq!(steady.step(8, seen(workers, wait), &RULES, at(119)), 8);
            assert_eq!(steady.effect(), Effect::Unknown);
            let asked = steady.step(20, seen(workers, wait), &RULES, at(120));
            assert_eq!(asked, later, "{effect:?}");
            if effect == Effect::None {
                assert_eq!(steady.effect(), effect);
                assert_eq!(
                    steady.step(20, seen(8, 9.0), &RULES, at(120 + 300)),
                    20,
                    "it is tried again later"
                );
            }
        }
    }
}
