//! The figures of the queue: what waits, what runs, how long tasks waited.

use std::time::Duration;

use tidemill_chassis::telemetry::metrics::{Gauge, Histogram, KeyValue, WAITS, meter, seconds};
use tidemill_kernel::Priority;

use crate::engine::Census;

/// The figures.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    tasks: Gauge<u64>,
    leases: Gauge<u64>,
    workers: Gauge<u64>,
    wait: Histogram<f64>,
}

impl Figures {
    /// Counts into the process' instruments as they are now.
    pub(crate) fn new() -> Self {
        let meter = meter("tidemill.scheduling");
        let gauge = |name, description| meter.u64_gauge(name).with_description(description).build();
        Self {
            tasks: gauge("tidemill.queue.tasks", "Tasks that may run now, that are delayed, that run."),
            leases: gauge("tidemill.leases.active", "Leases that workers hold."),
            workers: gauge("tidemill.workers.connected", "Workers whose stream is open."),
            wait: seconds(
                &meter,
                "tidemill.queue.wait",
                "Time from when a task could run to the start of its first attempt.",
                &WAITS,
            ),
        }
    }

    /// Tells what there is.
    pub(crate) fn tell(&self, census: &Census) {
        let states = [("ready", census.ready), ("delayed", census.delayed), ("leased", census.leased)];
        for (state, counts) in states {
            for (priority, count) in Priority::ALL.into_iter().zip(counts) {
                let attributes = [KeyValue::new("priority", priority.name()), KeyValue::new("state", state)];
                self.tasks.record(number(count), &attributes);
            }
        }
        self.leases.record(number(census.leased.iter().sum()), &[]);
        self.workers.record(number(census.workers), &[]);
    }

    /// A task of this priority waited so long.
    pub(crate) fn waited(&self, priority: Priority, wait: Duration) {
        self.wait.record(wait.as_secs_f64(), &[KeyValue::new("priority", priority.name())]);
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
