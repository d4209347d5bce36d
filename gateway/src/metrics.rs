//! The figures of the gateway: requests by method, route and status. Names follow OpenTelemetry's semantic conventions
//! for HTTP. A route is told by its template, never by a path, so that there are few.

use http::{Method, StatusCode};
use tidemill_chassis::clock::Stopwatch;
use tidemill_chassis::telemetry::metrics::{Histogram, KeyValue, UpDownCounter, WORK, meter, seconds};

/// The figures.
#[derive(Debug)]
pub(crate) struct Figures {
    duration: Histogram<f64>,
    active: UpDownCounter<i64>,
}

impl Figures {
    /// Counts into the process' instruments as they are now.
    pub(crate) fn new() -> Self {
        let meter = meter("tidemill.gateway");
        let description = "Time from a request to the head of its answer.";
        Self {
            duration: seconds(&meter, "http.server.request.duration", description, &WORK),
            active: meter
                .i64_up_down_counter("http.server.active_requests")
                .with_description("Requests that wait for the head of their answer.")
                .build(),
        }
    }

    /// Begins a request.
    pub(crate) fn begin(&self) -> Asked<'_> {
        self.active.add(1, &[]);
        Asked { figures: self, begun: Stopwatch::start() }
    }
}

/// A request under way; one that its client gives up ends too, and is not timed.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    figures: &'a Figures,
    begun: Stopwatch,
}

impl Asked<'_> {
    /// It was answered.
    pub(crate) fn answered(self, method: &'static str, route: &'static str, status: StatusCode) {
        let attributes = [
            KeyValue::new("http.request.method", method),
            KeyValue::new("http.route", route),
            KeyValue::new("http.response.status_code", i64::from(status.as_u16())),
        ];
        self.figures.duration.record(self.begun.elapsed().as_secs_f64(), &attributes);
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.figures.active.add(-1, &[]);
    }
}

/// The method as an attribute: one of those that are known, as callers may make others up.
pub(crate) fn method(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_that_a_caller_made_up_is_one_of_others() {
        assert_eq!(method(&Method::PATCH), "PATCH");
        assert_eq!(method(&Method::from_bytes(b"BREW").unwrap()), "_OTHER");
    }
}
