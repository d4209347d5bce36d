//! The quotes of a CSV row (RFC 4180, §2), followed beside `csv-core`: that reads on wherever they are wrong, so that
//! all lines up to the next quote, or to the end of the file, become one field, and their records are lost unseen.
//!
//! A quote within a field that does not begin with one is text, here as there: it swallows nothing.

use super::fault::count;

/// Where a quoted field begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The line, from 1.
    pub(super) line: u64,
    /// The number of the field in its row, from 1.
    pub(super) field: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the beginning of a field.
    Start,
    /// In a field without quotes, or behind a torn one.
    Plain,
    /// In a quoted field.
    Quoted,
    /// Behind a quote that closes the field, unless another one follows.
    Closed,
}

/// The quotes of one row so far.
#[derive(Debug)]
pub(super) struct Quotes {
    state: State,
    field: u64,
    opened: Place,
    torn: Option<Place>,
}

impl Quotes {
    /// At the beginning of a row.
    pub(super) fn new() -> Self {
        Self { state: State::Start, field: 1, opened: Place { line: 1, field: 1 }, torn: None }
    }

    /// The next bytes of the row; `line` is that of the first of them.
    pub(super) fn follow(&mut self, bytes: &[u8], mut line: u64) {
        let is_plain = matches!(self.state, State::Start | State::Plain);
        if is_plain && memchr::memchr(b'"', bytes).is_none() {
            self.field += count(memchr::memchr_iter(b',', bytes).count());
            if let Some(last) = bytes.last() {
                self.state = if *last == b',' { State::Start } else { State::Plain };
            }
            return;
        }
        for &byte in bytes {
            self.state = match (self.state, byte) {
                (State::Quoted, b'"') => State::Closed,
                (State::Quoted, _) => {
                    line += u64::from(byte == b'\n');
                    State::Quoted
                }
                (State::Closed, b'"') => State::Quoted,
                (_, b',') => {
                    self.field += 1;
                    State::Start
                }
                (State::Start, b'"') => {
                    self.opened = Place { line, field: self.field };
                    State::Quoted
                }
                (State::Closed, b'\r' | b'\n') => State::Closed,
                (State::Closed, _) => {
                    self.torn.get_or_insert(self.opened);
                    State::Plain
                }
                _ => State::Plain,
            };
        }
    }

    /// The quoted field that is not closed, if the row ends here.
    pub(super) fn open(&self) -> Option<Place> {
        (self.state == State::Quoted).then_some(self.opened)
    }

    /// The first quoted field behind whose closing quote there is more text.
    pub(super) fn torn(&self) -> Option<Place> {
        self.torn
    }
}
