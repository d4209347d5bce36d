//! What is read: a file or stream of records, a text, or a folder of texts, turned into documents for a push stream.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use anyhow::{Result, anyhow};
use tidemill_ingestion::document::{ContentType, NewDocument};
use tidemill_ingestion::folder::{self, walk};
use tidemill_ingestion::reader::{self, Format, Options, Position, ReadFault, Reader, Severity};
use tidemill_proto::ingestion::v1 as api;
use tidemill_proto::time::from_micros;

use super::sink::{Read, Sink};

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A folder of texts.
    Folder,
    /// One text.
    Text,
    /// Records that can be read again from any place.
    File(Format),
    /// Records that come once: standard input, a pipe.
    Stream(Format),
}

impl Kind {
    /// What it is, by its name and by asking the system; `named` is the format that the caller named.
    pub(crate) fn of(path: &Path, named: Option<Format>) -> Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::Stream(named.unwrap_or(Format::Ndjson)));
        }
        let about = fs::metadata(path).map_err(|fault| unreadable(&fault))?;
        if about.is_dir() {
            return Ok(Self::Folder);
        }
        let format = named.or_else(|| Format::of(path));
        if !about.is_file() {
            return Ok(Self::Stream(format.unwrap_or(Format::Ndjson)));
        }
        match format {
            Some(format) => Ok(Self::File(format)),
            None if folder::content_type(path).is_some() => Ok(Self::Text),
            None => Err(anyhow!(
                "is neither a folder nor named as records (.jsonl, .ndjson, .csv) or a text (.txt, .md, .html); say what it is \
                 by --format, or rename it"
            )),
        }
    }
}

/// A fault of the system with its mend.
pub(crate) fn unreadable(fault: &io::Error) -> anyhow::Error {
    match fault.kind() {
        io::ErrorKind::NotFound => anyhow!("does not exist; check the path"),
        io::ErrorKind::PermissionDenied => anyhow!("cannot be read: {fault}; check its permissions"),
        _ => anyhow!("cannot be read: {fault}"),
    }
}

/// The records of a file from a position on. The file is opened at once, read later.
pub(crate) fn file(path: &Path, format: Format, from: Position, options: Options) -> Result<Read> {
    let input = File::open(path).map_err(|fault| unreadable(&fault))?;
    let input = BufReader::with_capacity(1 << 18, input);
    let reader = if from == Position::START {
        reader::open(input, format, options)
    } else {
        reader::resume(input, format, from, options).map_err(|fault| unreadable(&fault))?
    };
    let name = path.display().to_string();
    Ok(Box::new(move |sink| records(reader, &name, sink, Some)))
}

/// The records of standard input or of a pipe, which is opened by the one who reads it: that waits for a writer.
pub(crate) fn stream(path: &Path, format: Format, options: Options) -> Read {
    let path = path.to_owned();
    Box::new(move |sink| {
        if path == Path::new("-") {
            let reader = reader::open(io::stdin().lock(), format, options);
            return records(reader, "-", sink, |_| None);
        }
        let name = path.display().to_string();
        match File::open(&path) {
            Ok(input) => {
                let reader = reader::open(BufReader::with_capacity(1 << 18, input), format, options);
                records(reader, &name, sink, |_| None);
            }
            Err(fault) => sink.refuse(&format!("{name}: {}", unreadable(&fault))),
        }
    })
}

/// Hands on each record; `safe` makes of its end the place to go on from, where there is one.
fn records<R: BufRead>(
    reader: Reader<R>,
    name: &str,
    sink: &Sink,
    safe: impl Fn(Position) -> Option<Position>,
) {
    for item in reader {
        match item {
            Ok(record) => {
                let place = format!("{name}:{}", record.line);
                if !sink.document(encode(record.document), place, safe(record.next)) {
                    return;
                }
            }
            Err(fault) if fault.severity == Severity::Warning => sink.warn(&tell(name, &fault)),
            Err(fault) => sink.refuse(&tell(name, &fault)),
        }
    }
}

/// One text.
pub(crate) fn text(path: &Path, options: folder::Options) -> Read {
    let path = path.to_owned();
    Box::new(move |sink| {
        let name = path.display().to_string();
        match folder::file(&path, &options) {
            // Nothing follows that could be left out.
            Ok(document) => {
                sink.document(encode(document), name, None);
            }
            Err(fault) => sink.refuse(&format!("{name}: {}; {}", fault.message, fault.mend)),
        }
    })
}

/// The texts below a folder, as documents of this source.
pub(crate) fn folder(path: &Path, source: &str) -> Result<Read> {
    texts(path, folder::Options { source: source.to_owned(), ..folder::Options::default() })
}

/// The texts below a folder.
pub(crate) fn texts(path: &Path, options: folder::Options) -> Result<Read> {
    let files = walk(path, options)?;
    let root = path.to_owned();
    Ok(Box::new(move |sink| {
        for item in files {
            match item {
                Ok(document) => {
                    let place = root.join(&document.external_id).display().to_string();
                    if !sink.document(encode(document), place, None) {
                        return;
                    }
                }
                Err(fault) => sink.refuse(&fault.to_string()),
            }
        }
    }))
}

/// A fault as compilers write it: `file:line:column: what; mend`.
fn tell(name: &str, fault: &ReadFault) -> String {
    let column = fault.column.map(|column| format!(":{column}")).unwrap_or_default();
    let field = fault.field.as_ref().map(|field| format!(" {field}:")).unwrap_or_default();
    format!("{name}:{}{column}:{field} {}; {}", fault.line, fault.message, fault.mend)
}

fn encode(document: NewDocument) -> api::NewDocument {
    let content_type = match document.content_type {
        ContentType::Text => api::ContentType::Text,
        ContentType::Markdown => api::ContentType::Markdown,
        ContentType::Html => api::ContentType::Html,
    };
    api::NewDocument {
        source: document.source,
        external_id: document.external_id,
        url: document.url,
        title: document.title,
        body: document.body,
        content_type: content_type.into(),
        published_at: document.published_at.map(|at| from_micros(at.as_micros())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_folder_a_file_of_a_format_or_a_stream() {
        let folder = tempfile::tempdir().unwrap();
        let named = |name: &str| {
            let path = folder.path().join(name);
            fs::write(&path, "").unwrap();
            path
        };
        assert_eq!(Kind::of(folder.path(), None).unwrap(), Kind::Folder);
        assert_eq!(Kind::of(&named("a.csv"), None).unwrap(), Kind::File(Format::Csv));
        assert_eq!(Kind::of(&named("b.log"), Some(Format::Ndjson)).unwrap(), Kind::File(Format::Ndjson));
        assert_eq!(Kind::of(Path::new("-"), None).unwrap(), Kind::Stream(Format::Ndjson));
        let fault = |path: &Path| Kind::of(path, None).unwrap_err().to_string();
        assert!(fault(&named("c.log")).contains("--format"));
        assert_eq!(Kind::of(&named("d.md"), None).unwrap(), Kind::Text);
        assert_eq!(Kind::of(&named("e.md"), Some(Format::Csv)).unwrap(), Kind::File(Format::Csv));
        assert!(fault(&folder.path().join("none.jsonl")).contains("does not exist"));
    }
}
