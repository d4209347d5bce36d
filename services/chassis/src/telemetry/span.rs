//! Spans across processes and across the queue: a `traceparent` (W3C Trace Context, section 3.2) becomes the parent of a
//! span, and a span becomes the `traceparent` of what it causes.

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Makes `parent` the span's parent. Returns the `traceparent` that calls from within the span carry on; none where
/// spans are not traced: then the parent's own is carried on. To be called before the span is entered.
pub fn begin(span: &Span, parent: Option<&str>) -> Option<String> {
    if span.is_disabled() {
        return None;
    }
    if let Some(parent) = parent.and_then(read) {
        // Fails only where no span is traced.
        let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(parent));
    }
    let context = span.context();
    let own = context.span().span_context().clone();
    own.is_valid().then(|| write(&own))
}

/// Links the span to the one that this `traceparent` names: what caused it, whether or not it is its parent.
pub fn link(span: &Span, cause: &str) {
    if let Some(cause) = read(cause).filter(|_| !span.is_disabled()) {
        span.add_link(cause);
    }
}

/// Gives the span the name that is known only after it began.
pub fn rename(span: &Span, name: String) {
    if !span.is_disabled() {
        span.context().span().update_name(name);
    }
}

/// The id of the trace that this `traceparent` names.
pub fn trace_id(text: &str) -> Option<&str> {
    read(text).and_then(|_| text.get(3..35))
}

fn read(text: &str) -> Option<SpanContext> {
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if version != "00" || trace.len() != 32 || span.len() != 16 || flags.len() != 2 || parts.next().is_some()
    {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    Some(SpanContext::new(trace, span, flags, true, TraceState::NONE)).filter(SpanContext::is_valid)
}

fn write(context: &SpanContext) -> String {
    format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), context.trace_flags().to_u8() & 1)
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
    use tracing::{info_span, subscriber};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::telemetry::otlp;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_parent_reads_back_and_anything_else_is_none() {
        assert_eq!(read(PARENT).map(|context| write(&context)).as_deref(), Some(PARENT));
        let zeros = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
        for bad in [
            "",
            "00",
            zeros,
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            &format!("{PARENT}-x"),
        ] {
            assert!(read(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn spans_share_the_callers_trace_and_point_at_their_parents() {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        let registry = tracing_subscriber::registry().with(otlp::layer(&provider));
        let carried = subscriber::with_default(registry, || {
            let (outer, inner) = (info_span!("outer"), info_span!("inner"));
            let carried = begin(&outer, Some(PARENT)).unwrap();
            begin(&inner, Some(&carried)).unwrap();
            carried
        });
        assert!(carried.starts_with(&PARENT[..35]) && carried != PARENT, "{carried}");
        let spans = exporter.get_finished_spans().unwrap();
        let of = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
        assert_eq!(of("outer").parent_span_id.to_string(), "b7ad6b7169203331");
        assert_eq!(of("inner").parent_span_id, of("outer").span_context.span_id());
        assert_eq!(of("inner").span_context.trace_id(), of("outer").span_context.trace_id());
    }

    #[test]
    fn without_a_collector_nothing_is_made() {
        let span = info_span!("lone");
        assert_eq!(begin(&span, Some(PARENT)), None);
    }
}
