//! What components have to do, from samples of the scheduler's counts. Pure.
//!
//! The mean time of an attempt comes from Little's law: how many ran on average, by how many ended a second. Arrivals are
//! what was started and what waits more than before, so that tasks that are tried again count as the work that they are.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tidemill_kernel::Timestamp;

use super::demand::Load;

/// What the scheduler counts at one moment. Figures that only grow begin at its start.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Sample {
    /// By kind of task.
    pub(crate) kinds: BTreeMap<String, Counts>,
    /// The workers that are there.
    pub(crate) workers: Vec<Seat>,
}

/// The counts of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Attempts that were started, that ended, and that failed among those, since the start.
    pub(crate) started: u64,
    pub(crate) ended: u64,
    pub(crate) failed: u64,
    /// Tasks that wait and that run now.
    pub(crate) waiting: u64,
    pub(crate) running: u64,
}

/// One worker.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Seat {
    /// Its name.
    pub(crate) worker: String,
    /// The kinds that it runs.
    pub(crate) kinds: Vec<String>,
    /// How many tasks it runs at once.
    pub(crate) slots: u32,
    /// The share of its processors that is busy, if it tells.
    pub(crate) cpu: Option<f64>,
}

/// Samples of the last while.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    length: Duration,
    samples: VecDeque<(Timestamp, Sample)>,
}

impl Window {
    /// An empty one of this length.
    pub(crate) fn new(length: Duration) -> Self {
        Self { length, samples: VecDeque::new() }
    }

    /// Adds a sample. One at least as old as the window is long stays, to compare with.
    pub(crate) fn push(&mut self, now: Timestamp, sample: Sample) {
        self.samples.push_back((now, sample));
        while self.samples.get(1).is_some_and(|(at, _)| *at + self.length <= now) {
            self.samples.pop_front();
        }
    }

    /// The load of the kinds that `runs` says, over the window.
    pub(crate) fn load(&self, runs: impl Fn(&str) -> bool) -> Load {
        let (Some((begun, first)), Some((now, last))) = (self.samples.front(), self.samples.back()) else {
            return Load::default();
        };
        let (before, after) = (total(first, &runs), total(last, &runs));
        let seconds = now.since(*begun).as_secs_f64();
        // After a restart the counts begin anew; the next sample knows more.
        let grown = |before: u64, after: u64| float(after.saturating_sub(before));
        let started = grown(before.started, after.started);
        let (ended, failed) = (grown(before.ended, after.ended), grown(before.failed, after.failed));
        let more = float(after.waiting) - float(before.waiting);
        let rate = |count: f64| if seconds > 0.0 { (count / seconds).max(0.0) } else { 0.0 };
        let ran: f64 = self.samples.iter().map(|(_, sample)| float(total(sample, &runs).running)).sum();
        let ran = ran / float(self.samples.len() as u64);
        let service = (ended > 0.0 && seconds > 0.0).then(|| ran * seconds / ended);
        let seats: Vec<&Seat> =
            last.workers.iter().filter(|seat| seat.kinds.iter().any(|kind| runs(kind))).collect();
        let busy: Vec<f64> = seats.iter().filter_map(|seat| seat.cpu).collect();
        Load {
            arrivals: rate(started + more),
            service: service.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            waiting: after.waiting,
            running: after.running,
            workers: u32::try_from(seats.len()).unwrap_or(u32::MAX),
            slots: seats.iter().fold(0, |slots, seat| slots.saturating_add(seat.slots)),
            cpu: (!busy.is_empty()).then(|| busy.iter().sum::<f64>() / float(busy.len() as u64)),
            failed: if ended > 0.0 { failed / ended } else { 0.0 },
        }
    }
}

fn total(sample: &Sample, runs: &impl Fn(&str) -> bool) -> Counts {
    let own = sample.kinds.iter().filter(|(kind, _)| runs(kind));
    own.fold(Counts::default(), |sum, (_, counts)| Counts {
        started: sum.started + counts.started,
        ended: sum.ended + counts.ended,
        failed: sum.failed + counts.failed,
        waiting: sum.waiting + counts.waiting,
        running: sum.running + counts.running,
    })
}

#[expect(clippy::cast_precision_loss, reason = "a count of tasks; its last digits do not matter")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000) + Duration::from_secs(seconds)
    }

    fn sample(kind: &str, counts: Counts) -> Sample {
        Sample { kinds: BTreeMap::from([(kind.to_owned(), counts)]), workers: Vec::new() }
    }

    proptest! {
        /// A queue that is in balance: every second `rate` tasks come and go, each takes `service` seconds.
        #[test]
        fn rates_and_times_of_a_steady_queue_are_found(rate in 1_u64..200, service in 1_u64..20, seconds in 2_u64..300) {
            // A quarter of them fails.
            let rate = rate * 4;
            let mut window = Window::new(Duration::from_secs(60));
            for second in 0..=seconds {
                let counts = Counts {
                    started: rate * (second + service),
                    ended: rate * second,
                    failed: rate * second / 4,
                    waiting: 7,
                    running: rate * service,
                };
                window.push(at(second), sample("a", counts));
            }
            let load = window.load(|kind| kind == "a");
            prop_assert!((load.arrivals - float(rate)).abs() < 1e-6);
            prop_assert!((load.service.unwrap().as_secs_f64() - float(service)).abs() < 1e-6);
            prop_assert!((load.failed - 0.25).abs() < 1e-9);
            prop_assert_eq!(load.waiting, 7);
            prop_assert_eq!(window.load(|kind| kind == "b"), Load::default());
            prop_assert!(window.samples.len() <= 62);
        }
    }

    #[test]
    fn what_waits_more_has_come_in_and_a_restart_is_no_flood() {
        let mut window = Window::new(Duration::from_secs(60));
        window.push(at(0), sample("a", Counts { started: 1_000, waiting: 10, ..Counts::default() }));
        window.push(at(10), sample("a", Counts { started: 1_020, waiting: 40, ..Counts::default() }));
        assert!((window.load(|_| true).arrivals - 5.0).abs() < 1e-9);
        window.push(at(20), sample("a", Counts::default()));
        assert!(window.load(|_| true).arrivals.abs() < 1e-9);
    }

    #[test]
    fn workers_count_for_each_component_whose_kinds_they_run() {
        let seat = |kinds: &[&str], slots, cpu| Seat {
            kinds: kinds.iter().map(ToString::to_string).collect(),
            slots,
            cpu,
            ..Seat::default()
        };
        let workers = vec![seat(&["a", "b"], 4, Some(0.5)), seat(&["b"], 8, None), seat(&["c"], 9, None)];
        let mut window = Window::new(Duration::from_secs(60));
        window.push(at(0), Sample { workers, ..Sample::default() });
        let load = window.load(|kind| kind == "b");
        assert_eq!((load.workers, load.slots, load.cpu), (2, 12, Some(0.5)));
    }
}
