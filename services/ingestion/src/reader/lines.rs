//! Lines of bounded length with exact byte offsets.

use std::io::{self, BufRead, ErrorKind};

use super::Position;
use super::fault::count;

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Its bytes without the line end.
    Whole(&'a [u8]),
    /// It was over the limit and is skipped; its size in bytes, without the line end.
    TooLong(u64),
}

/// Reads line after line; a line end is LF or CRLF.
#[derive(Debug)]
pub(super) struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    at: Position,
    max: usize,
}

impl<R: BufRead> Lines<R> {
    /// `input` must stand at `at`.
    pub(super) fn new(input: R, at: Position, max: usize) -> Self {
        Self { input, buffer: Vec::new(), at, max }
    }

    /// Where the next line begins.
    pub(super) fn position(&self) -> Position {
        self.at
    }

    /// The next line, `None` at the end of the input.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.buffer.clear();
        let mut size: u64 = 0;
        loop {
            let chunk = match self.input.fill_buf() {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result?,
            };
            let end = memchr::memchr(b'\n', chunk);
            let taken = end.unwrap_or(chunk.len());
            // One byte over the limit is kept, for the CR of a line that is just as long as it may be.
            let kept = taken.min((self.max + 1).saturating_sub(self.buffer.len()));
            self.buffer.extend_from_slice(&chunk[..kept]);
            size += count(taken);
            let at_end = chunk.is_empty();
            let consumed = taken + usize::from(end.is_some());
            self.input.consume(consumed);
            self.at.offset += count(consumed);
            if end.is_some() {
                self.at.line += 1;
            }
            if at_end && size == 0 {
                return Ok(None);
            }
            if at_end || end.is_some() {
                break;
            }
        }
        if size == count(self.buffer.len()) && self.buffer.last() == Some(&b'\r') {
            self.buffer.pop();
            size -= 1;
        }
        Ok(Some(if size > count(self.max) { Line::TooLong(size) } else { Line::Whole(&self.buffer) }))
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.buffer.capacity()
    }
}
