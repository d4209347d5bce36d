//! What type a body is of, and what types the caller takes. Pure. Source: RFC 9110 §8.3 and §12.5.1.

use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};

use crate::error::Error;
use crate::reply::JSON;

/// How a stream of answers is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// One JSON text a line.
    Lines,
    /// Server-sent events.
    Events,
}

impl Format {
    /// Its media type.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Lines => "application/x-ndjson",
            Self::Events => "text/event-stream",
        }
    }
}

/// The media types under which lines go, in bodies and answers; the first is the one they have in answers.
const LINES: [&str; 4] = ["application/x-ndjson", "application/ndjson", "application/jsonl", JSON];

/// Whether a body of one JSON text, or of lines of it, may be of the type that it says it has.
pub(crate) fn check_body(headers: &HeaderMap, lines: bool) -> Result<(), Error> {
    let Some(given) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let wanted: &[&'static str] = if lines { &LINES } else { &[JSON] };
    let given = String::from_utf8_lossy(given.as_bytes()).to_ascii_lowercase();
    let mut parts = given.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let utf_8 = parts
        .filter_map(|part| part.strip_prefix("charset="))
        .all(|charset| matches!(charset.trim_matches('"'), "utf-8" | "utf8"));
    if wanted.contains(&essence) && utf_8 {
        return Ok(());
    }
    Err(Error::MediaType { got: given.chars().take(100).collect(), want: wanted[0] })
}

/// Refuses callers that take no JSON.
pub(crate) fn check_json(headers: &HeaderMap) -> Result<(), Error> {
    best(headers, &[JSON]).map(|_| ()).ok_or(Error::NotAcceptable { offered: JSON })
}

/// The format for a stream of answers that the caller likes best; lines when it does not say.
pub(crate) fn format(headers: &HeaderMap) -> Result<Format, Error> {
    const OFFERED: [&str; 5] = [LINES[0], "text/event-stream", LINES[1], LINES[2], LINES[3]];
    let best = best(headers, &OFFERED);
    let offered = "application/x-ndjson or text/event-stream";
    Ok(match best.ok_or(Error::NotAcceptable { offered })? {
        "text/event-stream" => Format::Events,
        _ => Format::Lines,
    })
}

/// The first of the offered types that fits the range with the highest quality.
fn best(headers: &HeaderMap, offered: &[&'static str]) -> Option<&'static str> {
    let mut ranges: Vec<(f32, String)> = Vec::new();
    for value in headers.get_all(ACCEPT) {
        let value = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        ranges.extend(value.split(',').map(range).filter(|(quality, _)| *quality > 0.0));
    }
    if !headers.contains_key(ACCEPT) {
        return offered.first().copied();
    }
    ranges.sort_by(|a, b| b.0.total_cmp(&a.0));
    ranges.iter().find_map(|(_, range)| offered.iter().find(|offer| fits(range, offer)).copied())
}

/// The quality and the type of one range.
fn range(text: &str) -> (f32, String) {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next().unwrap_or_default().to_owned();
    let quality = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
    (quality, range)
}

fn fits(range: &str, offer: &str) -> bool {
    match range.strip_suffix('*') {
        Some("*/") => true,
        Some(family) => family.ends_with('/') && offer.starts_with(family),
        None => range == offer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: http::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn json_in_utf_8_is_taken_and_nothing_else() {
        assert!(check_body(&HeaderMap::new(), false).is_ok());
        for (given, whole, lines) in [
            ("application/json", true, true),
            ("Application/JSON; charset=\"UTF-8\"", true, true),
            ("application/json; charset=latin1", false, false),
            ("application/x-ndjson", false, true),
            ("application/x-www-form-urlencoded", false, false),
            ("", false, false),
        ] {
            let headers = with(CONTENT_TYPE, given);
            assert_eq!(
                (check_body(&headers, false).is_ok(), check_body(&headers, true).is_ok()),
                (whole, lines),
                "{given}"
            );
        }
    }

    #[test]
    fn the_caller_s_favourite_decides_the_format() {
        assert_eq!(format(&HeaderMap::new()).unwrap(), Format::Lines);
        for (accept, expected) in [
            ("text/event-stream", Some(Format::Events)),
            ("*/*", Some(Format::Lines)),
            ("text/*", Some(Format::Events)),
            ("application/json", Some(Format::Lines)),
            ("application/x-ndjson;q=0.5, text/event-stream", Some(Format::Events)),
            ("text/event-stream;q=0, */*;q=0.1", Some(Format::Lines)),
            ("text/html", None),
            ("application", None),
        ] {
            assert_eq!(format(&with(ACCEPT, accept)).ok(), expected, "{accept}");
        }
        assert!(check_json(&with(ACCEPT, "text/html, application/*;q=0.8")).is_ok());
        assert!(check_json(&with(ACCEPT, "text/html")).is_err());
    }
}
