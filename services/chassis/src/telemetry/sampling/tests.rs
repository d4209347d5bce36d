//! What is kept of sampled traces and of others, over an exporter in memory.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanId, TraceContextExt, TraceFlags, TraceState, Tracer, TracerProvider,
};

use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SimpleSpanProcessor};
use proptest::prelude::*;

use super::*;

fn config(ratio: f64) -> TelemetryConfig {
    TelemetryConfig { sample_ratio: Some(ratio), keep_errors: false, ..TelemetryConfig::default() }
}

/// The names of the spans that are kept of those of these traces; the flags that their children are told.
fn kept(
    config: &TelemetryConfig,
    spans: &[(u128, &'static str, u64, bool)],
    parent: Option<bool>,
) -> Vec<String> {
    let exporter = InMemorySpanExporter::default();
    let below = SimpleSpanProcessor::new(exporter.clone());
    let sampler = sampler(config).unwrap();
    let provider = match Keep::of(config) {
        Some(keep) => SdkTracerProvider::builder()
            .with_sampler(RecordAll(sampler))
            .with_span_processor(Keeping { keep, below }),
        None => SdkTracerProvider::builder().with_sampler(sampler).with_span_processor(below),
    }
    .build();
    let tracer = provider.tracer("test");
    for (trace, name, millis, failed) in spans {
        let flags = TraceFlags::default().with_sampled(parent.unwrap_or(false));
        let remote = SpanContext::new((*trace).into(), SpanId::from(7), flags, true, TraceState::NONE);
        let context = match parent {
            Some(_) => Context::new().with_remote_span_context(remote),
            None => Context::new(),
        };
        let mut builder = SpanBuilder::from_name(*name);
        builder.start_time = Some(UNIX_EPOCH);
        let mut span = tracer.build_with_context(builder, &context);
        if *failed {
            span.set_status(Status::error("no"));
        }
        span.end_with_timestamp(UNIX_EPOCH + Duration::from_millis(*millis));
    }
    exporter.get_finished_spans().unwrap().into_iter().map(|span| span.name.into_owned()).collect()
}

#[test]
fn without_a_wish_to_keep_anything_a_trace_that_is_not_sampled_leaves_nothing() {
    let spans = [(1, "good", 5, false), (2, "bad", 5, true), (3, "slow", 5_000, false)];
    assert_eq!(kept(&config(0.0), &spans, None), Vec::<String>::new());
    assert_eq!(kept(&config(1.0), &spans, None), ["good", "bad", "slow"]);
}

#[test]
fn failed_and_slow_spans_are_kept_although_their_traces_are_not() {
    let spans =
        [(1, "good", 5, false), (2, "bad", 5, true), (3, "slow", 501, false), (4, "not slow", 500, false)];
    let errors = TelemetryConfig { keep_errors: true, ..config(0.0) };
    assert_eq!(kept(&errors, &spans, None), ["bad"]);
    let slow = TelemetryConfig { keep_slower_than_ms: Some(500), ..config(0.0) };
    assert_eq!(kept(&slow, &spans, None), ["slow"]);
    let both = TelemetryConfig { keep_errors: true, ..slow };
    assert_eq!(kept(&both, &spans, None), ["bad", "slow"]);
    assert_eq!(kept(&both, &spans, Some(false)), ["bad", "slow"], "whatever the caller keeps");
    assert_eq!(kept(&both, &spans, Some(true)), ["good", "bad", "slow", "not slow"]);
}

#[test]
fn what_is_kept_goes_on_as_sampled_and_what_it_caused_is_told_the_truth() {
    let exporter = InMemorySpanExporter::default();
    let keep = Keep { errors: true, slower_than: None };
    let processor = Keeping { keep, below: SimpleSpanProcessor::new(exporter.clone()) };
    let provider = SdkTracerProvider::builder()
        .with_sampler(RecordAll(Sampler::AlwaysOff))
        .with_span_processor(processor)
        .build();
    let mut span = provider.tracer("test").start("bad");
    assert!(!span.span_context().is_sampled(), "the trace is not kept");
    span.set_status(Status::error("no"));
    span.end();
    let sent = exporter.get_finished_spans().unwrap();
    assert!(sent.len() == 1 && sent[0].span_context.is_sampled());
    assert!(sent[0].end_time >= sent[0].start_time && sent[0].start_time > SystemTime::UNIX_EPOCH);
}

#[test]
fn settings_that_are_no_share_are_named() {
    assert!(sampler(&config(1.5)).unwrap_err().contains("sample_ratio is 1.5"));
    assert!(named("traceidratio", Some("2")).unwrap_err().contains("OTEL_TRACES_SAMPLER_ARG"));
    assert!(named("sometimes", None).unwrap_err().contains("parentbased_"));
    assert!(matches!(named("", None), Ok(Sampler::ParentBased(_))));
    assert!(
        matches!(named("traceidratio", Some("0.5")), Ok(Sampler::TraceIdRatioBased(ratio)) if ratio == 0.5)
    );
}

proptest! {
    /// The decision against its definition, for any length and limit.
    #[test]
    fn a_span_is_kept_if_it_failed_or_took_longer(
        millis in 0..2_000_u64, limit in proptest::option::of(0..2_000_u64), failed: bool, errors: bool,
    ) {
        let config = TelemetryConfig { keep_errors: errors, keep_slower_than_ms: limit, ..config(0.0) };
        let wanted = (errors && failed) || limit.is_some_and(|limit| millis > limit);
        prop_assert_eq!(kept(&config, &[(1, "x", millis, failed)], None).len(), usize::from(wanted));
    }
}
