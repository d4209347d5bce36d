//! The figures of a worker: how long attempts take and how they end, how many of its slots are busy.

use std::collections::HashMap;
use std::sync::Arc;

use tidemill_chassis::clock::Stopwatch;
use tidemill_chassis::telemetry::metrics::{
    Histogram, KeyValue, StringValue, UpDownCounter, WORK, meter, seconds,
};

/// The figures of one worker.
#[derive(Debug)]
pub(crate) struct Figures {
    duration: Histogram<f64>,
    slots: UpDownCounter<i64>,
    /// The kinds that it runs, as attributes.
    kinds: HashMap<String, StringValue>,
    /// All of them in one.
    pool: StringValue,
}

impl Figures {
    /// Those of a worker that runs these kinds.
    pub(crate) fn of<'a>(kinds: impl Iterator<Item = &'a String>) -> Arc<Self> {
        let shared = |name: &str| StringValue::from(Arc::<str>::from(name));
        let kinds: HashMap<_, _> = kinds.map(|kind| (kind.clone(), shared(kind))).collect();
        let mut names: Vec<_> = kinds.keys().map(String::as_str).collect();
        names.sort_unstable();
        let meter = meter("tidemill.worker");
        let description = "Time of an attempt on its worker, by how it ended.";
        Arc::new(Self {
            duration: seconds(&meter, "tidemill.task.duration", description, &WORK),
            slots: meter
                .i64_up_down_counter("tidemill.worker.slots")
                .with_description("Tasks that workers run at once, and how many more they would take.")
                .build(),
            pool: shared(&names.join("+")),
            kinds,
        })
    }

    /// An attempt of this kind begins.
    pub(crate) fn begin(self: &Arc<Self>, kind: &str) -> Running {
        let kind = self.kinds.get(kind).cloned().unwrap_or_else(|| "other".into());
        Running { figures: Arc::clone(self), kind, begun: Stopwatch::start(), outcome: "cancelled" }
    }

    fn change(&self, state: &'static str, by: i64) {
        if by != 0 {
            self.slots.add(by, &[KeyValue::new("kind", self.pool.clone()), KeyValue::new("state", state)]);
        }
    }
}

/// How many slots are busy and free, told when that has changed: not for each attempt, of which there may be many.
#[derive(Debug)]
pub(crate) struct Levels {
    figures: Arc<Figures>,
    busy: i64,
    free: i64,
}

impl Levels {
    /// None yet.
    pub(crate) fn of(figures: Arc<Figures>) -> Self {
        Self { figures, busy: 0, free: 0 }
    }

    /// So many are busy, of so many that schedulers may fill.
    pub(crate) fn tell(&mut self, busy: u32, open: u32) {
        let (busy, free) = (i64::from(busy), i64::from(open.saturating_sub(busy)));
        self.figures.change("busy", busy - self.busy);
        self.figures.change("free", free - self.free);
        (self.busy, self.free) = (busy, free);
    }
}

impl Drop for Levels {
    fn drop(&mut self) {
        self.tell(0, 0);
    }
}

/// An attempt that runs. One that is dropped before its end was cancelled, or panicked.
#[derive(Debug)]
pub(crate) struct Running {
    figures: Arc<Figures>,
    kind: StringValue,
    begun: Stopwatch,
    outcome: &'static str,
}

impl Running {
    /// It ended.
    pub(crate) fn ended(mut self, succeeded: bool) {
        self.outcome = if succeeded { "succeeded" } else { "failed" };
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let outcome = if std::thread::panicking() { "failed" } else { self.outcome };
        let attributes = [KeyValue::new("kind", self.kind.clone()), KeyValue::new("outcome", outcome)];
        self.figures.duration.record(self.begun.elapsed().as_secs_f64(), &attributes);
    }
}
