//! JSON texts into the wire bytes of a route's request, and what is wrong with those that are none: place, field, rule.
//!
//! The generated serde says what it met, seldom where in the message; the field's path is found again by walking the
//! text up to the place of the fault, and the field's type then says what would be right.

use std::fmt;

use bytes::Bytes;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::fields;

/// Messages quote what the caller sent; no more of it than this many characters.
const QUOTED: usize = 300;

/// How deep a request may nest. A level of JSON takes up to three of protobuf's, of which readers take a hundred.
const DEPTH: usize = 32;

/// Why a JSON text is not the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JsonError {
    place: Option<String>,
    field: String,
    rule: String,
}

/// Where a text comes from, which decides how a place in it is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// A body, behind this many bytes of ours.
    Body(usize),
    /// A line of a body, behind this many bytes of ours.
    Line(usize),
    /// Put together by us: places mean nothing to the caller.
    Made,
}

/// Turns a JSON text into wire bytes by a route's generated code.
pub(crate) fn encode(
    encode: fn(&[u8]) -> Result<Bytes, serde_json::Error>,
    text: &[u8],
    input: &MessageDescriptor,
    source: Source,
) -> Result<Bytes, JsonError> {
    encode(text).map_err(|fault| JsonError::new(&fault, text, Some(input), source))
}

/// Whether the text is one JSON value and nothing else.
pub(crate) fn check(text: &[u8], source: Source) -> Result<(), JsonError> {
    not_empty(text)?;
    match serde_json::from_slice::<IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(fault) => Err(JsonError::new(&fault, text, None, source)),
    }
}

/// Reads a text into a value.
pub(crate) fn value(text: &[u8], source: Source) -> Result<Value, JsonError> {
    not_empty(text)?;
    serde_json::from_slice(text).map_err(|fault| JsonError::new(&fault, text, None, source))
}

/// Refuses a text of nothing but white space with words of its own.
pub(crate) fn not_empty(text: &[u8]) -> Result<(), JsonError> {
    if text.iter().all(u8::is_ascii_whitespace) {
        return Err(JsonError::at("", "the body is empty: send a JSON object, `{}` at least"));
    }
    Ok(())
}

