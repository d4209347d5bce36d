//! How many workers a component needs, from what it has to do. Pure.
//!
//! Sources: J. D. C. Little, "A Proof for the Queuing Formula L = lambda W", 1961 (how many slots arrivals keep busy); S. Halfin and
//! W. Whitt, "Heavy-Traffic Limits for Queues with Many Exponential Servers", 1981 (the square root on top, so that few have
//! to wait); for processors the rule of Kubernetes' horizontal autoscaler.

use std::time::Duration;

use serde::Serialize;

/// What a component has to do.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Load {
    /// Tasks a second that came in, tried again ones too.
    pub(crate) arrivals: f64,
    /// The mean time of an attempt; none before one has ended.
    pub(crate) service: Option<Duration>,
    /// Tasks that wait.
    pub(crate) waiting: u64,
    /// Tasks that run.
    pub(crate) running: u64,
    /// Workers that are there, and the tasks that they run at once.
    pub(crate) workers: u32,
    pub(crate) slots: u32,
    /// The share of their processors that is busy, 0 to 1, where they tell.
    pub(crate) cpu: Option<f64>,
    /// The share of attempts that failed.
    pub(crate) failed: f64,
}

impl Load {
    /// The slots that arrivals alone keep busy, in Erlang.
    pub(crate) fn offered(&self) -> f64 {
        self.service.map_or(0.0, |service| self.arrivals * service.as_secs_f64())
    }

    /// The share of the slots that arrivals alone keep busy; over 1 the queue grows.
    pub(crate) fn factor(&self) -> f64 {
        if self.slots == 0 { 0.0 } else { self.offered() / f64::from(self.slots) }
    }

    /// How long a task that comes now waits, about, in seconds: what is ahead of it by what the slots get done.
    pub(crate) fn wait(&self) -> f64 {
        let service = self.service.map_or(0.0, |service| service.as_secs_f64());
        ratio(self.waiting) * service / f64::from(self.slots.max(1))
    }
}

/// What is aimed at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Goal {
    /// How long tasks may wait.
    pub(crate) wait: Duration,
    /// The share of the slots that may be busy, over 0 and at most 1.
    pub(crate) utilisation: f64,
    /// How many tasks may wait.
    pub(crate) depth: u64,
    /// The share of processors that may be busy.
    pub(crate) cpu: f64,
    /// Tasks that one worker runs at once, where no worker is there to tell; 1 or more.
    pub(crate) slots: u32,
    /// The fewest and the most workers.
    pub(crate) min: u32,
    pub(crate) max: u32,
}

/// What an advice rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) enum Reason {
    #[default]
    Idle,
    Arrivals,
    Backlog,
    Depth,
    Processors,
    Bound,
}

