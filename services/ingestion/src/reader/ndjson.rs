//! NDJSON: one JSON object a line (RFC 8259 texts, split at LF; a byte order mark and CRLF are accepted).

mod line;

use std::collections::VecDeque;
use std::io::{self, BufRead, Seek, SeekFrom};

use super::fault::count;
use super::fields::{EXPECTED, Unknown, brief};
use super::lines::{Line, Lines};
use super::{Options, Position, ReadFault, Record};
use line::Object;

/// An iterator over the records of an NDJSON input.
#[derive(Debug)]
pub struct NdjsonReader<R> {
    lines: Lines<R>,
    options: Options,
    unknown: Unknown,
    queue: VecDeque<Result<Record, ReadFault>>,
    ended: bool,
}

impl<R: BufRead> NdjsonReader<R> {
    /// Reads `input` from its beginning.
    pub fn new(input: R, options: Options) -> Self {
        Self::at(input, Position::START, options)
    }

    fn at(input: R, at: Position, options: Options) -> Self {
        let lines = Lines::new(input, at, options.max_record);
        Self { lines, options, unknown: Unknown::default(), queue: VecDeque::new(), ended: false }
    }

    /// Reads the next line that is not blank and queues what it gives: warnings, then a record or a fault.
    fn advance(&mut self) {
        let start = self.lines.position();
        let line = match self.lines.next() {
            Ok(Some(line)) => line,
            Ok(None) => return self.ended = true,
            Err(error) => {
                self.ended = true;
                return self.queue.push_back(Err(ReadFault::io(start, &error)));
            }
        };
        let bytes = match line {
            Line::Whole(bytes) => bytes.to_vec(),
            Line::TooLong(size) => {
                let fault =
                    ReadFault::too_long(start.line, self.lines.position(), size, self.options.max_record);
                return self.queue.push_back(Err(fault));
            }
        };
        if start.offset == 0 && (bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff")) {
            self.ended = true;
            return self.queue.push_back(Err(ReadFault::utf16(start)));
        }
        let marked = start.offset == 0 && bytes.starts_with(b"\xef\xbb\xbf");
        let result = self.read(start, &bytes, if marked { 3 } else { 0 });
        self.queue.extend(result);
    }

    fn read(&mut self, start: Position, bytes: &[u8], skipped: usize) -> Option<Result<Record, ReadFault>> {
        let next = self.lines.position();
        let text = match std::str::from_utf8(&bytes[skipped..]) {
            Ok(text) => text,
            Err(error) => {
                let valid = skipped + error.valid_up_to();
                return Some(Err(ReadFault::not_utf8(start.line, next, start.offset, valid)));
            }
        };
        if text.trim().is_empty() {
            return None;
        }
        let object = match serde_json::from_str::<Object>(text) {
            Ok(object) => object,
            Err(error) => return Some(Err(malformed(start.line, next, skipped, text, &error))),
        };
        Some(self.record(object, start, next))
    }

    fn record(&mut self, object: Object, start: Position, next: Position) -> Result<Record, ReadFault> {
        if let Some(fault) = object.fault {
            return Err(fault.at(start.line, next));
        }
        if self.options.strict
            && let Some(name) = object.unknown.first()
        {
            let mend = format!("remove it, or read without the strict option; the fields are {EXPECTED}");
            return Err(ReadFault::rejected(start.line, next, "is not a field of a document", mend)
                .field(brief(name)));
        }
        for name in &object.unknown {
            self.queue.extend(self.unknown.note(name, start).map(Err));
        }
        let document = object.draft.finish(&self.options).map_err(|fault| fault.at(start.line, next))?;
        Ok(Record { document, line: start.line, next })
    }
}

impl<R: BufRead + Seek> NdjsonReader<R> {
    /// Reads `input` on from a position that a reader gave.
    pub fn resume(mut input: R, from: Position, options: Options) -> io::Result<Self> {
        input.seek(SeekFrom::Start(from.offset))?;
        Ok(Self::at(input, from, options))
    }
}

impl<R: BufRead> Iterator for NdjsonReader<R> {
    type Item = Result<Record, ReadFault>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.queue.is_empty() && !self.ended {
            self.advance();
        }
        self.queue.pop_front()
    }
}

fn malformed(line: u64, next: Position, skipped: usize, text: &str, error: &serde_json::Error) -> ReadFault {
    let said = error.to_string();
    let said = said.split(" at line ").next().unwrap_or_default();
    let mend = match text.trim_start().as_bytes().first() {
        Some(b'[') => "write one JSON object a line, not an array around them",
        Some(b'{') => "correct the line; an object must stand whole on one line",
        _ => "write one JSON object a line, such as {\"title\": \"...\", \"body\": \"...\"}",
    };
    let column = error.column() + skipped;
    ReadFault::rejected(line, next, format!("not a document in JSON: {said}"), mend).at(count(column.max(1)))
}
