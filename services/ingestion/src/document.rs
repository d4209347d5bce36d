//! Documents: what comes in ([`NewDocument`]) and what the rest of Tidemill sees ([`Document`]).
//!
//! Invariants of a [`Document`], all made by [`prepare`]:
//! - The body is readable text: HTML is reduced, line ends are `\n`, no control character but `\n` and `\t`, no
//!   trailing spaces, at most one blank line in a row, never empty, never over [`Limits::max_body`] bytes.
//! - The title is one line of 1 to [`Limits::max_title`] bytes; the URL is empty or http, https or file; the time of
//!   publication lies in the years 1 to 9999, as `google.protobuf.Timestamp` has no others.
//! - Title and body are in Unicode's Normalization Form C: letters and accents are composed, however they came.
//! - The id is the first half of the SHA-256 over that title, NUL and that body: the same text is the same document of
//!   its tenant, whatever source brought it and however it spells accents, line ends and blanks at line ends.
//!   Preparing a prepared document again changes nothing.

mod error;
pub mod html;
mod markdown;
mod plain;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tidemill_kernel::{Id, Timestamp};

pub use error::DocumentError;

/// How the body of a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContentType {
    /// Plain text.
    #[default]
    Text,
    /// Markdown (CommonMark), kept as it is.
    Markdown,
    /// HTML, a whole page or a fragment; reduced to text by [`prepare`].
    Html,
}

/// The text names no content type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a content type: use text, markdown or html")]
pub struct ParseContentTypeError(String);

impl std::str::FromStr for ContentType {
    type Err = ParseContentTypeError;

    /// Reads a name or a media type (RFC 9110 §8.3.1; its parameters are ignored), in any case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "text" | "plain" | "text/plain" => Ok(Self::Text),
            "markdown" | "md" | "text/markdown" | "text/x-markdown" => Ok(Self::Markdown),
            "html" | "text/html" | "application/xhtml+xml" => Ok(Self::Html),
            _ => Err(ParseContentTypeError(text.chars().take(80).collect())),
        }
    }
}

/// A document as a source or a client brings it; nothing is checked yet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewDocument {
    /// Name of the source that brought it.
    pub source: String,
    /// Its id in that source; may be empty.
    pub external_id: String,
    /// Where a reader finds it; may be empty.
    pub url: String,
    /// Its title; found in the body when empty.
    pub title: String,
    /// The text itself.
    pub body: String,
    /// How `body` is written.
    pub content_type: ContentType,
    /// When its author published it, if that is known.
    pub published_at: Option<Timestamp>,
}

/// A checked and normalised document; see the module for what holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The first 16 bytes of `content_hash`.
    pub id: Id,
    /// SHA-256 over title, NUL, body.
    pub content_hash: [u8; 32],
    /// Name of the source that brought it; one line, may be empty.
    pub source: String,
    /// Its id in that source; one line, may be empty.
    pub external_id: String,
    /// Empty, or an http, https or file URL in its normal form.
    pub url: String,
    /// One line, never empty.
    pub title: String,
    /// Readable text, never empty.
    pub body: String,
    /// How `body` is written now: never [`ContentType::Html`].
    pub content_type: ContentType,
    /// When its author published it, if that is known.
    pub published_at: Option<Timestamp>,
}

/// What a document may measure. All sizes are bytes of UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The longest body, measured after it was reduced to text.
    pub max_body: usize,
    /// The longest body as it comes in, with its markup.
    pub max_markup: usize,
    /// Where a title is cut.
    pub max_title: usize,
    /// The longest source name, external id and URL.
    pub max_name: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_body: 1 << 20, max_markup: 8 << 20, max_title: 1 << 10, max_name: 2 << 10 }
    }
}

/// Microseconds of the years 1 to 9999.
const PUBLISHED: RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;

/// Checks and normalises a document. Pure; the cost is linear in the size of the body, whatever it holds.
pub fn prepare(new: NewDocument, limits: &Limits) -> Result<Document, DocumentError> {
    if new.body.len() > limits.max_markup {
        let (actual, limit) = (new.body.len(), limits.max_markup);
        return Err(DocumentError::Oversized { actual, limit, setting: "ingestion.document.max_markup" });
    }
    let source = name("source", &new.source, limits)?;
    let external_id = name("external_id", &new.external_id, limits)?;
    let url = link(&name("url", &new.url, limits)?)?;
    if new.published_at.is_some_and(|moment| !PUBLISHED.contains(&moment.as_micros())) {
        return Err(DocumentError::Published);
    }
    let (found, body, content_type) = reduce(new.body, new.content_type);
    if body.is_empty() {
        return Err(DocumentError::Empty);
    }
    if body.len() > limits.max_body {
        let (actual, limit) = (body.len(), limits.max_body);
        return Err(DocumentError::Oversized { actual, limit, setting: "ingestion.document.max_body" });
    }
    let title = title([new.title, found], &body, content_type, limits.max_title);
    let content_hash = hash(&title, &body);
    let mut half = [0; 16];
    half.copy_from_slice(&content_hash[..16]);
    let id = Id::from_bytes(half);
    let published_at = new.published_at;
    Ok(Document { id, content_hash, source, external_id, url, title, body, content_type, published_at })
}

impl From<Document> for NewDocument {
    fn from(document: Document) -> Self {
        let Document { source, external_id, url, title, body, content_type, published_at, .. } = document;
        Self { source, external_id, url, title, body, content_type, published_at }
    }
}

/// The readable body, the title that its markup names, and how the body is written from now on.
fn reduce(body: String, content_type: ContentType) -> (String, String, ContentType) {
    match content_type {
        ContentType::Html => {
            let page = html::read(&body);
            (page.title, plain::clean(&page.text), ContentType::Text)
        }
        kept => (String::new(), plain::clean(&body), kept),
    }
}

/// The first candidate that is not blank, or what the body itself offers.
fn title(candidates: [String; 2], body: &str, content_type: ContentType, max: usize) -> String {
    let found = candidates.iter().map(|text| plain::title(text, max)).find(|line| !line.is_empty());
    found.unwrap_or_else(|| {
        let marked = match content_type {
            ContentType::Markdown => markdown::title(body).map(|text| plain::title(&text, max)),
            _ => None,
        };
        marked.filter(|line| !line.is_empty()).unwrap_or_else(|| plain::title(&plain::opening(body), max))
    })
}

/// One line of text that must not be over the limit.
fn name(field: &'static str, text: &str, limits: &Limits) -> Result<String, DocumentError> {
    if text.len() > limits.max_name {
        return Err(DocumentError::LongName { field, actual: text.len(), limit: limits.max_name });
    }
    Ok(plain::line(text, limits.max_name))
}

/// The URL in its normal form (WHATWG), or empty.
fn link(text: &str) -> Result<String, DocumentError> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let refused = |reason: String| DocumentError::Url { url: plain::line(text, 200), reason };
    let url = url::Url::parse(text).map_err(|fault| refused(fault.to_string()))?;
    match url.scheme() {
        "http" | "https" | "file" => Ok(url.into()),
        other => Err(refused(format!("the scheme `{other}` is not allowed"))),
    }
}

/// What makes two documents the same: the bytes of the normalised title and body, nothing else.
fn hash(title: &str, body: &str) -> [u8; 32] {
    Sha256::new().chain_update(title).chain_update([0]).chain_update(body).finalize().into()
}
