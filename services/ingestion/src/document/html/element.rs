//! What each HTML element means for readable text.

/// The break that an element puts between the text before and after it; the widest one wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Gap {
    /// None: inline.
    #[default]
    None,
    /// A space.
    Space,
    /// A new line.
    Line,
    /// A blank line.
    Paragraph,
}

impl Gap {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Space => " ",
            Self::Line => "\n",
            Self::Paragraph => "\n\n",
        }
    }
}

/// The break before and after this element.
pub(super) fn gap(name: &[u8]) -> Gap {
    match name {
        b"p" | b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" | b"ul" | b"ol" | b"dl" | b"table"
        | b"blockquote" | b"pre" | b"figure" | b"hr" | b"article" | b"main" | b"section" | b"nav"
        | b"header" | b"footer" | b"aside" | b"form" | b"details" | b"dialog" | b"fieldset" | b"xmp"
        | b"body" => Gap::Paragraph,
        b"br" | b"div" | b"li" | b"dt" | b"dd" | b"tr" | b"caption" | b"figcaption" | b"summary"
        | b"address" | b"legend" | b"center" | b"thead" | b"tbody" | b"tfoot" | b"hgroup" | b"search"
        | b"menu" | b"option" | b"title" | b"head" | b"html" => Gap::Line,
        b"td" | b"th" => Gap::Space,
        _ => Gap::None,
    }
}

/// Elements whose content is never text for a reader, and which the tokenizer reads as one string.
pub(super) fn is_raw(name: &[u8]) -> bool {
    matches!(name, b"script" | b"style" | b"iframe" | b"noembed" | b"noframe" | b"noscript" | b"textarea")
}

/// Elements whose content is never text for a reader.
pub(super) fn is_hidden(name: &[u8]) -> bool {
    matches!(
        name,
        b"svg"
            | b"math"
            | b"template"
            | b"object"
            | b"canvas"
            | b"audio"
            | b"video"
            | b"select"
            | b"button"
            | b"datalist"
            | b"noframes"
    )
}

/// Elements that carry the site around the content, not the content. A `<header>` counts only outside of the
/// content (the rule of its ARIA landmark): within, it holds the title.
pub(super) fn is_boilerplate(name: &[u8], in_content: bool) -> bool {
    matches!(name, b"nav" | b"footer" | b"aside" | b"form" | b"dialog") || (name == b"header" && !in_content)
}

/// Elements whose blank space is content.
pub(super) fn is_preformatted(name: &[u8]) -> bool {
    matches!(name, b"pre" | b"xmp" | b"listing" | b"plaintext")
}
