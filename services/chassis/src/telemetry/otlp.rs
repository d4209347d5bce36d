//! The way of spans, figures and logs to a collector: gathered in memory, sent in batches by threads of their own. A
//! collector that is slow or dead costs spans, never a call.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig};
use opentelemetry_otlp::{
    ExporterBuildError, LogExporter, MetricExporter, SpanExporter, WithExportConfig, WithTonicConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracerProvider};
use tracing::{Level, Subscriber};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use super::TelemetryConfig;
use super::sampling::{Keep, Keeping, RecordAll, sampler};
use super::watched::Watched;

/// How long a stopping process tries to send what it still holds.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(3);

/// The variables that name a collector for everything and for one signal, and its authorities (OpenTelemetry
/// specification, "OpenTelemetry Protocol Exporter").
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const OF_SPANS: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const OF_FIGURES: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";
const OF_RECORDS: &str = "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT";
const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";

/// A variable that is set to something.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The collector for a signal, which the variable `own` may name for it alone.
fn collector(config: &TelemetryConfig, own: &str) -> Option<String> {
    if variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return None;
    }
    config.otlp_endpoint.clone().or_else(|| variable(own)).or_else(|| variable(ENDPOINT))
}

/// The builder of an exporter, told where the collector is and whom to believe that it is the one.
fn addressed<B>(builder: B, collector: &str, config: &TelemetryConfig) -> Result<B, String>
where
    B: WithExportConfig + WithTonicConfig,
{
    let builder = builder.with_endpoint(collector);
    if !collector.starts_with("https:") {
        return Ok(builder);
    }
    let tls = ClientTlsConfig::new();
    let file = config.otlp_certificate.clone().or_else(|| variable(CERTIFICATE).map(PathBuf::from));
    let tls = match file {
        Some(file) => tls.ca_certificate(Certificate::from_pem(read(&file)?)),
        None => tls.with_enabled_roots(),
    };
    Ok(builder.with_tls_config(tls))
}

fn read(file: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file);
    text.map_err(|fault| format!("the collector's authorities at {}: {fault}", file.display()))
}

fn unusable(fault: ExporterBuildError) -> String {
    format!("the collector cannot be used: {fault}; expected an address as http://127.0.0.1:4317")
}

/// The way of figures to the collector, if there is one.
pub(super) fn figures(config: &TelemetryConfig) -> Result<Option<Watched<MetricExporter>>, String> {
    let Some(collector) = collector(config, OF_FIGURES) else { return Ok(None) };
    let exporter = addressed(MetricExporter::builder().with_tonic(), &collector, config)?;
    Ok(Some(Watched::new(exporter.build().map_err(unusable)?, "figures")))
}

/// The sink of log records, if there is a collector.
pub(super) fn records(
    resource: Resource,
    config: &TelemetryConfig,
) -> Result<Option<SdkLoggerProvider>, String> {
    let Some(collector) = collector(config, OF_RECORDS) else { return Ok(None) };
    let exporter = addressed(LogExporter::builder().with_tonic(), &collector, config)?;
    let exporter = Watched::new(exporter.build().map_err(unusable)?, "logs");
    Ok(Some(SdkLoggerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build()))
}

/// The source of tracers, if there is a collector.
pub(super) fn spans(
    resource: Resource,
    config: &TelemetryConfig,
) -> Result<Option<SdkTracerProvider>, String> {
    let sampler = sampler(config)?;
    let Some(collector) = collector(config, OF_SPANS) else { return Ok(None) };
    let exporter = addressed(SpanExporter::builder().with_tonic(), &collector, config)?;
    let exporter = Watched::new(exporter.build().map_err(unusable)?, "spans");
    let below = BatchSpanProcessor::builder(exporter).build();
    let builder = SdkTracerProvider::builder().with_resource(resource);
    let builder = match Keep::of(config) {
        Some(keep) => builder.with_sampler(RecordAll(sampler)).with_span_processor(Keeping { keep, below }),
        None => builder.with_sampler(sampler).with_span_processor(below),
    };
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
    let tracer = provider.tracer("tidemill");
    let layer = OpenTelemetryLayer::new(tracer).with_location(false).with_threads(false).with_target(false);
    layer.with_tracked_inactivity(false).with_filter(filter_fn(|meta| {
        meta.is_span() && *meta.level() <= Level::INFO && meta.target().starts_with("tidemill")
    }))
}
