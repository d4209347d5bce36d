//! The fields of a record: their names, their order of preference, and how their text becomes a document.

use std::collections::BTreeSet;

use tidemill_kernel::Timestamp;

use super::{Options, Position, ReadFault};
use crate::document::NewDocument;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    ExternalId,
    Title,
    Body,
    Url,
    PublishedAt,
    Source,
    ContentType,
}

/// Every name of every field; of several names for one field, the first one listed wins.
const NAMES: [(&str, Field); 12] = [
    ("external_id", Field::ExternalId),
    ("id", Field::ExternalId),
    ("title", Field::Title),
    ("body", Field::Body),
    ("text", Field::Body),
    ("content", Field::Body),
    ("url", Field::Url),
    ("link", Field::Url),
    ("published_at", Field::PublishedAt),
    ("date", Field::PublishedAt),
    ("source", Field::Source),
    ("content_type", Field::ContentType),
];

/// What a reader may write instead of a name that is not known.
pub(super) const EXPECTED: &str = "id (or external_id), title, body (or text, content), url (or link), published_at (or date), source, content_type";

/// How many unknown names are told apart; after that one warning says that there are more.
const UNKNOWN: usize = 64;

/// A name's place in the table, if it is known. Any case.
pub(super) fn lookup(name: &str) -> Option<usize> {
    NAMES.iter().position(|(known, _)| known.eq_ignore_ascii_case(name))
}

/// The field that this place in the table names.
pub(super) fn field(place: usize) -> Field {
    NAMES[place].1
}

/// A field that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FieldFault {
    pub(super) field: &'static str,
    pub(super) message: String,
    pub(super) mend: String,
}

impl FieldFault {
    pub(super) fn new(place: usize, message: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { field: NAMES[place].0, message: message.into(), mend: mend.into() }
    }

    pub(super) fn at(self, line: u64, next: Position) -> ReadFault {
        ReadFault::rejected(line, next, self.message, self.mend).field(self.field)
    }
}

/// A record under construction: one text and the place of its name for each field.
#[derive(Debug, Default)]
pub(super) struct Draft {
    values: [Option<(usize, String)>; 7],
}

impl Draft {
    /// Sets a field by the place of its name; a name further down the table never replaces one further up.
    pub(super) fn set(&mut self, place: usize, text: String) {
        let slot = &mut self.values[field(place) as usize];
        if slot.as_ref().is_none_or(|(held, _)| place <= *held) {
            *slot = Some((place, text));
        }
    }

    fn take(&mut self, field: Field) -> Option<(usize, String)> {
        self.values[field as usize].take().filter(|(_, text)| !text.trim().is_empty())
    }

    fn text(&mut self, field: Field) -> String {
        self.take(field).map(|(_, text)| text).unwrap_or_default()
    }

    /// The document, or the first field that breaks a rule.
    pub(super) fn finish(mut self, options: &Options) -> Result<NewDocument, FieldFault> {
        let Some((_, body)) = self.take(Field::Body) else {
            return Err(FieldFault {
                field: "body",
                message: "is missing or blank".to_owned(),
                mend: "give the text of the document as `body` (or `text`, or `content`)".to_owned(),
            });
        };
        let published_at =
            self.take(Field::PublishedAt).map(|(place, text)| moment(place, &text)).transpose()?;
        let content_type = match self.take(Field::ContentType) {
            None => options.content_type,
            Some((place, text)) => text.parse().map_err(|_| {
                FieldFault::new(place, format!("is `{}`", brief(&text)), "use text, markdown or html")
            })?,
        };
        let source = self.take(Field::Source).map_or_else(|| options.source.clone(), |(_, text)| text);
        let external_id = self.text(Field::ExternalId);
        let (title, url) = (self.text(Field::Title), self.text(Field::Url));
        Ok(NewDocument { source, external_id, url, title, body, content_type, published_at })
    }
}

/// RFC 3339, or a bare date, which means its midnight in UTC.
fn moment(place: usize, text: &str) -> Result<Timestamp, FieldFault> {
    let text = text.trim();
    let midnight = (text.len() == "2026-05-01".len()).then(|| format!("{text}T00:00:00Z"));
    midnight.as_deref().unwrap_or(text).parse().map_err(|_| {
        let mend = "write RFC 3339 such as 2026-05-01T12:00:00Z, or a date such as 2026-05-01";
        FieldFault::new(place, format!("`{}` is not a time", brief(text)), mend)
    })
}

/// The beginning of a value, for a message.
pub(super) fn brief(text: &str) -> String {
    text.chars().take(80).filter(|c| !c.is_control()).collect()
}

/// The unknown names seen in a file so far; bounded.
#[derive(Debug, Default)]
pub(super) struct Unknown {
    seen: BTreeSet<String>,
}

impl Unknown {
    /// A warning if this name is seen for the first time.
    pub(super) fn note(&mut self, name: &str, at: Position) -> Option<ReadFault> {
        if self.seen.len() > UNKNOWN || !self.seen.insert(brief(name)) {
            return None;
        }
        if self.seen.len() > UNKNOWN {
            let message = format!("more than {UNKNOWN} names are not fields of a document; all are ignored");
            return Some(ReadFault::warning(at, message, format!("the fields are {EXPECTED}")));
        }
        let message = "is not a field of a document and is ignored, here and below";
        let mend = format!("nothing need be done, unless it is a slip of one of {EXPECTED}");
        Some(ReadFault::warning(at, message, mend).field(brief(name)))
    }
}
