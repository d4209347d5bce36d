//! Log lines on standard error: for people on a terminal, JSON otherwise. A line within a traced span ends in
//! `trace_id` and `span_id`, under those names in both (OpenTelemetry specification, "Trace Context in non-OTLP Log
//! Formats").

use std::fmt::{self, Write};
use std::io::{IsTerminal, stderr};

use opentelemetry::trace::{SpanContext, TraceContextExt};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, format};
use tracing_subscriber::registry::LookupSpan;

/// The lines of this process.
pub(super) fn layer<S>() -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(stderr);
    if stderr().is_terminal() {
        let colours = std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
        lines
            .event_format(Traced { inner: format().compact().with_ansi(colours), style: Style::Text })
            .boxed()
    } else {
        let json = |inner| Traced { inner, style: Style::Json };
        lines.json().flatten_event(true).map_event_format(json).boxed()
    }
}

/// How a line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Text,
    Json,
}

/// A format whose lines tell the span that they are within.
struct Traced<F> {
    inner: F,
    style: Style,
}

impl<S, N, F> FormatEvent<S, N> for Traced<F>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        // The layer of spans makes the entered span the present one.
        let span = opentelemetry::Context::map_current(|context| context.span().span_context().clone());
        if !span.is_valid() {
            return self.inner.format_event(ctx, to, event);
        }
        let mut line = String::new();
        self.inner.format_event(ctx, Writer::new(&mut line), event)?;
        ending(&mut line, self.style, &span)?;
        to.write_str(&line)
    }
}

/// Adds the span to a line.
fn ending(line: &mut String, style: Style, span: &SpanContext) -> fmt::Result {
    let (trace, span) = (span.trace_id(), span.span_id());
    line.truncate(line.trim_end().len());
    match style {
        Style::Text => writeln!(line, " trace_id={trace} span_id={span}"),
        Style::Json => {
            line.pop();
            writeln!(line, r#","trace_id":"{trace}","span_id":"{span}"}}"#)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing::{info, info_span, subscriber};
    use tracing_subscriber::Registry;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::telemetry::{otlp, span};

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    /// Where lines go that a test reads.
    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    type Lines = Box<dyn Layer<Registry> + Send + Sync>;

    /// A line without a span and one within, by this format.
    fn said(make: impl FnOnce(Mutex<Paper>) -> Lines) -> [String; 2] {
        let paper = Paper::default();
        let provider = SdkTracerProvider::builder().build();
        let lines = make(Mutex::new(paper.clone()));
        let registry = tracing_subscriber::registry().with(lines).with(otlp::layer(&provider));
        subscriber::with_default(registry, || {
            info!(n = 7, "out");
            let span = info_span!("outer");
            span::begin(&span, Some(PARENT));
            let _entered = span.enter();
            info!(n = 8, "in");
        });
        let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        let mut lines = text.lines().map(str::to_owned);
        [lines.next().unwrap(), lines.next().unwrap()]
    }

    #[test]
    fn a_line_of_json_is_one_object_that_tells_its_trace() {
        let [out, within] = said(|paper| {
            let json = |inner| Traced { inner, style: Style::Json };
            let lines = tracing_subscriber::fmt::layer().with_writer(paper);
            lines.json().flatten_event(true).map_event_format(json).boxed()
        });
        assert!(out.ends_with(r#""n":7,"target":"tidemill_chassis::telemetry::lines::tests"}"#), "{out}");
        assert!(within.contains(r#""message":"in","n":8,"#), "{within}");
        assert!(within.contains(r#","trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":""#), "{within}");
        assert!(within.ends_with("\"}") && !within.contains("b7ad6b7169203331"), "{within}");
    }

    #[test]
    fn a_line_for_people_ends_in_its_trace() {
        let [out, within] = said(|paper| {
            let inner = format().compact().with_ansi(false).without_time();
            let lines = tracing_subscriber::fmt::layer().with_writer(paper);
            lines.event_format(Traced { inner, style: Style::Text }).boxed()
        });
        assert!(out.ends_with("out n=7"), "{out}");
        assert!(within.contains("in n=8 trace_id=0af7651916cd43dd8448eb211c80319c span_id="), "{within}");
    }
}
