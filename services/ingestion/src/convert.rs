//! Messages to domain values and back, and the rules for names and places.

use tidemill_kernel::{Fault, Timestamp};
use tidemill_proto::ingestion::v1 as api;
use tidemill_proto::time::{from_micros, to_micros};
use tidemill_proto::types::v1 as types;
use url::Url;

use crate::document::{ContentType, Document, NewDocument};

/// The longest source of a document, in bytes.
const MAX_SOURCE: usize = 63;
/// The longest external id of a document, in bytes.
const MAX_EXTERNAL_ID: usize = 1 << 10;

/// The document of a message. The fault's field is relative to the document.
pub(crate) fn decode_document(message: api::NewDocument) -> Result<NewDocument, Fault> {
    let content_type = match message.content_type() {
        api::ContentType::Unspecified | api::ContentType::Text => ContentType::Text,
        api::ContentType::Markdown => ContentType::Markdown,
        api::ContentType::Html => ContentType::Html,
    };
    bounded(NewDocument {
        source: message.source,
        external_id: message.external_id,
        url: message.url,
        title: message.title,
        body: message.body,
        content_type,
        published_at: message.published_at.map(|time| Timestamp::from_micros(to_micros(&time))),
    })
}

/// Refuses labels that the store would refuse, and the whole batch with them.
pub(crate) fn bounded(new: NewDocument) -> Result<NewDocument, Fault> {
    if new.source.len() > MAX_SOURCE {
        return Err(too_long("source", new.source.len(), MAX_SOURCE));
    }
    if new.external_id.len() > MAX_EXTERNAL_ID {
        return Err(too_long("external_id", new.external_id.len(), MAX_EXTERNAL_ID));
    }
    Ok(new)
}

fn too_long(field: &str, length: usize, max: usize) -> Fault {
    Fault::invalid(field, format!("is {length} bytes long; at most {max} are kept"))
}

/// The message of a prepared document.
pub(crate) fn encode_document(document: &Document) -> types::Document {
    types::Document {
        id: document.id.to_string(),
        source: document.source.clone(),
        external_id: document.external_id.clone(),
        url: document.url.clone(),
        title: document.title.clone(),
        body: document.body.clone(),
        published_at: document.published_at.map(|moment| from_micros(moment.as_micros())),
        ingested_at: None,
    }
}

/// A name of a query or source: 1 to 63 of `a-z 0-9 - _ .`.
pub(crate) fn name(name: &str) -> Result<(), Fault> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    if (1..=63).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(Fault::invalid("name", "use 1 to 63 of a-z, 0-9, `-`, `_` and `.`"))
}

/// Where a source reads, in the form that is stored: an absolute path, or an http or https URL.
pub(crate) fn location(kind: types::SourceKind, location: &str, local: bool) -> Result<String, Fault> {
    if location.trim().is_empty() {
        return Err(Fault::invalid("location", "is empty; name a folder, or a feed's URL or file"));
    }
    match (kind, Url::parse(location)) {
        (types::SourceKind::Unspecified, _) => {
            Err(Fault::invalid("kind", "is not said; use SOURCE_KIND_FOLDER or SOURCE_KIND_FEED"))
        }
        (types::SourceKind::Feed, Ok(url)) if matches!(url.scheme(), "http" | "https") => Ok(url.into()),
        (_, Ok(url)) if url.scheme() == "file" => match url.to_file_path() {
            Ok(path) => absolute(&path, local),
            Err(()) => Err(Fault::invalid("location", "this file URL names another machine; use a path")),
        },
        (types::SourceKind::Feed, Ok(url)) => Err(Fault::invalid(
            "location",
            format!(
                "`{}` is not a scheme that feeds are read by; use http, https or a file's path",
                url.scheme()
            ),
        )),
        (types::SourceKind::Folder, Ok(url)) if url.has_host() => {
            Err(Fault::invalid("location", "a folder is named by its path, not by a URL"))
        }
        _ => absolute(std::path::Path::new(location), local),
    }
}

fn absolute(path: &std::path::Path, local: bool) -> Result<String, Fault> {
    if !local {
        let mend = "sources on the server's own disk are for operators, where they are not turned off; use a feed by \
                    http or https, or push documents";
        return Err(Fault::invalid("location", mend));
    }
    let path = std::path::absolute(path).map_err(|fault| Fault::invalid("location", fault.to_string()))?;
    match path.to_str() {
        Some(path) => Ok(path.to_owned()),
        None => Err(Fault::invalid("location", "is not UTF-8 once it is made absolute; use another path")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::SourceKind::{Feed, Folder};

    #[test]
    fn places_are_made_absolute_and_foreign_schemes_are_refused() {
        assert_eq!(location(Folder, "/tmp/a", true).unwrap(), "/tmp/a");
        assert!(location(Folder, "notes", true).unwrap().starts_with('/'));
        assert_eq!(location(Feed, "https://EXAMPLE.org/f", true).unwrap(), "https://example.org/f");
        assert_eq!(location(Feed, "file:///tmp/f.xml", true).unwrap(), "/tmp/f.xml");
        for (kind, place) in [(Feed, "ftp://a/b"), (Folder, "https://a/b"), (Folder, " "), (Feed, "")] {
            assert_eq!(location(kind, place, true).unwrap_err().violations[0].field, "location");
        }
    }

    #[test]
    fn without_local_sources_only_urls_remain() {
        assert!(location(Feed, "https://example.org/f", false).is_ok());
        assert!(location(Feed, "/etc/passwd", false).is_err() && location(Folder, "/etc", false).is_err());
    }

    #[test]
    fn names_keep_their_alphabet() {
        assert!(name("a.b-c_9").is_ok());
        for bad in ["", "A", "a b", "ü", &"a".repeat(64)] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }
}
