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
        // Looked for in tags only: in a text full of lone `<`, each look would go to the end.
        let Some(end) = is_tag.then(|| rest.find('>')).flatten() else {
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
/// punctuation that ends it. Each kind of mark is looked for in one pass, so that the whole stays linear.
fn without_addresses(text: &str) -> String {
    let scheme = |end: usize| text[..end].bytes().rev().take_while(u8::is_ascii_alphanumeric).count();
    let mut schemes = text.match_indices("://").map(|(at, _)| (at - scheme(at), at + 3)).peekable();
    let alone = |(at, _): &(usize, &str)| !text[..*at].ends_with(char::is_alphanumeric);
    let mut hosts = text.match_indices("www.").filter(alone).map(|(at, _)| (at, at + 4)).peekable();
    let (mut kept, mut done) = (String::with_capacity(text.len()), 0);
    loop {
        // What lies in an address that is out already is no mark of its own.
        while schemes.next_if(|(_, after)| *after < done + 3).is_some() {}
        while hosts.next_if(|(start, _)| *start < done).is_some() {}
        let first = [schemes.peek(), hosts.peek()].into_iter().flatten().min().copied();
        let Some((start, after)) = first else { break };
        kept.push_str(&text[done..start.max(done)]);
        let tail = &text[after..];
        let length = tail.find(|c: char| !c.is_ascii_graphic()).unwrap_or(tail.len());
        let ending =
            tail[..length].trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '"', '\'', '>']).len();
        done = after + ending;
    }
    kept.push_str(&text[done..]);
    kept
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
            ("xwww.a www.b, ://www.c d", "xwww.a , d"),
            ("http://a://b www. http://c", ""),
        ];
        for (source, prose) in table {
            assert_eq!(plain(source), prose, "{source:?}");
        }
    }

    /// The same by looking anew after each address.
    fn slowly_without_addresses(text: &str) -> String {
        let found = |text: &str| {
            let mark = text.find("://").map(|at| {
                let scheme = text[..at].bytes().rev().take_while(u8::is_ascii_alphanumeric).count();
                (at - scheme, at + 3)
            });
            let alone = |at: &usize| !text[..*at].ends_with(char::is_alphanumeric);
            let host = text.match_indices("www.").map(|(at, _)| at).find(alone).map(|at| (at, at + 4));
            [mark, host].into_iter().flatten().min()
        };
        let Some((start, after)) = found(text) else { return text.to_owned() };
        let length = text[after..].find(|c: char| !c.is_ascii_graphic()).unwrap_or(text.len() - after);
        let ends = ['.', ',', ';', ':', '!', '?', ')', ']', '"', '\'', '>'];
        let rest = after + text[after..after + length].trim_end_matches(ends).len();
        // A space in its place keeps what follows from being the end of a word.
        let rest = slowly_without_addresses(&format!(" {}", &text[rest..]));
        format!("{}{}", &text[..start], &rest[1..])
    }

    #[test]
    fn marks_without_end_take_no_time() {
        for (head, pattern) in
            [("<div>\n", "< "), ("", "www. "), ("a://", "www. "), ("", "a:/ "), ("", "xwww.")]
        {
            let source = format!("{head}{}", pattern.repeat((1 << 20) / pattern.len()));
            assert!(plain(&source).len() <= source.len());
        }
    }

    proptest! {
        #[test]
        fn addresses_go_as_if_each_was_looked_for_by_itself(source in "(://|www\\.|http|[a-z.,:/> ]|é){0,40}") {
            prop_assert_eq!(without_addresses(&source), slowly_without_addresses(&source));
        }

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
