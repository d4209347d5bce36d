//! Feeds: RSS 0.9x, 1 and 2, Atom (RFC 4287) and JSON Feed 1, read by `feed-rs`.
//!
//! [`parse`] is pure; [`fetch`] brings the bytes. An entry that cannot be used is one [`EntryFault`]; the others are
//! kept, even where `feed-rs` would refuse the whole feed for it (see `salvage.rs`).

mod entry;
pub mod fetch;
mod guard;
mod salvage;
#[cfg(test)]
mod tests;

use std::fmt;

use feed_rs::{model, parser};
use tidemill_kernel::{ErrorKind, Timestamp};
use url::Url;

use crate::document::NewDocument;

/// What a feed holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feed {
    /// The title of the feed, one or more lines of plain text; may be empty.
    pub title: String,
    /// Its entries in the feed's order. Their `source` is left empty, for the caller to fill.
    pub entries: Vec<Result<NewDocument, EntryFault>>,
}

/// An entry that was left out: which, why, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryFault {
    /// Its place in the feed, from 1.
    pub place: usize,
    /// Its title or id, as far as known; may be empty.
    pub name: String,
    /// What is wrong.
    pub message: String,
    /// What the publisher of the feed would have to do.
    pub mend: String,
}

impl fmt::Display for EntryFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.what(), self.message, self.mend)
    }
}

impl EntryFault {
    /// Its place and, where it has one, its name.
    pub fn what(&self) -> String {
        match self.name.as_str() {
            "" => format!("entry {}", self.place),
            name => format!("entry {} (`{name}`)", self.place),
        }
    }
}

impl std::error::Error for EntryFault {}

/// The bytes are not a feed that can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// The address answers with something else.
    #[error("this is {found}, not a feed; use the address of the RSS, Atom or JSON feed itself")]
    NotAFeed {
        /// What it looks like.
        found: &'static str,
    },
    /// It is a feed, but broken so that no entry could be read.
    #[error("the feed is broken: {reason}; tell its publisher, or push the documents instead")]
    Broken {
        /// What the parser said.
        reason: String,
    },
}

impl FeedError {
    /// Always [`ErrorKind::Invalid`].
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

/// Reads a feed. `base_url` is where it came from: relative links are resolved against `xml:base` and then against it,
/// those of a file against the address that the feed gives for itself, if it gives one. An entry dated after `now` is
/// dated `now`.
pub fn parse(bytes: &[u8], base_url: &str, now: Timestamp) -> Result<Feed, FeedError> {
    let base = Url::parse(base_url).ok();
    let base = match base {
        Some(file) if file.scheme() == "file" => Some(home(bytes).unwrap_or(file)),
        other => other,
    };
    let base = base.map(String::from);
    let read = |bytes: &[u8]| read(bytes, base.as_deref());
    let base_url = base.as_deref().unwrap_or_default();
    let (head, entries) = match read(bytes) {
        Ok(mut feed) => {
            let entries = std::mem::take(&mut feed.entries).into_iter().map(Ok).collect();
            (Some(feed), entries)
        }
        Err(error) => salvage::entries(bytes, &read).ok_or_else(|| refused(bytes, &error))?,
    };
    let title = head.and_then(|feed| feed.title).map(|title| entry::text(&title, true)).unwrap_or_default();
    let entries = entries.into_iter().zip(1..).map(|(entry, place)| match entry {
        Ok(entry) => entry::document(entry, place, base_url, now),
        Err(reason) => Err(EntryFault {
            place,
            name: String::new(),
            message: format!("cannot be read: {reason}"),
            mend: "its publisher must correct the entry".to_owned(),
        }),
    });
    Ok(Feed { title, entries: entries.collect() })
}

/// The address on the web that a feed gives for itself: of its site, else its own.
fn home(bytes: &[u8]) -> Option<Url> {
    let read = |bytes: &[u8]| read(bytes, None);
    let head = read(bytes).ok().or_else(|| salvage::entries(bytes, &read)?.0)?;
    let link = |own: bool| {
        let links = head.links.iter().filter(move |link| (link.rel.as_deref() == Some("self")) == own);
        links
            .filter_map(|link| Url::parse(&link.href).ok())
            .find(|url| matches!(url.scheme(), "http" | "https"))
    };
    link(false).or_else(|| link(true))
}

/// Reads a whole feed, with a parser of its own: one that has failed panics when it is used again.
fn read(bytes: &[u8], base: Option<&str>) -> Result<model::Feed, parser::ParseFeedError> {
    let parser = parser::Builder::new()
        .base_uri(base)
        // An entry that names neither id nor link must stay recognisable.
        .id_generator(|links, _, _| links.first().map(|link| link.href.clone()).unwrap_or_default())
        .build();
    parser.parse(bytes)
}

/// Entries as `feed-rs` gives them, or what it said about one.
type Parsed = Vec<Result<model::Entry, String>>;

fn refused(bytes: &[u8], error: &parser::ParseFeedError) -> FeedError {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(4096)])
        .trim_start_matches('\u{feff}')
        .to_lowercase();
    let head = head.trim_start();
    let is_feed = ["<rss", "<feed", "<rdf:rdf", "jsonfeed.org"].iter().any(|mark| head.contains(mark));
    let found = match head.chars().next() {
        _ if is_feed => return FeedError::Broken { reason: error.to_string() },
        None => "empty",
        Some('<') if head.contains("<html") || head.starts_with("<!doctype html") => "a web page",
        Some('<') => "some other XML",
        Some('{' | '[') => "some other JSON",
        Some(_) => "neither XML nor JSON",
    };
    FeedError::NotAFeed { found }
}
