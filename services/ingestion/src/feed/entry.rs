//! One entry of a feed as a document: which of its many fields count.

use feed_rs::model::{Entry, Link, Text};
use tidemill_kernel::Timestamp;
use url::Url;

use super::EntryFault;
use crate::document::{ContentType, NewDocument, html};

/// The document of an entry: content before summary before media description before title, as plain text.
pub(super) fn document(
    entry: Entry,
    place: usize,
    base_url: &str,
    now: Timestamp,
) -> Result<NewDocument, EntryFault> {
    let title = entry.title.as_ref().map(|title| text(title, true)).unwrap_or_default();
    let url = link(&entry, base_url);
    let external_id = if entry.id.trim().is_empty() { url.clone() } else { entry.id.trim().to_owned() };
    let fault = |message: &str, mend: &str| EntryFault {
        place,
        name: if title.is_empty() { external_id.clone() } else { title.clone() },
        message: message.to_owned(),
        mend: mend.to_owned(),
    };
    if external_id.is_empty() {
        return Err(fault("has neither an id nor a link", "its publisher must give it one"));
    }
    let Some(body) = body(&entry).or_else(|| Some(title.clone()).filter(|title| !title.is_empty())) else {
        return Err(fault("has no text", "its publisher must give it a title, a summary or content"));
    };
    let dated = entry.published.or(entry.updated);
    let published_at = dated.map(|date| Timestamp::from_micros(date.timestamp_micros()).min(now));
    let (source, content_type) = (String::new(), ContentType::Text);
    Ok(NewDocument { source, external_id, url, title, body, content_type, published_at })
}

/// A text construct as plain text. RSS does not say whether a text is HTML: `guess` looks for markup.
pub(super) fn text(text: &Text, guess: bool) -> String {
    plain(&text.content, text.content_type.as_str(), guess)
}

fn body(entry: &Entry) -> Option<String> {
    let content = entry.content.as_ref().and_then(|content| {
        let body = content.body.as_deref()?;
        Some(plain(body, content.content_type.as_str(), false))
    });
    let filled = |text: &String| !text.trim().is_empty();
    let summary = || entry.summary.as_ref().map(|summary| text(summary, false));
    let media =
        || entry.media.iter().find_map(|media| media.description.as_ref().map(|words| text(words, true)));
    content.filter(filled).or_else(|| summary().filter(filled)).or_else(|| media().filter(filled))
}

fn plain(text: &str, media_type: &str, guess: bool) -> String {
    let is_html = media_type.contains("html") || media_type.ends_with("xml");
    if is_html || (guess && looks_like_html(text)) {
        return html::read(text).text;
    }
    text.trim().to_owned()
}

/// A tag or an entity somewhere.
fn looks_like_html(text: &str) -> bool {
    let tag = |at: usize| text[at + 1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let entity = |at: usize| {
        let name = text[at + 1..].split(';').next().unwrap_or_default();
        name.len() < 32 && name.len() + at + 1 < text.len() && !name.contains(char::is_whitespace)
    };
    text.match_indices('<').any(|(at, _)| tag(at)) || text.match_indices('&').any(|(at, _)| entity(at))
}

/// The page of the entry: its alternate link, else any link that is not an attachment, else an id that is a URL.
fn link(entry: &Entry, base_url: &str) -> String {
    let rel = |link: &&Link| link.rel.as_deref().unwrap_or("alternate").to_owned();
    let page = entry.links.iter().find(|link| rel(link) == "alternate");
    let other =
        || entry.links.iter().find(|link| !["self", "enclosure", "replies", "edit"].contains(&&*rel(link)));
    let href = page.or_else(other).map(|link| link.href.as_str());
    href.and_then(|href| absolute(href, base_url)).or_else(|| absolute(&entry.id, "")).unwrap_or_default()
}

/// The link as an absolute http, https or file URL.
fn absolute(href: &str, base_url: &str) -> Option<String> {
    let base = Url::parse(base_url).ok();
    let url = Url::options().base_url(base.as_ref()).parse(href.trim()).ok()?;
    matches!(url.scheme(), "http" | "https" | "file").then(|| url.into())
}
