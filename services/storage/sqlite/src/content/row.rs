//! Rows of content as JSON arrays, and what they mean.

use serde::Deserialize;
use tidemill_kernel::{Id, Timestamp};
use tidemill_store::content::{Analysis, Document, Query, Source, SourceKind};
use tidemill_store::{Error, Result};

use crate::task::priority;

/// A document `d` as [`DocumentRow`], with this expression for its body.
macro_rules! document_json {
    ($body:literal) => {
        concat!(
            "json_array(hex(d.document_id), d.source, d.external_id, d.url, d.title, ",
            $body,
            ", d.published_at, d.ingested_at)"
        )
    };
}
pub(super) use document_json;

/// A document as a statement returns it.
#[derive(Debug, Deserialize)]
pub(super) struct DocumentRow {
    id: Id,
    source: String,
    external_id: String,
    url: String,
    title: String,
    body: String,
    published_at: Option<Timestamp>,
    ingested_at: Timestamp,
}

impl DocumentRow {
    pub(super) fn decode(self) -> Document {
        let Self { id, source, external_id, url, title, body, published_at, ingested_at } = self;
        Document { id, source, external_id, url, title, body, published_at, ingested_at }
    }
}

/// A query `q` as [`QueryRow`].
macro_rules! query_json {
    () => {
        "json_array(q.id, hex(q.query_id), q.name, q.expression, q.recipe, q.parameters, q.priority, q.created_at)"
    };
}
pub(super) use query_json;

/// A query as a statement returns it.
#[derive(Debug, Deserialize)]
pub(super) struct QueryRow {
    pub(super) number: i64,
    id: Id,
    pub(super) name: String,
    expression: String,
    recipe: String,
    parameters: String,
    priority: i32,
    created_at: Timestamp,
}

impl QueryRow {
    pub(super) fn decode(self) -> Result<Query> {
        let Self { id, name, expression, recipe, parameters, created_at, .. } = self;
        let priority = priority(self.priority)?;
        Ok(Query { id, name, expression, recipe, parameters, priority, created_at })
    }
}

/// A source `s` as [`SourceRow`].
macro_rules! source_json {
    () => {
        "json_array(hex(s.source_id), s.name, s.kind, s.location, s.created_at, s.collected_at, s.cursor)"
    };
}
pub(super) use source_json;

/// A source as a statement returns it.
#[derive(Debug, Deserialize)]
pub(super) struct SourceRow {
    id: Id,
    pub(super) name: String,
    kind: i32,
    location: String,
    created_at: Timestamp,
    collected_at: Option<Timestamp>,
    cursor: String,
}

impl SourceRow {
    pub(super) fn decode(self) -> Result<Source> {
        let Self { id, name, location, created_at, collected_at, cursor, .. } = self;
        let kind = SourceKind::from_number(self.kind);
        let kind = kind.ok_or_else(|| Error::Internal(format!("{} is no kind of source", self.kind)))?;
        Ok(Source { id, name, kind, location, created_at, collected_at, cursor })
    }
}

/// An analysis `a` as [`AnalysisRow`].
macro_rules! analysis_json {
    () => {
        "json_array(a.recipe, a.output, a.provider, a.model, a.input_tokens, a.output_tokens, a.created_at)"
    };
}
pub(super) use analysis_json;

/// An analysis as a statement returns it.
#[derive(Debug, Deserialize)]
pub(super) struct AnalysisRow {
    recipe: String,
    output: String,
    provider: String,
    model: String,
    input_tokens: i64,
    output_tokens: i64,
    created_at: Timestamp,
}

impl AnalysisRow {
    pub(super) fn decode(self) -> Analysis {
        let Self { recipe, output, provider, model, input_tokens, output_tokens, created_at } = self;
        Analysis { recipe, output, provider, model, input_tokens, output_tokens, created_at }
    }
}
