//! Reads back what the collector writes about what it was sent. Its log is text for people: heads (`Span #0`), fields
//! (`Name : x`) and attributes (`-> key: Str(x)`), each on a line of its own.

use std::collections::BTreeMap;

/// Attributes as text: a string bare, anything else as the collector writes it.
pub type Attributes = BTreeMap<String, String>;

/// What a collector was told.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Ended spans, in the order of their coming.
    pub spans: Vec<Span>,
    /// Figures, once for each time they were told.
    pub figures: Vec<Figure>,
    /// Records of logs, in the order of their coming.
    pub records: Vec<Record>,
}

/// A span.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Span {
    /// The name of the service that made it.
    pub service: String,
    /// Its trace, 32 digits.
    pub trace: String,
    /// Itself, 16 digits.
    pub id: String,
    /// Its parent; empty for the first of its trace.
    pub parent: String,
    /// Its name.
    pub name: String,
    /// `SERVER`, `CLIENT`, `PRODUCER`, `CONSUMER` or `INTERNAL`.
    pub kind: String,
    /// `UNSET`, `OK` or `ERROR`.
    pub status: String,
    /// Its attributes.
    pub attributes: Attributes,
    /// The spans that it is linked to: trace and span.
    pub links: Vec<(String, String)>,
}

/// One telling of a figure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figure {
    /// The name of the service that tells it.
    pub service: String,
    /// Its name by OpenTelemetry.
    pub name: String,
}

/// A record of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The name of the service that made it.
    pub service: String,
    /// `WARN` and the like.
    pub severity: String,
    /// What it says.
    pub body: String,
    /// Which part of the code says it.
    pub scope: String,
    /// The trace that it belongs to; empty without one.
    pub trace: String,
    /// The span that it belongs to; empty without one.
    pub span: String,
}

/// What the lines below a head belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    Nothing,
    Resource,
    Span,
    Link,
    Event,
    Figure,
    Record,
}

impl Seen {
    /// Reads a log.
    #[must_use]
    pub fn read(log: &str) -> Self {
        let (mut seen, mut within) = (Self::default(), Within::Nothing);
        let (mut service, mut scope) = (String::new(), String::new());
        for line in log.lines().map(str::trim) {
            if let Some(found) = head(line) {
                within = found;
                let service = service.clone();
                match within {
                    Within::Span if line.starts_with("Span #") => {
                        seen.spans.push(Span { service, ..Span::default() });
                    }
                    Within::Link => {
                        if let Some(span) = seen.spans.last_mut() {
                            span.links.push(Default::default());
                        }
                    }
                    Within::Figure => seen.figures.push(Figure { service, ..Figure::default() }),
                    Within::Record => {
                        seen.records.push(Record { service, scope: scope.clone(), ..Record::default() });
                    }
                    _ => {}
                }
                continue;
            }
            if let Some(name) = line.strip_prefix("InstrumentationScope ") {
                scope = name.trim().to_owned();
                continue;
            }
            let Some((name, value)) = field(line) else { continue };
            match within {
                Within::Resource if name == "service.name" => service = bare(value),
                Within::Span => {
                    seen.spans.last_mut().into_iter().for_each(|span| span.take(line, name, value))
                }
                Within::Link => seen.spans.last_mut().into_iter().for_each(|span| span.link(name, value)),
                Within::Figure if name == "Name" => {
                    seen.figures.last_mut().into_iter().for_each(|figure| figure.name = value.to_owned());
                    within = Within::Nothing;
                }
                Within::Record => {
                    seen.records.last_mut().into_iter().for_each(|record| record.take(name, value))
                }
                _ => {}
            }
        }
        seen
    }

    /// The spans of a trace.
    #[must_use]
    pub fn trace(&self, id: &str) -> Vec<&Span> {
        self.spans.iter().filter(|span| span.trace == id).collect()
    }
}

