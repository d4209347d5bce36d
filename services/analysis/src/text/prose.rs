//! Running text out of light Markdown and HTML: one line for each block, no code, no markup, no addresses.
//!
//! Markdown is read by `pulldown-cmark` (CommonMark). Plain text passes through it almost unharmed: wrapped lines are
//! joined, which sentence splitting needs anyway.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// Elements that end a line of prose.
const BLOCKS: [&str; 22] = [
    "p",
    "div",
    "br",
    "li",
    "ul",
    "ol",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "tr",
    "td",
    "th",
    "table",
    "section",
    "article",
    "blockquote",
    "header",
    "footer",
    "hr",
];
/// Elements whose content is not prose.
const HIDDEN: [&str; 3] = ["script", "style", "pre"];
/// The entities that survive in HTML blocks; CommonMark decodes those outside of them.
const ENTITIES: [(&str, &str); 7] = [
    ("&nbsp;", " "),
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&quot;", "\""),
    ("&#39;", "'"),
    ("&apos;", "'"),
    ("&amp;", "&"),
];

/// The prose of a text, trimmed, with single spaces and one line feed between blocks.
pub(super) fn plain(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    let mut html = String::new();
    let mut in_code = false;
    for event in Parser::new_ext(source, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_))) => in_code = true,
            Event::End(TagEnd::CodeBlock) => {
                in_code = false;
                text.push('\n');
            }
            Event::Text(piece) if !in_code => text.push_str(&piece),
            Event::Code(piece) => text.push_str(&piece),
            Event::Html(line) => html.push_str(&line),
            Event::End(TagEnd::HtmlBlock) => strip_tags(&std::mem::take(&mut html), &mut text),
            Event::InlineHtml(tag) if is_block(tag_name(&tag)) => text.push('\n'),
            Event::SoftBreak | Event::HardBreak => text.push(' '),
            Event::Rule
            | Event::End(
                TagEnd::Paragraph
                | TagEnd::Heading(_)
                | TagEnd::Item
                | TagEnd::TableCell
                | TagEnd::BlockQuote(_),
            ) => text.push('\n'),
            _ => {}
        }
    }
    tidy(&without_addresses(&text))
}

/// Appends the text of an HTML block.
fn strip_tags(html: &str, text: &mut String) {
    let start = text.len();
    let mut rest = html;
    let mut hidden: Option<&str> = None;
    while let Some(open) = rest.find('<') {
        if hidden.is_none() {
            text.push_str(&rest[..open]);
        }
        rest = &rest[open..];
        let is_tag = rest[1..].starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?'));
        let Some(end) = rest.find('>').filter(|_| is_tag) else {
            // A lone `<`. If nothing closes any tag from here on, all that follows is text.
            let lone = if is_tag { rest.len() } else { 1 };
            text.push_str(if hidden.is_none() { &rest[..lone] } else { "" });
            rest = &rest[lone..];
            continue;
        };
        let name = tag_name(&rest[..end]);
        let closes = rest[1..].starts_with('/');
        match hidden {
            Some(outer) if closes && name.eq_ignore_ascii_case(outer) => hidden = None,
            Some(_) => {}
            None if !closes => hidden = HIDDEN.into_iter().find(|element| name.eq_ignore_ascii_case(element)),
            None => {}
        }
        if hidden.is_none() && is_block(name) {
            text.push('\n');
        }
        rest = &rest[end + 1..];
    }
    if hidden.is_none() {
        text.push_str(rest);
    }
    if text[start..].contains('&') {
        let decoded = ENTITIES
            .iter()
            .fold(text[start..].to_owned(), |text, (entity, plain)| text.replace(entity, plain));
        text.truncate(start);
        text.push_str(&decoded);
    }
    text.push('\n');
}

fn tag_name(tag: &str) -> &str {
    let name = tag.trim_start_matches(['<', '/']);
    name.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or(name)
}

fn is_block(name: &str) -> bool {
    BLOCKS.iter().any(|block| name.eq_ignore_ascii_case(block))
}

/// Takes out web addresses: the scheme before `://` or a `www.`, and the printable ASCII that follows, but for the
/// punctuation that ends it.
fn without_addresses(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((start, after)) = next_address(rest) {
        kept.push_str(&rest[..start]);
        let tail = &rest[after..];
        let length = tail.find(|c: char| !c.is_ascii_graphic()).unwrap_or(tail.len());
        let ending =
            tail[..length].trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '"', '\'', '>']).len();
        rest = &tail[ending..];
    }
    kept.push_str(rest);
    kept
}

/// Where the next address starts, and the end of its `://` or `www.`.
fn next_address(text: &str) -> Option<(usize, usize)> {
    let mark = text.find("://").map(|at| {
        let scheme = text[..at].bytes().rev().take_while(u8::is_ascii_alphanumeric).count();
        (at - scheme, at + 3)
    });
    // Looked for before the mark only, so that the whole pass stays linear.
    let head = mark.map_or(text, |(start, _)| &text[..start]);
    let www =
        head.find("www.").filter(|&at| !head[..at].ends_with(char::is_alphanumeric)).map(|at| (at, at + 4));
    www.or(mark)
}

/// Single spaces, one line feed between blocks, nothing at the ends.
fn tidy(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len());
    for line in text.lines() {
        let before = tidy.len();
        for word in line.split_whitespace() {
            if tidy.len() > before {
                tidy.push(' ');
            } else if before > 0 {
                tidy.push('\n');
            }
            tidy.push_str(word);
        }
    }
    tidy
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn markup_goes_and_prose_stays() {
        let table = [
            ("# Title\n\nOne line\nand the next.", "Title\nOne line and the next."),
            ("See [the docs](https://x.y/z) and *this*.", "See the docs and this."),
            ("Before\n\n```rust\nlet x = 1;\n```\n\nAfter", "Before\nAfter"),
            ("- one\n- two\n\n> quoted `code`", "one\ntwo\nquoted code"),
            ("Go to https://example.com/a?b=c. Then www.rust-lang.org, please.", "Go to . Then , please."),
            ("详见https://例.com。谢谢", "详见例.com。谢谢"),
            ("<p>Fish &amp; <b>chips</b></p><script>var x;</script><p>a < b</p>", "Fish & chips\na < b"),
            ("An <em>inline</em> tag,<br>a break", "An inline tag,\na break"),
            ("| a | b |\n|---|---|\n| c | d |", "a\nb\nc\nd"),
            ("3 < 4 and 5 > 4; # no heading here", "3 < 4 and 5 > 4; # no heading here"),
            ("", ""),
            ("![picture](x.png)\n\n[ref]: http://a.b", "picture"),
            ("mail ://", "mail"),
        ];
        for (source, prose) in table {
            assert_eq!(plain(source), prose, "{source:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_becomes_tidy_prose(source in "([a-z<>/#`*\\[\\]()&;:.w \n|-]|\\PC){0,300}") {
            let prose = plain(&source);
            prop_assert!(!prose.contains("  ") && !prose.contains("\n\n"));
            prop_assert_eq!(prose.trim(), &prose);
        }

        #[test]
        fn html_without_an_end_is_survived(source in "(<[a-z/!?]|>|<script>|</script>|&amp;|[a-z ]){0,60}") {
            let mut text = String::new();
            strip_tags(&source, &mut text);
            prop_assert!(text.len() <= source.len() * 2 + 1);
        }
    }
}
