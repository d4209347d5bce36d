//! Plain text made regular: line ends, blank lines, control characters, single lines.
//!
//! Every function here is idempotent, so that a prepared document keeps its hash.

use unicode_normalization::{UnicodeNormalization, is_nfc};

/// How many characters of the first line make a title.
const OPENING: usize = 80;

/// What ends a line: LF, CR (CRLF is made one LF first), VT, FF, NEL, LS, PS (UAX #14 class BK, CR, LF, NL).
const LINE_ENDS: [char; 7] = ['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'];

/// The text with `\n` line ends and composed accents, without control characters, trailing spaces, runs of blank lines
/// and blank lines at its ends. Spaces inside a line stay: they carry code and tables.
pub(super) fn clean(text: &str) -> String {
    let unified =
        if text.contains('\r') { text.replace("\r\n", "\n").into() } else { std::borrow::Cow::from(text) };
    let mut out = String::with_capacity(unified.len());
    let mut blanks = 0;
    for line in unified.split(LINE_ENDS) {
        let from = out.len();
        if !out.is_empty() {
            out.push_str(if blanks > 0 { "\n\n" } else { "\n" });
        }
        let start = out.len();
        out.extend(line.chars().filter(|c| !is_removed(*c)));
        let kept = out.trim_end().len();
        if kept <= start {
            out.truncate(from);
            blanks += 1;
        } else {
            out.truncate(kept);
            blanks = 0;
        }
    }
    composed(out)
}

/// The text in Unicode's Normalization Form C (UAX #15).
fn composed(text: String) -> String {
    // Up to U+02FF, whose bytes are all below 0xCC, every text is composed: most cost one look at each byte.
    if text.bytes().all(|byte| byte < 0xcc) || is_nfc(&text) { text } else { text.nfc().collect() }
}

/// A title: one line with composed accents, cut at `max` bytes.
pub(super) fn title(text: &str, max: usize) -> String {
    // Cut after composing, or it would matter how the accents came.
    let mut title = composed(line(text, usize::MAX));
    cut(&mut title, max);
    title
}

/// The text as one line: every run of blank space is one space, controls are gone, cut at `max` bytes.
pub(super) fn line(text: &str, max: usize) -> String {
    let mut out = String::new();
    for word in text.split(|c: char| c.is_whitespace()) {
        let space = usize::from(!out.is_empty());
        let from = out.len();
        if space == 1 {
            out.push(' ');
        }
        out.extend(word.chars().filter(|c| !is_removed(*c)));
        if out.len() == from + space {
            out.truncate(from);
        } else if out.len() >= max {
            break;
        }
    }
    cut(&mut out, max);
    out
}

/// The first line that is not blank, cut to about 80 characters at a word's end with an ellipsis.
pub(super) fn opening(text: &str) -> String {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let Some((end, _)) = first.char_indices().nth(OPENING) else { return first.to_owned() };
    let head = &first[..end];
    let whole = if first[end..].starts_with(char::is_whitespace) { end } else { last_space(head) };
    format!("{}…", head[..whole].trim_end())
}

/// Where the last word of `head` begins, unless that would lose more than half of it.
fn last_space(head: &str) -> usize {
    head.rfind(char::is_whitespace).filter(|at| *at > head.len() / 2).unwrap_or(head.len())
}

fn cut(text: &mut String, max: usize) {
    if text.len() > max {
        let end = (0..=max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.truncate(text.trim_end().len());
    }
}

/// Controls (NUL among them) say nothing in a text; a byte order mark inside one neither.
fn is_removed(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t') || c == '\u{feff}'
}
