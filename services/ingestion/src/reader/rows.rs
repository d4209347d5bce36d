//! Rows of a CSV file (RFC 4180) of bounded length with exact byte offsets, on the state machine of `csv-core`.

use std::io::{self, BufRead, ErrorKind};

use csv_core::ReadRecordResult;

use super::Position;
use super::fault::count;

/// How a row ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Row {
    /// It can be read with [`Rows::fields`].
    Whole,
    /// It was over the limit and is skipped; its size in bytes.
    TooLong(u64),
}

/// Reads row after row; blank lines between rows are skipped.
#[derive(Debug)]
pub(super) struct Rows<R> {
    input: R,
    core: csv_core::Reader,
    data: Vec<u8>,
    data_len: usize,
    ends: Vec<usize>,
    ends_len: usize,
    at: Position,
    max: usize,
}

impl<R: BufRead> Rows<R> {
    /// `input` must stand at `at`.
    pub(super) fn new(input: R, at: Position, max: usize) -> Self {
        let core = csv_core::Reader::new();
        Self { input, core, data: vec![0; 1 << 10], data_len: 0, ends: vec![0; 16], ends_len: 0, at, max }
    }

    /// Where the next row begins, or a blank line before it.
    pub(super) fn position(&self) -> Position {
        self.at
    }

    /// The input, to be moved, and then read from `at` on by [`Rows::new`].
    pub(super) fn into_input(self) -> R {
        self.input
    }

    /// The fields of the row that was read last, unquoted.
    pub(super) fn fields(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let ends = &self.ends[..self.ends_len];
        (0..ends.len()).map(move |i| &self.data[if i == 0 { 0 } else { ends[i - 1] }..ends[i]])
    }

    /// Reads the next row: the line where it begins, and how it ended. `None` at the end of the input.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Row)>> {
        self.skip_blank_lines()?;
        let start = self.at;
        (self.data_len, self.ends_len) = (0, 0);
        loop {
            let chunk = match self.input.fill_buf() {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result?,
            };
            let (data, ends) = (&mut self.data[self.data_len..], &mut self.ends[self.ends_len..]);
            let (result, read, written, ended) = self.core.read_record(chunk, data, ends);
            self.at.line += count(memchr::memchr_iter(b'\n', &chunk[..read]).count());
            self.at.offset += count(read);
            self.input.consume(read);
            self.data_len += written;
            self.ends_len += ended;
            let size = self.at.offset - start.offset;
            match result {
                ReadRecordResult::Record => {
                    let whole = size <= count(self.max);
                    return Ok(Some((start.line, if whole { Row::Whole } else { Row::TooLong(size) })));
                }
                ReadRecordResult::End => return Ok(None),
                ReadRecordResult::InputEmpty => {}
                full => self.make_room(full, size),
            }
        }
    }

    /// Doubles the buffer that is full; of a row over the limit, forgets what was read instead.
    fn make_room(&mut self, full: ReadRecordResult, size: u64) {
        if size > count(self.max) {
            (self.data_len, self.ends_len) = (0, 0);
        } else if matches!(full, ReadRecordResult::OutputFull) {
            self.data.resize(self.data.len() * 2, 0);
        } else {
            self.ends.resize(self.ends.len() * 2, 0);
        }
    }

    fn skip_blank_lines(&mut self) -> io::Result<()> {
        loop {
            let chunk = match self.input.fill_buf() {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result?,
            };
            let blank = chunk.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            self.at.line += count(memchr::memchr_iter(b'\n', &chunk[..blank]).count());
            self.at.offset += count(blank);
            let more = blank > 0 && blank == chunk.len();
            self.input.consume(blank);
            if !more {
                return Ok(());
            }
        }
    }
}
