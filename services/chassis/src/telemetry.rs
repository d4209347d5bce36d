//! Logs, figures and traces of a process. Logs are human-readable on a terminal, JSON otherwise, and go to standard error, so
//! that output stays clean. Traces go to a collector by OTLP over gRPC where one is set; without one no span is made.

pub mod metrics;
mod otlp;
pub mod span;

use std::io::{IsTerminal, stderr};

use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde::{Deserialize, Serialize};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

/// Where traces go, and how many of them. What is unset here is as the standard `OTEL_` variables have it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// The collector, as `http://host:4317`; else `OTEL_EXPORTER_OTLP_ENDPOINT`; traces are off where neither is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp_endpoint: Option<String>,
    /// The share of new traces that is kept, 0 to 1; else `OTEL_TRACES_SAMPLER`; all where neither is set. A trace that
    /// a caller began is kept if the caller keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_ratio: Option<f64>,
}

/// What has to be told of at the end of the process.
#[derive(Debug)]
#[must_use = "what it still holds is sent by `flush`"]
pub struct Telemetry {
    spans: Option<SdkTracerProvider>,
    figures: Option<SdkMeterProvider>,
}

impl Telemetry {
    /// Sends what was not sent yet, as far as the collector takes it within a few seconds.
    pub async fn flush(self) {
        // Both block their thread until the exporters, which need this runtime, are done.
        let last_words = tokio::task::spawn_blocking(move || {
            let spans = self.spans.map(|spans| spans.shutdown_with_timeout(otlp::LAST_WORDS));
            let figures = self.figures.map(|figures| figures.shutdown_with_timeout(otlp::LAST_WORDS));
            [spans, figures].into_iter().flatten().find_map(Result::err)
        });
        if let Ok(Some(fault)) = last_words.await {
            tracing::debug!(%fault, "the last spans or figures were not sent");
        }
    }
}

/// Starts logging, and tracing for the service of this name if there is a collector. Must be called within a tokio
/// runtime. `filter` is in `tracing`'s filter syntax; the environment variable `TIDEMILL_LOG` wins over it. A setting
/// that cannot be used is an error that says which.
pub fn init(filter: &str, service: &str, config: &TelemetryConfig) -> Result<Telemetry, String> {
    let filter = std::env::var("TIDEMILL_LOG").unwrap_or_else(|_| filter.to_owned());
    let filter =
        EnvFilter::try_new(&filter).map_err(|fault| format!("the log filter `{filter}`: {fault}"))?;
    let lines = fmt::layer().with_writer(stderr);
    let lines = if stderr().is_terminal() { lines.compact().boxed() } else { lines.json().boxed() };
    let resource = otlp::resource(service);
    let figures = metrics::start(resource.clone(), otlp::figures(config)?)?;
    let spans = otlp::spans(resource, config)?;
    let traces = spans.as_ref().map(otlp::layer);
    tracing_subscriber::registry()
        .with(traces)
        .with(lines.with_filter(filter))
        .try_init()
        .map_err(|fault| fault.to_string())?;
    Ok(Telemetry { spans, figures })
}
