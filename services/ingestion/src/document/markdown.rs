//! The title of a Markdown document (CommonMark 0.31): what its front matter says, else its first heading, else the
//! first paragraph. The body itself is kept as it is.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// How much of a document is searched for a title, in bytes.
const SEARCHED: usize = 64 << 10;

/// The title, not yet cut to any length; `None` when the document holds neither front matter title, heading nor
/// paragraph.
pub(super) fn title(body: &str) -> Option<String> {
    let end = (0..=SEARCHED.min(body.len())).rev().find(|at| body.is_char_boundary(*at))?;
    let options =
        Options::ENABLE_YAML_STYLE_METADATA_BLOCKS | Options::ENABLE_PLUSES_DELIMITED_METADATA_BLOCKS;
    let mut paragraph = None;
    let mut text = String::new();
    let mut matter = false;
    for event in Parser::new_ext(&body[..end], options) {
        match event {
            Event::Start(Tag::MetadataBlock(_)) => matter = true,
            Event::Start(Tag::Heading { .. } | Tag::Paragraph | Tag::CodeBlock(_)) => text.clear(),
            Event::Text(piece) | Event::Code(piece) => text.push_str(&piece),
            Event::SoftBreak | Event::HardBreak => text.push('\n'),
            Event::End(TagEnd::MetadataBlock(_)) => {
                if let Some(named) = named(&text) {
                    return Some(named);
                }
                matter = false;
                text.clear();
            }
            Event::End(TagEnd::Heading(_)) if !text.trim().is_empty() && !matter => return Some(text),
            Event::End(TagEnd::Paragraph) if paragraph.is_none() && !text.trim().is_empty() => {
                paragraph = Some(super::plain::opening(&text));
            }
            _ => {}
        }
    }
    paragraph
}

/// The value of the key `title` in YAML or TOML front matter, when it is written on one line.
fn named(matter: &str) -> Option<String> {
    matter.lines().find_map(|line| {
        let value = line.strip_prefix("title")?.trim_start();
        let value = value.strip_prefix([':', '='])?.trim();
        let value = ['"', '\'']
            .into_iter()
            .find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote))
            .unwrap_or(value);
        (!value.is_empty()).then(|| value.to_owned())
    })
}
