//! Rows of a CSV file (RFC 4180) of bounded length with exact byte offsets, on the state machine of `csv-core`.

use std::io::{self, BufRead, ErrorKind};

use csv_core::ReadRecordResult;

use super::Position;
use super::fault::count;
use super::quotes::{Place, Quotes};

/// The byte order mark of UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// How a row ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Row {
    /// It can be read with [`Rows::fields`].
    Whole,
    /// It was over the limit and is skipped; its size in bytes.
    TooLong(u64),
    /// A quote is not closed at the end of the input: the row holds everything from there on.
    Open(Place),
    /// There is text behind a closing quote: the row may hold lines that are not its own.
    Torn(Place),
}

/// Reads row after row; blank lines between rows are skipped. A line ends with LF, CRLF or, outside of quotes, CR.
#[derive(Debug)]
pub(super) struct Rows<R> {
    input: R,
    core: csv_core::Reader,
    data: Vec<u8>,
    data_len: usize,
    ends: Vec<usize>,
    ends_len: usize,
    quotes: Quotes,
    at: Position,
    max: usize,
}

impl<R: BufRead> Rows<R> {
    /// `input` must stand at `at`.
    pub(super) fn new(input: R, at: Position, max: usize) -> Self {
        let (core, quotes) = (csv_core::Reader::new(), Quotes::new());
        let (data, ends) = (vec![0; 1 << 10], vec![0; 16]);
        Self { input, core, data, data_len: 0, ends, ends_len: 0, quotes, at, max }
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
        (self.data_len, self.ends_len, self.quotes) = (0, 0, Quotes::new());
        loop {
            wait(&mut self.input)?;
            let chunk = self.input.fill_buf()?;
            let (data, ends) = (&mut self.data[self.data_len..], &mut self.ends[self.ends_len..]);
            let (result, read, written, ended) = self.core.read_record(chunk, data, ends);
            let row = &chunk[..read];
            self.quotes.follow(row, self.at.line);
            let ends_with_cr = row.last() == Some(&b'\r');
            self.at.line += count(memchr::memchr_iter(b'\n', row).count());
            self.at.offset += count(read);
            self.input.consume(read);
            self.data_len += written;
            self.ends_len += ended;
            let size = self.at.offset - start.offset;
            match result {
                ReadRecordResult::Record => {
                    if ends_with_cr {
                        self.end_line();
                    }
                    return Ok(Some((start.line, self.ended(size))));
                }
                ReadRecordResult::End => return Ok(None),
                ReadRecordResult::InputEmpty => {}
                full => self.make_room(full, size),
            }
        }
    }

    /// How a row of this size ended. A wrong quote is told before the length that may come of it.
    fn ended(&self, size: u64) -> Row {
        match (self.quotes.open(), self.quotes.torn()) {
            (Some(place), _) => Row::Open(place),
            (None, Some(place)) => Row::Torn(place),
            (None, None) if size > count(self.max) => Row::TooLong(size),
            (None, None) => Row::Whole,
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
        wait(&mut self.input)?;
        if self.at.offset == 0 && self.input.fill_buf()?.starts_with(MARK) {
            self.skip(MARK.len());
        }
        loop {
            wait(&mut self.input)?;
            match self.input.fill_buf()?.first() {
                Some(b'\n') => {
                    self.skip(1);
                    self.at.line += 1;
                }
                Some(b'\r') => {
                    self.skip(1);
                    self.end_line();
                }
                _ => return Ok(()),
            }
        }
    }

    /// After a CR that ends a line: an LF behind it belongs to it. Taken at once, so that no position lies between.
    fn end_line(&mut self) {
        self.at.line += 1;
        // An input that fails says so at the next row.
        if wait(&mut self.input).is_ok() && matches!(self.input.fill_buf(), Ok([b'\n', ..])) {
            self.skip(1);
        }
    }

    fn skip(&mut self, bytes: usize) {
        self.input.consume(bytes);
        self.at.offset += count(bytes);
    }
}

/// Waits until there are bytes or the end of the input.
fn wait(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        match input.fill_buf() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result.map(|_| ()),
        }
    }
}
