//! Entry by entry through a feed that `feed-rs` refuses as a whole: it does so for one empty title or unknown media
//! type, or when the end is missing.
//!
//! The entries are cut out and read in groups within the feed's own root element; a group that is refused is halved,
//! so one bad entry costs a logarithm of readings.

use feed_rs::model::Feed;
use feed_rs::parser::ParseFeedError;
use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::Value;

use super::Parsed;

/// The longest start tags of a feed, in bytes: they are read anew with every group.
const OPEN: usize = 64 << 10;

/// Reads bytes as a whole feed.
type Read<'a> = dyn Fn(&[u8]) -> Result<Feed, ParseFeedError> + 'a;

/// The head of the feed, where it can be read, and its entries. `None` if no entry can be found or read.
pub(super) fn entries(bytes: &[u8], read: &Read<'_>) -> Option<(Option<Feed>, Parsed)> {
    let first = bytes.iter().find(|byte| matches!(byte, b'<' | b'{'))?;
    let cut = if *first == b'<' { cut_xml(bytes) } else { cut_json(bytes) }?;
    if cut.open.len() > OPEN {
        return None;
    }
    let head = read(&[cut.head.as_slice(), &cut.close].concat()).ok();
    let mut parsed = Parsed::new();
    halve(&cut, &cut.entries, read, &mut parsed);
    parsed.iter().any(Result::is_ok).then_some((head, parsed))
}

/// A feed in pieces; `open` and `close` around any of the entries is a feed again.
struct Cut {
    /// Everything before the first entry.
    head: Vec<u8>,
    open: Vec<u8>,
    entries: Vec<Vec<u8>>,
    separator: &'static [u8],
    close: Vec<u8>,
}

impl Cut {
    fn wrap(&self, entries: &[Vec<u8>]) -> Vec<u8> {
        [self.open.as_slice(), &entries.join(self.separator), &self.close].concat()
    }
}

/// Depth is the logarithm of the number of entries.
fn halve(cut: &Cut, entries: &[Vec<u8>], read: &Read<'_>, parsed: &mut Parsed) {
    match read(&cut.wrap(entries)) {
        Ok(feed) if feed.entries.len() == entries.len() => parsed.extend(feed.entries.into_iter().map(Ok)),
        result if entries.len() <= 1 => {
            let reason = result.err().map_or("it holds nothing".to_owned(), |error| error.to_string());
            parsed.extend(entries.iter().map(|_| Err(reason.clone())));
        }
        _ => {
            let (left, right) = entries.split_at(entries.len() / 2);
            halve(cut, left, read, parsed);
            halve(cut, right, read, parsed);
        }
    }
}

/// Every whole `<entry>` or `<item>` of a feed in UTF-8, and the start tags that were open around the first one.
fn cut_xml(bytes: &[u8]) -> Option<Cut> {
    let mut reader = Reader::from_str(std::str::from_utf8(bytes).ok()?);
    reader.config_mut().check_end_names = false;
    reader.config_mut().allow_unmatched_ends = true;
    let mut around: Vec<(String, usize, usize)> = Vec::new();
    let mut entries: Vec<Vec<u8>> = Vec::new();
    let mut within: Option<(usize, usize)> = None;
    let mut head_end = None;
    let mut start = 0;
    // An error ends the cutting: what was whole before it is kept.
    while let Ok(event) = reader.read_event() {
        let end = usize::try_from(reader.buffer_position()).ok()?;
        match event {
            Event::Start(tag) if is_entry(tag.local_name().as_ref()) => {
                head_end.get_or_insert(start);
                within = Some(within.map_or((start, 1), |(from, depth)| (from, depth + 1)));
            }
            Event::End(tag) if is_entry(tag.local_name().as_ref()) => match within.take() {
                Some((from, 1)) => entries.push(bytes[from..end].to_vec()),
                Some((from, depth)) => within = Some((from, depth - 1)),
                None => {}
            },
            Event::Start(tag) if within.is_none() && entries.is_empty() => {
                around.push((tag.name().as_ref().to_owned(), start, end));
            }
            Event::End(_) if within.is_none() && entries.is_empty() => drop(around.pop()),
            Event::Eof => break,
            _ => {}
        }
        start = end;
    }
    let (_, _, root_end) = around.first()?;
    let mut open = bytes[..*root_end].to_vec();
    around[1..].iter().for_each(|(_, from, to)| open.extend_from_slice(&bytes[*from..*to]));
    let close = around.iter().rev().flat_map(|(name, ..)| format!("</{name}>").into_bytes()).collect();
    let head = bytes[..head_end?].to_vec();
    Some(Cut { head, open, entries, separator: b"\n", close })
}

fn is_entry(name: &str) -> bool {
    matches!(name, "entry" | "item")
}

fn cut_json(bytes: &[u8]) -> Option<Cut> {
    let Ok(Value::Object(mut feed)) = serde_json::from_slice(bytes) else { return None };
    let Some(Value::Array(items)) = feed.remove("items") else { return None };
    feed.entry("title").or_insert_with(|| Value::from(""));
    let mut open = serde_json::to_vec(&feed).ok()?;
    open.pop();
    open.extend_from_slice(b",\"items\":[");
    let entries = items.iter().map(serde_json::to_vec).collect::<Result<_, _>>().ok()?;
    Some(Cut { head: open.clone(), open, entries, separator: b",", close: b"]}".to_vec() })
}
