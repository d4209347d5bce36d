//! Which spans are kept: those of sampled traces, and besides them those that failed or were slow. A span of a trace that
//! is not sampled is recorded all the same where such spans are wanted, and it is decided at its end, when it is known how
//! it went. What such a span caused elsewhere is kept on its own merits.

use std::env;
use std::time::Duration;

use opentelemetry::trace::{Link, SpanContext, SpanKind, Status, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    Sampler, SamplingDecision, SamplingResult, ShouldSample, Span, SpanData, SpanProcessor,
};

use super::TelemetryConfig;

/// Decides which traces are sampled.
pub(super) fn sampler(config: &TelemetryConfig) -> Result<Sampler, String> {
    let share = |ratio| Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio)));
    match config.sample_ratio {
        Some(ratio) if (0.0..=1.0).contains(&ratio) => Ok(share(ratio)),
        Some(ratio) => Err(format!("telemetry.sample_ratio is {ratio}: a share is from 0 to 1")),
        None => named(
            env::var("OTEL_TRACES_SAMPLER").unwrap_or_default().as_str(),
            env::var("OTEL_TRACES_SAMPLER_ARG").ok().as_deref(),
        ),
    }
}

/// The sampler of the standard variables (OpenTelemetry specification, "General SDK Configuration").
fn named(name: &str, argument: Option<&str>) -> Result<Sampler, String> {
    let below_parent = |root| Sampler::ParentBased(Box::new(root));
    let ratio = || match argument.unwrap_or("1").parse() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(Sampler::TraceIdRatioBased(ratio)),
        _ => Err(format!("OTEL_TRACES_SAMPLER_ARG is {argument:?}: a share is from 0 to 1")),
    };
    Ok(match name {
        "" | "parentbased_always_on" => below_parent(Sampler::AlwaysOn),
        "parentbased_always_off" => below_parent(Sampler::AlwaysOff),
        "parentbased_traceidratio" => below_parent(ratio()?),
        "always_on" => Sampler::AlwaysOn,
        "always_off" => Sampler::AlwaysOff,
        "traceidratio" => ratio()?,
        other => {
            return Err(format!(
                "OTEL_TRACES_SAMPLER is {other}: expected always_on, always_off, traceidratio, or one of them after \
                 parentbased_"
            ));
        }
    })
}

/// What is kept of traces that are not sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Keep {
    errors: bool,
    slower_than: Option<Duration>,
}

impl Keep {
    /// As configured; none if that is nothing.
    pub(super) fn of(config: &TelemetryConfig) -> Option<Self> {
        let slower_than = config.keep_slower_than_ms.map(Duration::from_millis);
        let keep = Self { errors: config.keep_errors, slower_than };
        (keep.errors || keep.slower_than.is_some()).then_some(keep)
    }

    /// Whether a span is kept that was not sampled.
    fn keeps(self, span: &SpanData) -> bool {
        let took = span.end_time.duration_since(span.start_time).unwrap_or_default();
        (self.errors && matches!(span.status, Status::Error { .. }))
            || self.slower_than.is_some_and(|limit| took > limit)
    }
}

/// Samples as another does; what that one drops is recorded all the same.
#[derive(Debug, Clone)]
pub(super) struct RecordAll(pub(super) Sampler);

impl ShouldSample for RecordAll {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let mut result = self.0.should_sample(parent, trace, name, kind, attributes, links);
        if result.decision == SamplingDecision::Drop {
            result.decision = SamplingDecision::RecordOnly;
        }
        result
    }
}

/// Passes on what is kept, as if it had been sampled. The processor below drops what is not sampled.
#[derive(Debug)]
pub(super) struct Keeping<P> {
    pub(super) keep: Keep,
    pub(super) below: P,
}

impl<P: SpanProcessor> SpanProcessor for Keeping<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.below.on_start(span, context);
    }

    fn on_end(&self, mut span: SpanData) {
        if !span.span_context.is_sampled() {
            if !self.keep.keeps(&span) {
                return;
            }
            span.span_context = sampled(&span.span_context);
        }
        self.below.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.below.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.below.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.below.set_resource(resource);
    }
}

fn sampled(context: &SpanContext) -> SpanContext {
    let flags = context.trace_flags().with_sampled(true);
    let (trace, span, state) = (context.trace_id(), context.span_id(), context.trace_state().clone());
    SpanContext::new(trace, span, flags, context.is_remote(), state)
}

#[cfg(test)]
mod tests;
