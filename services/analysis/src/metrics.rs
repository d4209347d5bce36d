//! The figures of analysis: how long runs of recipes take, and how they end.

use tidemill_chassis::telemetry::metrics::{Histogram, KeyValue, WORK, meter, seconds};

/// The figures.
#[derive(Debug)]
pub(crate) struct Figures {
    duration: Histogram<f64>,
}

impl Figures {
    /// Counts into the process' instruments as they are now.
    pub(crate) fn new() -> Self {
        let meter = meter("tidemill.analysis");
        let description = "Time of one run of a recipe, by how it ended.";
        Self { duration: seconds(&meter, "tidemill.analysis.duration", description, &WORK) }
    }

    /// A run of this recipe took so many seconds.
    pub(crate) fn ran(&self, recipe: String, seconds: f64, succeeded: bool) {
        let outcome = if succeeded { "succeeded" } else { "failed" };
        self.duration.record(seconds, &[KeyValue::new("recipe", recipe), KeyValue::new("outcome", outcome)]);
    }
}
