//! HTML to a title and readable text, in one pass over the tokens (WHATWG HTML §13.2.5, by `html5gum`).
//!
//! No tree is built: time and memory stay linear and the stack flat, however deep or broken the page. What browsers
//! do for broken markup is approximated: an element that is never closed hides nothing. Scripts, styles and embedded
//! objects are dropped; navigation, footers, asides and forms too, unless nothing else is there; `<main>` is preferred,
//! then `<article>`.

mod element;
mod region;
#[cfg(test)]
mod tests;
mod walker;

use html5gum::Tokenizer;
use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};

use walker::Walker;

/// What a page says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The text of `<title>`, else of the first `<h1>`; may be empty. May hold line breaks.
    pub title: String,
    /// Headings, paragraphs, list items (`- `), table rows and preformatted text; may be empty.
    pub text: String,
}

/// Reads a page or a fragment. Never fails: broken markup gives less text.
pub fn read(html: &str) -> Page {
    let mut walker = Walker::default();
    walk(html, &mut walker);
    // A `<title>` that is never closed swallows the page: its text is read again as markup, once.
    if let Some(rest) = walker.unclosed_title() {
        walk(&rest, &mut walker);
    }
    walker.finish()
}

fn walk(html: &str, walker: &mut Walker) {
    let mut foreign = false;
    let callback = |event: CallbackEvent<'_>, _: html5gum::Span<()>| -> Option<()> {
        match event {
            CallbackEvent::OpenStartTag { name } => {
                foreign = matches!(name, b"svg" | b"math");
                walker.start(name);
            }
            CallbackEvent::CloseStartTag { self_closing } if self_closing && foreign => {
                walker.end(b"svg");
                walker.end(b"math");
            }
            CallbackEvent::EndTag { name } => walker.end(name),
            CallbackEvent::String { value } => walker.text(&String::from_utf8_lossy(value)),
            _ => {}
        }
        None
    };
    let mut emitter = CallbackEmitter::new(callback);
    emitter.naively_switch_states(true);
    for token in Tokenizer::new_with_emitter(html, emitter) {
        let Ok(()) = token;
    }
}