/// How many workers the load needs, and what that rests on.
pub(crate) fn want(load: &Load, goal: &Goal) -> (u32, Reason) {
    let offered = load.offered();
    let steady = if offered > 0.0 { (offered / goal.utilisation).max(offered + offered.sqrt()) } else { 0.0 };
    let service = load.service.map_or(0.0, |service| service.as_secs_f64());
    let backlog = ratio(load.waiting) * service / goal.wait.as_secs_f64().max(1e-3);
    // As the workers that are there have it.
    let each = if load.workers > 0 && load.slots > 0 {
        f64::from(load.slots) / f64::from(load.workers)
    } else {
        f64::from(goal.slots.max(1))
    };
    let by_load = whole((steady + backlog) / each);
    let mut needs =
        vec![(by_load, if backlog > steady { Reason::Backlog } else { Reason::Arrivals }), (0, Reason::Idle)];
    if load.waiting > 0 {
        // Without a worker nothing would ever be known of its time.
        needs.push((1, Reason::Backlog));
    }
    if load.waiting > goal.depth {
        needs.push((load.workers.saturating_add(1), Reason::Depth));
    }
    if let Some(cpu) = load.cpu.filter(|cpu| *cpu > goal.cpu && goal.cpu > 0.0) {
        needs.push((whole(f64::from(load.workers) * cpu / goal.cpu), Reason::Processors));
    }
    let (most, reason) = needs.into_iter().max_by_key(|(workers, _)| *workers).unwrap_or_default();
    if most > goal.max {
        (goal.max, Reason::Bound)
    } else if most < goal.min {
        (goal.min, Reason::Idle)
    } else {
        (most, if most == 0 { Reason::Idle } else { reason })
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of tasks; its last digits do not matter")]
fn ratio(count: u64) -> f64 {
    count as f64
}

/// Rounded up; what is just above a whole number by the error of arithmetic counts as that number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "kept within the bounds of the type"
)]
fn whole(workers: f64) -> u32 {
    (workers - 1e-9).ceil().clamp(0.0, f64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOAL: Goal = Goal {
        wait: Duration::from_millis(1_500),
        utilisation: 0.7,
        depth: 100,
        cpu: 0.7,
        slots: 4,
        min: 1,
        max: 1_000,
    };

    fn load() -> impl Strategy<Value = Load> {
        (0.0..500.0_f64, 1_u64..3_000, 0_u64..5_000, 0_u32..50, prop::option::of(0.0..1.0_f64)).prop_map(
            |(arrivals, service, waiting, workers, cpu)| Load {
                arrivals,
                service: Some(Duration::from_millis(service)),
                waiting,
                workers,
                slots: workers * 4,
                cpu,
                ..Load::default()
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_wanted_keeps_within_bounds_and_grows_with_the_load(load in load(), more in 1.0..4.0_f64) {
            let (workers, _) = want(&load, &GOAL);
            prop_assert!((GOAL.min..=GOAL.max).contains(&workers));
            let heavier = Load { arrivals: load.arrivals * more, waiting: load.waiting * 2, ..load };
            prop_assert!(want(&heavier, &GOAL).0 >= workers);
        }

        #[test]
        fn so_many_workers_are_no_busier_than_wished_and_clear_what_waits_in_time(load in load()) {
            let (workers, reason) = want(&load, &GOAL);
            prop_assume!(reason != Reason::Bound);
            let slots = f64::from(workers) * 4.0;
            // Little's law: arrivals keep as many slots busy as their rate times their time.
            prop_assert!(load.offered() / slots <= GOAL.utilisation + 1e-9);
            // The slots that arrivals leave get done what waits.
            let spare = slots - load.offered();
            let clear = ratio(load.waiting) * load.service.unwrap().as_secs_f64() / spare;
            prop_assert!(clear <= GOAL.wait.as_secs_f64() + 1e-6, "{clear}");
        }
    }

    #[test]
    fn each_trigger_is_named() {
        let second = Some(Duration::from_secs(1));
        let base = Load { workers: 4, slots: 16, ..Load::default() };
        assert_eq!(want(&base, &GOAL), (1, Reason::Idle));
        assert_eq!(want(&Load { arrivals: 14.0, service: second, ..base }, &GOAL), (5, Reason::Arrivals));
        assert_eq!(want(&Load { waiting: 60, service: second, ..base }, &GOAL), (10, Reason::Backlog));
        let quick = Some(Duration::from_micros(10));
        assert_eq!(want(&Load { waiting: 101, service: quick, ..base }, &GOAL), (5, Reason::Depth));
        assert_eq!(want(&Load { cpu: Some(0.95), ..base }, &GOAL), (6, Reason::Processors));
        assert_eq!(want(&Load { waiting: 90_000, service: second, ..base }, &GOAL), (1_000, Reason::Bound));
        assert_eq!(
            want(&Load { waiting: 1, ..Load::default() }, &Goal { min: 0, ..GOAL }),
            (1, Reason::Backlog)
        );
        assert_eq!(want(&Load::default(), &Goal { min: 0, ..GOAL }), (0, Reason::Idle));
    }
}