impl Span {
    fn take(&mut self, line: &str, name: &str, value: &str) {
        if line.starts_with("->") {
            self.attributes.insert(name.to_owned(), bare(value));
            return;
        }
        let value = value.to_owned();
        match name {
            "Trace ID" => self.trace = value,
            "Parent ID" => self.parent = value,
            "ID" => self.id = value,
            "Name" => self.name = value,
            "Kind" => self.kind = value.trim_start_matches("SPAN_KIND_").to_owned(),
            "Status code" => self.status = value.trim_start_matches("STATUS_CODE_").to_owned(),
            _ => {}
        }
    }

    fn link(&mut self, name: &str, value: &str) {
        let Some(link) = self.links.last_mut() else { return };
        match name {
            "Trace ID" => link.0 = value.to_owned(),
            "ID" => link.1 = value.to_owned(),
            _ => {}
        }
    }
}

impl Record {
    fn take(&mut self, name: &str, value: &str) {
        match name {
            "SeverityText" => self.severity = value.to_owned(),
            "Body" => self.body = bare(value),
            "Trace ID" => self.trace = value.to_owned(),
            "Span ID" => self.span = value.to_owned(),
            _ => {}
        }
    }
}

/// What the lines after this one belong to, if it is a head.
fn head(line: &str) -> Option<Within> {
    let heads = [
        ("Resource attributes:", Within::Resource),
        ("Span #", Within::Span),
        ("SpanLink #", Within::Link),
        ("SpanEvent #", Within::Event),
        ("Metric #", Within::Figure),
        ("LogRecord #", Within::Record),
        ("Scope", Within::Nothing),
    ];
    heads.into_iter().find(|(head, _)| line.starts_with(head)).map(|(_, within)| within)
}

/// Name and value of a line.
fn field(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.trim_start_matches("-> ").split_once(':')?;
    Some((name.trim(), value.trim()))
}

/// `x` of `Str(x)`, `7` of `Int(7)`; anything else as it is.
fn bare(value: &str) -> String {
    let inner = ["Str(", "Int("].iter().find_map(|kind| value.strip_prefix(kind)?.strip_suffix(')'));
    inner.unwrap_or(value).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_figures_and_records_are_read_from_the_log() {
        let log = "ResourceSpans #0\nResource attributes:\n     -> service.name: Str(a)\nScopeSpans #0\n\
            Span #0\n    Trace ID       : 0a\n    Parent ID      : \n    ID             : 0b\n    Name           : do: it\n\
            Kind           : SPAN_KIND_CLIENT\n    Status code    : STATUS_CODE_UNSET\nAttributes:\n     -> n: Int(7)\n\
            SpanLink #0\n     -> Trace ID: 0c\n     -> ID: 0d\n\
            Resource attributes:\n     -> service.name: Str(b)\nMetric #0\nDescriptor:\n     -> Name: calls\n\
            InstrumentationScope x::y \nLogRecord #0\nSeverityText: WARN\nBody: Str(so: so)\nTrace ID: 0e\nSpan ID: 0f\n";
        let seen = Seen::read(log);
        let span = &seen.spans[0];
        assert_eq!((span.service.as_str(), span.trace.as_str(), span.id.as_str()), ("a", "0a", "0b"));
        assert_eq!((span.parent.as_str(), span.name.as_str(), span.kind.as_str()), ("", "do: it", "CLIENT"));
        assert_eq!(span.attributes, [("n".to_owned(), "7".to_owned())].into());
        assert_eq!(span.links, [("0c".to_owned(), "0d".to_owned())]);
        assert_eq!(seen.figures, [Figure { service: "b".into(), name: "calls".into() }]);
        let record = &seen.records[0];
        assert_eq!((record.severity.as_str(), record.body.as_str()), ("WARN", "so: so"));
        assert_eq!(
            (record.trace.as_str(), record.span.as_str(), record.scope.as_str()),
            ("0e", "0f", "x::y")
        );
    }
}
