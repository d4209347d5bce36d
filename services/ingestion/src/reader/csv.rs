//! CSV with a header row (RFC 4180; LF, CRLF and CR line ends, a byte order mark, quoted line breaks).
//!
//! A file whose header lacks a column for the body gives one fatal fault that names the columns found and expected. A
//! field never closed is fatal too, and a row whose quotes are wrong is left out: what they swallowed is not guessed at.

use std::collections::VecDeque;
use std::io::{self, BufRead, Seek, SeekFrom};

use super::fault::count;
use super::fields::{Draft, EXPECTED, Field, Unknown, brief, field, lookup};
use super::rows::{Row, Rows};
use super::{Options, Position, ReadFault, Record};

/// An iterator over the records of a CSV input.
#[derive(Debug)]
pub struct CsvReader<R> {
    rows: Rows<R>,
    options: Options,
    /// For each column the place of its name, `None` for a name that is not known; read from the first row.
    header: Option<Vec<Option<usize>>>,
    queue: VecDeque<ReadFault>,
    ended: bool,
}

impl<R: BufRead> CsvReader<R> {
    /// Reads `input` from its beginning.
    pub fn new(input: R, options: Options) -> Self {
        let rows = Rows::new(input, Position::START, options.max_record);
        Self { rows, options, header: None, queue: VecDeque::new(), ended: false }
    }

    fn read_header(&mut self) -> Result<(), ReadFault> {
        let start = self.rows.position();
        let row = self.rows.next().map_err(|error| ReadFault::io(start, &error))?;
        self.header = Some(Vec::new());
        let next = self.rows.position();
        let Some((line, row)) = row else { return Ok(()) };
        if let Some(fault) = self.unusable(line, row) {
            return Err(fault.fatal());
        }
        let mut names = Vec::new();
        for bytes in self.rows.fields() {
            if names.is_empty() && (bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff")) {
                return Err(ReadFault::utf16(start));
            }
            let text = String::from_utf8_lossy(bytes);
            names.push(text.trim_start_matches('\u{feff}').trim().to_owned());
        }
        let places: Vec<_> = names.iter().map(|name| lookup(name)).collect();
        if !places.iter().flatten().any(|place| field(*place) == Field::Body) {
            return Err(no_body(line, next, &names));
        }
        if let Some(column) =
            (1..places.len()).find(|at| places[*at].is_some() && places[..*at].contains(&places[*at]))
        {
            return Err(twice(line, next, &names[column], column));
        }
        self.report_unknown(line, next, &names, &places)?;
        self.header = Some(places);
        Ok(())
    }

    fn report_unknown(
        &mut self,
        line: u64,
        next: Position,
        names: &[String],
        places: &[Option<usize>],
    ) -> Result<(), ReadFault> {
        let mut unknown = Unknown::default();
        let named = |fault: ReadFault, name: &str, column: usize| match name {
            "" => ReadFault { field: None, ..fault.at(count(column) + 1) },
            name => fault.field(brief(name)),
        };
        for (column, name) in names.iter().enumerate().filter(|(column, _)| places[*column].is_none()) {
            if self.options.strict {
                let mend = format!(
                    "remove the column, or read without the strict option; the columns are {EXPECTED}"
                );
                let fault = ReadFault::rejected(line, next, "is not a field of a document", mend);
                return Err(named(fault, name, column).fatal());
            }
            let warning = unknown.note(name, Position { line, ..next });
            self.queue.extend(warning.map(|warning| named(warning, name, column)));
        }
        Ok(())
    }

    fn read_row(&mut self) -> Option<Result<Record, ReadFault>> {
        let start = self.rows.position();
        let (line, row) = match self.rows.next() {
            Ok(row) => row?,
            Err(error) => {
                self.ended = true;
                return Some(Err(ReadFault::io(start, &error)));
            }
        };
        let next = self.rows.position();
        Some(match self.unusable(line, row) {
            Some(fault) => Err(fault),
            None => self.record(line, next),
        })
    }

    /// What is wrong with the row that was read last, whatever its fields hold.
    fn unusable(&self, line: u64, row: Row) -> Option<ReadFault> {
        let next = self.rows.position();
        match row {
            Row::Whole => None,
            Row::TooLong(size) => Some(ReadFault::too_long(line, next, size, self.options.max_record)),
            Row::Open(place) => Some(ReadFault::open_quote(place, next)),
            Row::Torn(place) => Some(ReadFault::torn_quote(place, next)),
        }
    }

    fn record(&self, line: u64, next: Position) -> Result<Record, ReadFault> {
        let header = self.header.as_deref().unwrap_or_default();
        let fields = self.rows.fields();
        if fields.len() != header.len() {
            let message = format!("the row has {} fields; the header has {}", fields.len(), header.len());
            let mend = "quote fields that hold commas or line breaks, and fill the missing ones";
            return Err(ReadFault::rejected(line, next, message, mend));
        }
        let mut draft = Draft::default();
        for ((i, bytes), place) in fields.enumerate().zip(header) {
            let Some(place) = *place else { continue };
            let Ok(text) = std::str::from_utf8(bytes) else {
                let fault =
                    ReadFault::rejected(line, next, "the text is not UTF-8", "save the file as UTF-8");
                return Err(fault.at(count(i) + 1));
            };
            if !text.trim().is_empty() {
                draft.set(place, text.to_owned());
            }
        }
        let document = draft.finish(&self.options).map_err(|fault| fault.at(line, next))?;
        Ok(Record { document, line, next })
    }
}

impl<R: BufRead + Seek> CsvReader<R> {
    /// Reads the header of `input`, then on from a position that a reader gave. The header's warnings come again.
    pub fn resume(mut input: R, from: Position, options: Options) -> io::Result<Self> {
        input.seek(SeekFrom::Start(0))?;
        let mut reader = Self::new(input, options);
        if let Err(fault) = reader.read_header() {
            reader.ended = true;
            reader.queue.push_back(fault);
            return Ok(reader);
        }
        let header_end = reader.rows.position();
        let mut input = reader.rows.into_input();
        let from = if from.offset < header_end.offset { header_end } else { from };
        input.seek(SeekFrom::Start(from.offset))?;
        reader.rows = Rows::new(input, from, reader.options.max_record);
        Ok(reader)
    }
}

impl<R: BufRead> Iterator for CsvReader<R> {
    type Item = Result<Record, ReadFault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.header.is_none()
            && !self.ended
            && let Err(fault) = self.read_header()
        {
            self.ended = true;
            return Some(Err(fault));
        }
        if let Some(fault) = self.queue.pop_front() {
            return Some(Err(fault));
        }
        if self.ended {
            return None;
        }
        let item = self.read_row();
        self.ended |= item.is_none();
        item
    }
}

fn no_body(line: u64, next: Position, names: &[String]) -> ReadFault {
    let found = names.iter().take(32).map(|name| format!("`{}`", brief(name))).collect::<Vec<_>>().join(", ");
    let message = format!("no column holds the text; the columns found are {found}");
    let mend = format!(
        "name the column of the text `body` in the header row; the columns are {EXPECTED}, parted by commas"
    );
    ReadFault::rejected(line, next, message, mend).field("body").fatal()
}

/// A field that two columns name: one of them would be dropped.
fn twice(line: u64, next: Position, name: &str, column: usize) -> ReadFault {
    let mend = "rename or remove one of the two: a document has the field once";
    ReadFault::rejected(line, next, "two columns of the header have this name", mend)
        .field(brief(name))
        .at(count(column) + 1)
        .fatal()
}
