//! Files of documents, read as a stream: NDJSON (one JSON object a line) and CSV (RFC 4180, with a header row).
//!
//! Invariants:
//! - Memory is bounded by [`Options::max_record`], whatever the file: a longer record is skipped, not buffered.
//! - A bad record is one [`ReadFault`] that says where it is, what is wrong and how to mend it; the ones after it are
//!   read all the same. Only [`Severity::Fatal`] ends the stream.
//! - Every item carries the [`Position`] after it; a reader resumed there yields the rest of the file.
//!
//! The readers block: run them on a thread of their own.
//!
//! Fields (any case): `id|external_id`, `title`, `body|text|content` (required), `url|link`, `published_at|date`
//! (RFC 3339 or a bare date), `source`, `content_type`. Of two names for one field the first one listed wins.
//! To add a field: one line in `fields.rs`.

pub mod csv;
mod fault;
mod fields;
mod lines;
pub mod ndjson;
mod quotes;
mod rows;
#[cfg(test)]
mod tests;

use std::io::{BufRead, Seek};
use std::path::Path;

use crate::document::{ContentType, NewDocument};
use csv::CsvReader;
pub use fault::{ReadFault, Severity};
use ndjson::NdjsonReader;

/// How to read a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Refuse records with fields that are not known, instead of a warning once for each name.
    pub strict: bool,
    /// The longest record in bytes; longer ones are skipped and reported.
    pub max_record: usize,
    /// The source of records that name none.
    pub source: String,
    /// The content type of records that name none.
    pub content_type: ContentType,
}

impl Default for Options {
    fn default() -> Self {
        Self { strict: false, max_record: 4 << 20, source: String::new(), content_type: ContentType::Text }
    }
}

/// A place between two records of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Position {
    /// Bytes before it.
    pub offset: u64,
    /// The line that begins there, from 1.
    pub line: u64,
}

impl Position {
    /// The beginning of a file.
    pub const START: Self = Self { offset: 0, line: 1 };
}

/// One record that could be read. Its text is not checked yet: see [`crate::document::prepare`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What it holds.
    pub document: NewDocument,
    /// The line where it begins, from 1.
    pub line: u64,
    /// Where the next record begins: resume here once this one is safe.
    pub next: Position,
}

/// The formats that hold many documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Ndjson,
    /// RFC 4180 with a header row.
    Csv,
}

impl Format {
    /// The format that a file's extension names: `jsonl`, `ndjson` or `csv`.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "jsonl" | "ndjson" => Some(Self::Ndjson),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }
}

/// A reader of either format.
#[derive(Debug)]
pub enum Reader<R> {
    /// NDJSON.
    Ndjson(NdjsonReader<R>),
    /// CSV.
    Csv(Box<CsvReader<R>>),
}

/// Reads `input` from its beginning.
pub fn open<R: BufRead>(input: R, format: Format, options: Options) -> Reader<R> {
    match format {
        Format::Ndjson => Reader::Ndjson(NdjsonReader::new(input, options)),
        Format::Csv => Reader::Csv(Box::new(CsvReader::new(input, options))),
    }
}

/// Reads `input` from a position that an earlier reader gave; the header of a CSV file is read again.
pub fn resume<R: BufRead + Seek>(
    input: R,
    format: Format,
    from: Position,
    options: Options,
) -> std::io::Result<Reader<R>> {
    Ok(match format {
        Format::Ndjson => Reader::Ndjson(NdjsonReader::resume(input, from, options)?),
        Format::Csv => Reader::Csv(Box::new(CsvReader::resume(input, from, options)?)),
    })
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Record, ReadFault>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Ndjson(reader) => reader.next(),
            Self::Csv(reader) => reader.next(),
        }
    }
}
