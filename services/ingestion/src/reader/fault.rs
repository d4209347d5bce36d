//! What a reader says about a record that it could not take as it is.

use std::fmt;
use std::io;

use super::Position;
use super::quotes::Place;

/// What a fault means for the reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Nothing is lost; worth knowing once.
    Warning,
    /// This record is left out; the next ones are read.
    Rejected,
    /// The reading ends here.
    Fatal,
}

/// One thing wrong in a file: where, what, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadFault {
    /// What it means for the reading.
    pub severity: Severity,
    /// The line where the record begins, or the field at fault where that is known, from 1.
    pub line: u64,
    /// NDJSON: the byte in the line; CSV: the number of the field in its row; both from 1.
    pub column: Option<u64>,
    /// The field at fault.
    pub field: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub mend: String,
    /// Where the next record begins; for a warning, the record it came with.
    pub next: Position,
}

impl fmt::Display for ReadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if let Some(column) = self.column {
            write!(f, ", column {column}")?;
        }
        if let Some(field) = &self.field {
            write!(f, ", field `{field}`")?;
        }
        write!(f, ": {}; {}", self.message, self.mend)
    }
}

impl std::error::Error for ReadFault {}

impl ReadFault {
    pub(super) fn rejected(
        line: u64,
        next: Position,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        let (message, mend) = (message.into(), mend.into());
        Self { severity: Severity::Rejected, line, column: None, field: None, message, mend, next }
    }

    pub(super) fn fatal(mut self) -> Self {
        self.severity = Severity::Fatal;
        self
    }

    pub(super) fn at(mut self, column: u64) -> Self {
        self.column = Some(column);
        self
    }

    pub(super) fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    pub(super) fn warning(at: Position, message: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::rejected(at.line, at, message, mend) }
    }

    pub(super) fn io(at: Position, error: &io::Error) -> Self {
        let mend = "check the disk or the connection and resume from this line";
        Self::rejected(at.line, at, format!("the file cannot be read on: {error}"), mend).fatal()
    }

    pub(super) fn too_long(line: u64, next: Position, bytes: u64, max: usize) -> Self {
        let message = format!("the record is {bytes} bytes; at most {max} are read");
        Self::rejected(line, next, message, "split the document, or read with a larger --max-record")
    }

    /// Of a CSV file: from this quote on there is nothing but one field.
    pub(super) fn open_quote(place: Place, next: Position) -> Self {
        let message =
            "the quoted field that begins here is never closed: it swallows all lines to the end of the file";
        Self::rejected(place.line, next, message, QUOTE).at(place.field).fatal()
    }

    /// Of a CSV file: a row that goes on behind a closing quote.
    pub(super) fn torn_quote(place: Place, next: Position) -> Self {
        let message = "there is text behind the closing quote of the field that begins here; it may have swallowed lines that follow";
        Self::rejected(place.line, next, message, QUOTE).at(place.field)
    }

    pub(super) fn not_utf8(line: u64, next: Position, start: u64, valid: usize) -> Self {
        let offset = start.saturating_add(count(valid));
        let message = format!("the text is not UTF-8 at byte {offset} of the file");
        Self::rejected(line, next, message, "save the file as UTF-8").at(count(valid) + 1)
    }

    /// For a file that begins with a UTF-16 byte order mark: no line of it can be read.
    pub(super) fn utf16(at: Position) -> Self {
        Self::rejected(1, at, "the file is written in UTF-16", "save it as UTF-8").fatal()
    }
}

/// How quotes are mended.
const QUOTE: &str = "close the quote, and write quotes inside of a quoted field twice (\"\")";

/// A size as the file's offsets are counted.
pub(super) fn count(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}
