//! Logs, figures and traces of a process. Log lines are human-readable on a terminal, JSON otherwise, and go to standard
//! error, so that output stays clean; those within a span tell its trace. Where a collector is set, spans, figures and logs
//! go to it by OTLP over gRPC; without one no span is made.
//!
//! `TELEMETRY.md` beside this crate lists what a mesh tells.

mod lines;
pub mod metrics;
mod otlp;
mod records;
mod sampling;
pub mod span;
pub mod top;
mod watched;

use std::path::PathBuf;

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde::{Deserialize, Serialize};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// Where telemetry goes, and which traces are kept. What is unset here is as the standard `OTEL_` variables have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// The collector, as `http://host:4317` or `https://host:4317`; else `OTEL_EXPORTER_OTLP_ENDPOINT`; nothing is sent
    /// where neither is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp_endpoint: Option<String>,
    /// The file of the authorities that a collector over https is believed by (PEM); else
    /// `OTEL_EXPORTER_OTLP_CERTIFICATE`; the system's own where neither is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp_certificate: Option<PathBuf>,
    /// The share of new traces that is kept, 0 to 1; else `OTEL_TRACES_SAMPLER`; all where neither is set. A trace that
    /// a caller began is kept if the caller keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_ratio: Option<f64>,
    /// Whether spans that failed are kept, also those of traces that are not.
    pub keep_errors: bool,
    /// Spans that took longer than so many milliseconds are kept, also those of traces that are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_slower_than_ms: Option<u64>,
}

impl Default for TelemetryConfig {
    /// As the variables have it; what failed is kept.
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            otlp_certificate: None,
            sample_ratio: None,
            keep_errors: true,
            keep_slower_than_ms: None,
        }
    }
}

/// What has to be told of at the end of the process.
#[derive(Debug)]
#[must_use = "what it still holds is sent by `flush`"]
pub struct Telemetry {
    spans: Option<SdkTracerProvider>,
    figures: Option<SdkMeterProvider>,
    records: Option<SdkLoggerProvider>,
}

impl Telemetry {
    /// Sends what was not sent yet, as far as the collector takes it within a few seconds.
    pub async fn flush(self) {
        // They block their threads until the exporters, which need this runtime, are done; all at once, so that a
        // collector that is away is waited for once.
        let Self { spans, figures, records } = self;
        let spans = blocking(spans, |spans| spans.shutdown_with_timeout(otlp::LAST_WORDS));
        let figures = blocking(figures, |figures| figures.shutdown_with_timeout(otlp::LAST_WORDS));
        let records = blocking(records, |records| records.shutdown_with_timeout(otlp::LAST_WORDS));
        futures::join!(spans, figures, records);
    }
}

async fn blocking<P, F>(provider: Option<P>, shut_down: F)
where
    P: Send + 'static,
    F: FnOnce(P) -> OTelSdkResult + Send + 'static,
{
    let Some(provider) = provider else { return };
    if let Ok(Err(fault)) = tokio::task::spawn_blocking(move || shut_down(provider)).await {
        tracing::debug!(%fault, "the last of it was not sent to the collector");
    }
}

/// Starts logging, and tracing for the service of this name if there is a collector. Must be called within a tokio
/// runtime. `filter` is in `tracing`'s filter syntax; the environment variable `TIDEMILL_LOG` wins over it. A setting
/// that cannot be used is an error that says which.
pub fn init(filter: &str, service: &str, config: &TelemetryConfig) -> Result<Telemetry, String> {
    let filter = std::env::var("TIDEMILL_LOG").unwrap_or_else(|_| filter.to_owned());
    let filter =
        || EnvFilter::try_new(&filter).map_err(|fault| format!("the log filter `{filter}`: {fault}"));
    let resource = otlp::resource(service);
    let figures = metrics::start(resource.clone(), otlp::figures(config)?)?;
    let records = otlp::records(resource.clone(), config)?;
    let spans = otlp::spans(resource, config)?;
    let told =
        records.as_ref().map(|records| Ok::<_, String>(records::layer(records, filter()?))).transpose()?;
    tracing_subscriber::registry()
        .with(spans.as_ref().map(otlp::layer))
        .with(told)
        .with(lines::layer().with_filter(filter()?))
        .try_init()
        .map_err(|fault| fault.to_string())?;
    Ok(Telemetry { spans, figures, records })
}
