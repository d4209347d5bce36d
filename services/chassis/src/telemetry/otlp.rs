//! The way of spans and figures to a collector: gathered in memory, sent in batches by threads of their own. A collector
//! that is slow or dead costs spans, never a call.

use std::env;
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{ExporterBuildError, MetricExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, Tracer};
use tracing::{Level, Subscriber};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use super::TelemetryConfig;

/// How long a stopping process tries to send what it still holds.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(3);

/// The variable that names a collector for everything (OpenTelemetry specification, "OpenTelemetry Protocol Exporter").
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Whether there is a collector for a signal, which the variable `own` may name for it alone.
fn is_wanted(config: &TelemetryConfig, own: &str) -> bool {
    let is_named =
        config.otlp_endpoint.is_some() || [ENDPOINT, own].iter().any(|name| env::var_os(name).is_some());
    is_named && !env::var("OTEL_SDK_DISABLED").is_ok_and(|value| value.eq_ignore_ascii_case("true"))
}

/// The way of figures to the collector, if there is one.
pub(super) fn figures(config: &TelemetryConfig) -> Result<Option<MetricExporter>, String> {
    if !is_wanted(config, "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT") {
        return Ok(None);
    }
    let mut exporter = MetricExporter::builder().with_tonic();
    if let Some(endpoint) = &config.otlp_endpoint {
        exporter = exporter.with_endpoint(endpoint);
    }
    exporter.build().map(Some).map_err(unusable)
}

fn unusable(fault: ExporterBuildError) -> String {
    format!("the collector cannot be used: {fault}; expected an address as http://127.0.0.1:4317")
}

/// The source of tracers, if there is a collector.
pub(super) fn spans(
    resource: Resource,
    config: &TelemetryConfig,
) -> Result<Option<SdkTracerProvider>, String> {
    if !is_wanted(config, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
        return Ok(None);
    }
    let mut exporter = SpanExporter::builder().with_tonic();
    if let Some(endpoint) = &config.otlp_endpoint {
        exporter = exporter.with_endpoint(endpoint);
    }
    let exporter = exporter.build().map_err(unusable)?;
    let mut builder = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource);
    if let Some(ratio) = config.sample_ratio {
        if !(0.0..=1.0).contains(&ratio) {
            return Err(format!("telemetry.sample_ratio is {ratio}: a share is from 0 to 1"));
        }
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio)));
        builder = builder.with_sampler(sampler);
    }
    Ok(Some(builder.build()))
}

/// `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` win over the name given here.
pub(super) fn resource(service: &str) -> Resource {
    let mut builder = Resource::builder();
    if env::var_os("OTEL_SERVICE_NAME").is_none() {
        builder = builder.with_service_name(service.to_owned());
    }
    builder.build()
}

/// Makes spans of ours at level info spans of OpenTelemetry; events and other crates' spans stay with the logs.
pub(super) fn layer<S>(provider: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let tracer: Tracer = provider.tracer("tidemill");
    OpenTelemetryLayer::new(tracer).with_location(false).with_threads(false).with_filter(filter_fn(|meta| {
        meta.is_span() && *meta.level() <= Level::INFO && meta.target().starts_with("tidemill")
    }))
}
