//! Log events as records for the collector: those that are logged as lines too, but for what the way to the collector
//! says of itself, which would go round in circles.

use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer};

/// Crates that a record passes through on its way.
const WAY: [&str; 9] = [
    "opentelemetry",
    "tonic",
    "tower",
    "hyper",
    "hyper_util",
    "h2",
    "rustls",
    "tokio_rustls",
    "tidemill_chassis::telemetry::watched",
];

/// Makes records of what the filter lets through. They carry the trace of the span that they are within.
pub(super) fn layer<S>(provider: &SdkLoggerProvider, filter: EnvFilter) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    OpenTelemetryTracingBridge::new(provider).with_filter(filter.and(filter_fn(|meta| !is_of_the_way(meta))))
}

fn is_of_the_way(meta: &Metadata<'_>) -> bool {
    let is_below = |target: &str, name: &str| {
        target.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    WAY.iter().any(|name| is_below(meta.target(), name)) || meta.target().starts_with("opentelemetry")
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::logs::InMemoryLogExporter;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing::{info_span, subscriber, warn};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::telemetry::{otlp, span};

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn records_carry_their_trace_and_the_way_to_the_collector_says_nothing_of_itself() {
        let exporter = InMemoryLogExporter::default();
        let provider = SdkLoggerProvider::builder().with_simple_exporter(exporter.clone()).build();
        let traces = SdkTracerProvider::builder().build();
        let filter = EnvFilter::try_new("trace").unwrap();
        let registry =
            tracing_subscriber::registry().with(otlp::layer(&traces)).with(layer(&provider, filter));
        subscriber::with_default(registry, || {
            for way in ["a", "b"] {
                warn!(target: "h2::client", way, "a frame");
                warn!(target: "opentelemetry_sdk", way, "a batch");
                warn!(target: "tidemill_chassis::telemetry::watched", way, "away");
            }
            warn!(target: "h2o", "no crate of the way");
            let span = info_span!("outer");
            span::begin(&span, Some(PARENT));
            span.in_scope(|| warn!(n = 7, "said"));
        });
        let records = exporter.get_emitted_logs().unwrap();
        let bodies: Vec<_> = records.iter().map(|record| format!("{:?}", record.record.body())).collect();
        assert_eq!(bodies.len(), 2, "{bodies:?}");
        assert!(bodies[0].contains("no crate of the way") && bodies[1].contains("said"), "{bodies:?}");
        assert!(records[0].record.trace_context().is_none());
        let trace = records[1].record.trace_context().unwrap().trace_id;
        assert_eq!(trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
    }
}
