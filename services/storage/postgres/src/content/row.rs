//! Rows of content, and what they mean.

use sqlx::FromRow;
use tidemill_kernel::Timestamp;
use tidemill_store::content::{Analysis, Document, Found, Query, Source, SourceKind};
use tidemill_store::{Error, Result};
use uuid::Uuid;

use crate::task::{id, priority};

/// The columns of [`DocumentRow`], of a document `d`, with this expression for its body.
macro_rules! document_columns {
    ($body:literal) => {
        concat!(
            "d.id, d.document_id, d.source, d.external_id, d.url, d.title, ",
            $body,
            " AS body, d.published_at, d.ingested_at"
        )
    };
}
pub(super) use document_columns;

/// A document as a statement returns it.
#[derive(Debug, FromRow)]
pub(super) struct DocumentRow {
    /// Its number.
    pub(super) id: i64,
    document_id: Uuid,
    source: String,
    external_id: String,
    url: String,
    pub(super) title: String,
    pub(super) body: String,
    published_at: Option<i64>,
    ingested_at: i64,
}

impl DocumentRow {
    pub(super) fn decode(self) -> Document {
        Document {
            id: id(self.document_id),
            source: self.source,
            external_id: self.external_id,
            url: self.url,
            title: self.title,
            body: self.body,
            published_at: self.published_at.map(Timestamp::from_micros),
            ingested_at: Timestamp::from_micros(self.ingested_at),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        200 + self.url.len() + self.title.len() + self.body.len()
    }
}

/// A query as a statement returns it.
#[derive(Debug, FromRow)]
pub(super) struct QueryRow {
    /// Its number.
    pub(super) id: i64,
    query_id: Uuid,
    pub(super) name: String,
    expression: String,
    recipe: String,
    parameters: String,
    priority: i32,
    created_at: i64,
}

impl QueryRow {
    pub(super) fn decode(self) -> Result<Query> {
        Ok(Query {
            id: id(self.query_id),
            name: self.name,
            expression: self.expression,
            recipe: self.recipe,
            parameters: self.parameters,
            priority: priority(self.priority)?,
            created_at: Timestamp::from_micros(self.created_at),
        })
    }

    pub(super) fn bytes(&self) -> usize {
        200 + self.expression.len() + self.parameters.len()
    }
}

/// A source as a statement returns it.
#[derive(Debug, FromRow)]
pub(super) struct SourceRow {
    source_id: Uuid,
    pub(super) name: String,
    kind: i32,
    location: String,
    created_at: i64,
    collected_at: Option<i64>,
    cursor: String,
}

impl SourceRow {
    pub(super) fn decode(self) -> Result<Source> {
        let kind = SourceKind::from_number(self.kind);
        Ok(Source {
            id: id(self.source_id),
            name: self.name,
            kind: kind.ok_or_else(|| Error::Internal(format!("{} is no kind of source", self.kind)))?,
            location: self.location,
            created_at: Timestamp::from_micros(self.created_at),
            collected_at: self.collected_at.map(Timestamp::from_micros),
            cursor: self.cursor,
        })
    }

    pub(super) fn bytes(&self) -> usize {
        200 + self.location.len() + self.cursor.len()
    }
}

/// A result as a statement returns it.
#[derive(Debug, FromRow)]
pub(super) struct FoundRow {
    /// The match's number.
    pub(super) match_id: i64,
    pub(super) matched_at: i64,
    pub(super) score: f64,
    query: String,
    #[sqlx(flatten)]
    document: DocumentRow,
    #[sqlx(flatten)]
    analysis: AnalysisRow,
}

/// An analysis that may be missing.
#[derive(Debug, FromRow)]
struct AnalysisRow {
    recipe: Option<String>,
    output: Option<String>,
    provider: Option<String>,
    model: Option<String>,
    input_tokens: Option<i64>,
    output_tokens: Option<i64>,
    created_at: Option<i64>,
}

impl AnalysisRow {
    fn decode(self) -> Option<Analysis> {
        Some(Analysis {
            recipe: self.recipe?,
            output: self.output?,
            provider: self.provider?,
            model: self.model?,
            input_tokens: self.input_tokens?,
            output_tokens: self.output_tokens?,
            created_at: Timestamp::from_micros(self.created_at?),
        })
    }
}

impl FoundRow {
    pub(super) fn decode(self) -> Found {
        Found {
            query: self.query,
            document: self.document.decode(),
            score: self.score,
            matched_at: Timestamp::from_micros(self.matched_at),
            analysis: self.analysis.decode(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.document.bytes() + self.analysis.output.as_ref().map_or(0, String::len)
    }
}
