//! What is read: a file of records, or a folder of texts, turned into documents for a push stream.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context, Result, bail};
use tidemill_ingestion::document::{ContentType, NewDocument};
use tidemill_ingestion::folder::{self, walk};
use tidemill_ingestion::reader::{self, Format, Options, Position, ReadFault, Severity};
use tidemill_proto::ingestion::v1 as api;
use tidemill_proto::time::from_micros;

use super::sink::Sink;

/// The records of a file from a position on. The file is opened at once, read later.
pub(crate) fn file(
    path: &Path,
    format: Format,
    from: Position,
    options: Options,
) -> Result<impl FnOnce(&Sink) + Send + 'static> {
    let input = File::open(path).context("cannot be read; check the path and its permissions")?;
    if !input.metadata()?.is_file() {
        bail!("is not a file that can be read from its beginning; save it as one");
    }
    let input = BufReader::with_capacity(1 << 18, input);
    let reader = if from == Position::START {
        reader::open(input, format, options)
    } else {
        reader::resume(input, format, from, options)?
    };
    let name = path.display().to_string();
    Ok(move |sink: &Sink| {
        for item in reader {
            match item {
                Ok(record) => {
                    let place = format!("{name}:{}", record.line);
                    if !sink.document(encode(record.document), place, Some(record.next)) {
                        return;
                    }
                }
                Err(fault) if fault.severity == Severity::Warning => sink.warn(&tell(&name, &fault)),
                Err(fault) => sink.refuse(&tell(&name, &fault)),
            }
        }
    })
}

/// The texts below a folder.
pub(crate) fn folder(path: &Path, source: &str) -> Result<impl FnOnce(&Sink) + Send + 'static + use<>> {
    let options = folder::Options { source: source.to_owned(), ..folder::Options::default() };
    let files = walk(path, options)?;
    let root = path.to_owned();
    Ok(move |sink: &Sink| {
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
    })
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
