//! The parts of a page: runs of text ([`Block`]) and the elements that lie around them ([`Region`]).

use super::element::Gap;

/// A run of text between two elements that matter, and in which regions it lies.
#[derive(Debug)]
pub(super) struct Block {
    /// First byte in the walker's text.
    pub(super) start: usize,
    /// One past the last byte.
    pub(super) end: usize,
    /// The break before it.
    pub(super) lead: Gap,
    pub(super) main: bool,
    pub(super) article: bool,
    pub(super) boilerplate: bool,
    pub(super) hidden: bool,
}

impl Block {
    pub(super) fn new(start: usize, end: usize, lead: Gap) -> Self {
        Self { start, end, lead, main: false, article: false, boilerplate: false, hidden: false }
    }

    pub(super) fn is_content(&self) -> bool {
        !self.hidden && !self.boilerplate
    }
}

/// An element whose text is treated as a whole; only the outermost one counts.
#[derive(Debug, Default)]
pub(super) struct Region {
    name: Vec<u8>,
    depth: usize,
    start: usize,
}

impl Region {
    pub(super) fn is_open(&self) -> bool {
        self.depth > 0
    }

    /// Whether it is open and made by this element.
    pub(super) fn is(&self, name: &[u8]) -> bool {
        self.depth > 0 && self.name == name
    }

    /// Opens the region at block `start`, or counts one more of the same name within.
    pub(super) fn open(&mut self, name: &[u8], start: usize) {
        if self.depth == 0 {
            *self = Self { name: name.to_vec(), depth: 0, start };
        }
        if self.name == name {
            self.depth += 1;
        }
    }

    /// The first block of the region, if this tag closes it.
    pub(super) fn close(&mut self, name: &[u8]) -> Option<usize> {
        if !self.is(name) {
            return None;
        }
        self.depth -= 1;
        (self.depth == 0).then_some(self.start)
    }

    /// Forgets the region without closing it.
    pub(super) fn abandon(&mut self) {
        self.depth = 0;
    }

    /// The first block of the region if the page ends within it.
    pub(super) fn end(&mut self) -> Option<usize> {
        let open = std::mem::take(&mut self.depth) > 0;
        open.then_some(self.start)
    }
}