/// Refuses a text that nests deeper than a service could read the message made of it.
pub(crate) fn check_depth(text: &[u8]) -> Result<(), JsonError> {
    let (mut at, mut depth) = (0, 0_usize);
    while at < text.len() {
        let byte = text[at];
        at += 1;
        match byte {
            b'"' => at = string_end(text, at),
            b'{' | b'[' if depth == DEPTH => {
                let mut path = path_at(text, at - 1);
                path.truncate(1);
                return Err(JsonError::at(print(&path), format!("nests more than {DEPTH} deep: flatten it")));
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

impl JsonError {
    /// A field that breaks a rule, wherever it stands.
    pub(crate) fn at(field: impl Into<String>, rule: impl Into<String>) -> Self {
        Self { place: None, field: field.into(), rule: rule.into() }
    }

    fn new(
        fault: &serde_json::Error,
        text: &[u8],
        input: Option<&MessageDescriptor>,
        source: Source,
    ) -> Self {
        let (line, column) = (fault.line(), fault.column());
        let place = |ours: usize| if line == 1 { column.saturating_sub(ours) } else { column };
        let place = match source {
            _ if line == 0 => None,
            Source::Body(ours) => Some(format!("line {line}, column {}", place(ours))),
            Source::Line(ours) => Some(format!("column {}", place(ours))),
            Source::Made => None,
        };
        let mut offset = offset(text, line, column);
        // The last member's fault may be placed behind the bracket that ends the object or list.
        if fault.is_data() && offset > 0 && matches!(text[offset - 1], b'}' | b']') {
            offset -= 1;
        }
        let path = path_at(text, offset);
        let message = fault.to_string();
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
        let expected = input.filter(|_| fault.is_data()).and_then(|input| expected(input, &path));
        Self { place, field: shorten(&print(&path)), rule: shorten(&rule(message, expected)) }
    }

    /// The same fault, seen from the message whose field of this name the text was.
    pub(crate) fn within(self, field: &str) -> Self {
        let dot = if self.field.is_empty() || self.field.starts_with('[') { "" } else { "." };
        Self { field: format!("{field}{dot}{}", self.field), ..self }
    }

    /// The path of the field at fault, if it is known.
    pub(crate) fn field(&self) -> Option<String> {
        (!self.field.is_empty()).then(|| self.field.clone())
    }

    /// What is wrong with it and what would be right.
    pub(crate) fn rule(&self) -> String {
        self.rule.clone()
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.rule)
    }
}

/// What the generated code said, with what the field takes.
fn rule(message: &str, expected: Option<String>) -> String {
    let speaks_for_itself = ["unknown field", "duplicate field"].iter().any(|word| message.starts_with(word));
    match expected {
        Some(expected) if message.contains("did not match any variant") => format!("expected {expected}"),
        Some(expected) if !speaks_for_itself => format!("expected {expected} ({message})"),
        _ => message.to_owned(),
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// One step from a message to a field of it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// Into the member of this name; none yet.
    Member(Option<String>),
    /// Into the item of this index.
    Item(usize),
}

/// How many bytes lie before a place that serde_json names.
fn offset(text: &[u8], line: usize, column: usize) -> usize {
    let start = match line.checked_sub(2) {
        Some(before) => memchr::memchr_iter(b'\n', text).nth(before).map_or(0, |end| end + 1),
        None => 0,
    };
    (start + column).min(text.len())
}

/// The path of the value at, or just before, this offset of a JSON text that is well formed up to there.
fn path_at(text: &[u8], offset: usize) -> Vec<Step> {
    let mut path: Vec<Step> = Vec::new();
    let (mut at, mut key_next, mut comma) = (0, false, false);
    while at < offset {
        let byte = text[at];
        at += 1;
        if byte.is_ascii_whitespace() {
            continue;
        }
        if comma && let Some(Step::Item(index)) = path.last_mut() {
            *index += 1;
        }
        comma = byte == b',';
        match byte {
            b'{' => path.push(Step::Member(None)),
            b'[' => path.push(Step::Item(0)),
            b'}' | b']' => drop(path.pop()),
            b'"' => {
                let end = string_end(text, at);
                if let Some(Step::Member(name)) = path.last_mut().filter(|_| key_next) {
                    *name = serde_json::from_slice(&text[at - 1..end]).ok();
                }
                at = end;
            }
            _ => {}
        }
        key_next = byte == b'{' || (byte == b',' && matches!(path.last(), Some(Step::Member(_))));
    }
    path
}

/// Behind the quote that ends the string whose inside begins here.
fn string_end(text: &[u8], mut at: usize) -> usize {
    while at < text.len() {
        match text[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

fn print(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Member(Some(name)) if text.is_empty() => text.push_str(name),
            Step::Member(Some(name)) => text.extend([".", name]),
            Step::Member(None) => {}
            Step::Item(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

/// In words, what the field of this path takes.
fn expected(input: &MessageDescriptor, path: &[Step]) -> Option<String> {
    let mut message = Some(input.clone());
    let mut found: Option<FieldDescriptor> = None;
    let mut inside = false;
    for step in path {
        match step {
            Step::Member(None) => break,
            Step::Item(_) => inside = true,
            Step::Member(Some(name)) => {
                let field = fields::named(&message?, name)?;
                message = match field.kind() {
                    Kind::Message(message) if !field.is_map() => Some(message),
                    _ => None,
                };
                found = Some(field);
                inside = false;
            }
        }
    }
    let field = found?;
    let one = fields::takes(&field.kind());
    Some(if field.is_list() && !inside { format!("a list, each of it {one}") } else { one })
}

#[cfg(test)]
mod tests;
