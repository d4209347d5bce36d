//! The state of one pass over a page: text in blocks, each knowing in which regions it lies.

use super::Page;
use super::element::{Gap, gap, is_boilerplate, is_hidden, is_preformatted, is_raw};
use super::region::{Block, Region};

/// How far the text of a `<title>` or `<h1>` is collected: the first one that says something counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Capture {
    #[default]
    Wanted,
    Open,
    Done,
}

/// Collects a page's text token by token.
#[derive(Debug, Default)]
pub(super) struct Walker {
    text: String,
    blocks: Vec<Block>,
    block_start: usize,
    lead: Gap,
    gap: Gap,
    marker: bool,
    preformatted: usize,
    raw: bool,
    main: Region,
    article: Region,
    boilerplate: Region,
    hidden: Region,
    title: String,
    titled: Capture,
    heading: String,
    headed: Capture,
}

impl Walker {
    /// A start tag.
    pub(super) fn start(&mut self, name: &[u8]) {
        if is_raw(name) {
            self.raw = true;
            return;
        }
        self.separate(gap(name));
        let next = self.blocks.len();
        let in_content = self.main.is_open() || self.article.is_open();
        match name {
            b"title" if self.titled == Capture::Wanted && !self.hidden.is_open() => {
                self.titled = Capture::Open
            }
            b"h1" if self.headed == Capture::Wanted && self.may_hold_heading() => self.headed = Capture::Open,
            b"li" => self.marker = true,
            b"main" => {
                // A form around the whole page (ASP.NET does it) is not around the content.
                self.boilerplate.abandon();
                self.main.open(name, next);
            }
            b"article" => self.article.open(name, next),
            _ if is_hidden(name) => {
                self.close_block();
                self.hidden.open(name, self.blocks.len());
            }
            _ if is_boilerplate(name, in_content) || self.boilerplate.is(name) => {
                self.boilerplate.open(name, next);
            }
            _ if is_preformatted(name) => self.preformatted += 1,
            _ => {}
        }
    }

    /// An end tag.
    pub(super) fn end(&mut self, name: &[u8]) {
        if is_raw(name) {
            self.raw = false;
            return;
        }
        if self.hidden.is_open() {
            self.close_block();
        }
        self.separate(gap(name));
        match name {
            b"title" if self.titled == Capture::Open => self.titled = filled(&self.title),
            b"h1" if self.headed == Capture::Open => self.headed = filled(&self.heading),
            _ if is_preformatted(name) => self.preformatted = self.preformatted.saturating_sub(1),
            _ => {}
        }
        // Regions of one sort never overlap, so all this marking is linear in the number of blocks.
        let closed = self.main.close(name);
        self.mark(closed, |block| block.main = true);
        let closed = self.article.close(name);
        self.mark(closed, |block| block.article = true);
        let closed = self.boilerplate.close(name);
        self.mark(closed, |block| block.boilerplate = true);
        let closed = self.hidden.close(name);
        self.mark(closed, |block| block.hidden = true);
    }

    /// A string between tags, entities decoded.
    pub(super) fn text(&mut self, text: &str) {
        if self.raw {
            return;
        }
        if self.titled == Capture::Open {
            self.title.push_str(text);
            return;
        }
        if self.headed == Capture::Open {
            self.heading.push_str(text);
        }
        for c in text.chars() {
            match c {
                // Invisible hints for line breaking would split words.
                '\u{ad}' | '\u{200b}' => {}
                _ if c.is_whitespace() && self.preformatted == 0 => self.gap = self.gap.max(Gap::Space),
                _ => self.push(if c == '\u{a0}' { ' ' } else { c }),
            }
        }
    }

    /// The markup swallowed by a title that was never closed; the title keeps what came before the first tag.
    pub(super) fn unclosed_title(&mut self) -> Option<String> {
        if self.titled != Capture::Open {
            return None;
        }
        self.titled = Capture::Done;
        let at = self.title.find('<')?;
        Some(self.title.split_off(at))
    }

    /// The page: its preferred region, or the next best that holds text.
    pub(super) fn finish(mut self) -> Page {
        self.close_block();
        let open = self.main.end();
        self.mark(open, |block| block.main = true);
        let open = self.article.end();
        self.mark(open, |block| block.article = true);
        let all = self.size(Block::is_content);
        let main = self.size(|block| block.is_content() && block.main);
        let article = self.size(|block| block.is_content() && block.article);
        let text = if main > 0 {
            self.join(|block| block.is_content() && block.main)
        } else if article > 0 && article >= all / 3 {
            // Pages with a few teasers in `<article>` hold their text elsewhere.
            self.join(|block| block.is_content() && block.article)
        } else if all > 0 {
            self.join(Block::is_content)
        } else {
            self.join(|block| !block.hidden)
        };
        let title = if self.title.trim().is_empty() { self.heading } else { self.title };
        Page { title, text }
    }

    fn push(&mut self, c: char) {
        if self.text.len() == self.block_start {
            self.lead = self.gap;
            if std::mem::take(&mut self.marker) {
                self.text.push_str("- ");
            }
        } else {
            self.text.push_str(self.gap.text());
        }
        self.gap = Gap::None;
        self.text.push(c);
    }

    fn separate(&mut self, gap: Gap) {
        if gap > Gap::None {
            self.close_block();
            // What is not shown breaks no line around it.
            let shown = if self.hidden.is_open() { Gap::Space } else { gap };
            self.gap = self.gap.max(shown);
        }
    }

    fn close_block(&mut self) {
        let (start, end) = (self.block_start, self.text.len());
        if start < end {
            self.blocks.push(Block::new(start, end, self.lead));
            self.block_start = end;
        }
    }

    fn mark(&mut self, start: Option<usize>, set: impl Fn(&mut Block)) {
        if let Some(start) = start {
            self.blocks[start..].iter_mut().for_each(set);
        }
    }

    /// A heading in a header may be the page's title; one in navigation or a footer is not.
    fn may_hold_heading(&self) -> bool {
        !self.hidden.is_open() && (!self.boilerplate.is_open() || self.boilerplate.is(b"header"))
    }

    fn size(&self, wanted: impl Fn(&Block) -> bool) -> usize {
        self.blocks.iter().filter(|block| wanted(block)).map(|block| block.end - block.start).sum()
    }

    fn join(&self, wanted: impl Fn(&Block) -> bool) -> String {
        let mut out = String::new();
        let mut gap = Gap::None;
        for block in &self.blocks {
            gap = gap.max(block.lead);
            if wanted(block) {
                if !out.is_empty() {
                    out.push_str(gap.text());
                }
                out.push_str(&self.text[block.start..block.end]);
                gap = Gap::None;
            }
        }
        out
    }
}

fn filled(text: &str) -> Capture {
    if text.trim().is_empty() { Capture::Wanted } else { Capture::Done }
}
