//! Results and what a search found.

use tidemill_kernel::Timestamp;
use tidemill_proto::storage::v1 as api;
use tidemill_proto::types::v1 as types;
use tidemill_store::content::{Analysis, Document, Found, Hit};

use super::{json, rule, time};
use crate::Result;
use crate::error::Within;

/// The message of a result.
pub fn encode_found(found: Found) -> Result<types::Result> {
    Ok(types::Result {
        query: found.query,
        document_id: found.document.id.to_string(),
        title: found.document.title,
        url: found.document.url,
        source: found.document.source,
        score: found.score,
        matched_at: Some(time::encode(found.matched_at)),
        analysis: found.analysis.map(encode_analysis).transpose()?,
    })
}

/// The result of a message. Of the document it knows what the message says; the rest is empty.
pub fn decode_found(message: types::Result) -> Result<Found> {
    Ok(Found {
        query: message.query,
        document: shown(&message.document_id, message.title, message.url, message.source)
            .within("document")?,
        score: message.score,
        matched_at: time::decode_required("matched_at", message.matched_at)?,
        analysis: match message.analysis {
            Some(analysis) => Some(decode_analysis(analysis, Timestamp::default()).within("analysis")?),
            None => None,
        },
    })
}

/// The message of an analysis.
pub fn encode_analysis(analysis: Analysis) -> Result<types::Analysis> {
    Ok(types::Analysis {
        recipe: analysis.recipe,
        output: Some(json::encode(&analysis.output)?),
        provider: analysis.provider,
        model: analysis.model,
        input_tokens: analysis.input_tokens,
        output_tokens: analysis.output_tokens,
        created_at: Some(time::encode(analysis.created_at)),
    })
}

/// The analysis of a message; one that does not say when it was made is made `now`.
pub fn decode_analysis(message: types::Analysis, now: Timestamp) -> Result<Analysis> {
    Ok(Analysis {
        recipe: rule::filled("recipe", message.recipe, rule::MAX_LABEL)?,
        output: json::decode("output", message.output, rule::MAX_PAYLOAD)?,
        provider: rule::text("provider", message.provider, rule::MAX_LABEL)?,
        model: rule::text("model", message.model, rule::MAX_LABEL)?,
        input_tokens: rule::count("input_tokens", message.input_tokens)?,
        output_tokens: rule::count("output_tokens", message.output_tokens)?,
        created_at: time::decode_or("created_at", message.created_at, now)?,
    })
}

/// The message of a document that a search found.
pub fn encode_hit(hit: Hit) -> api::FoundDocument {
    api::FoundDocument {
        id: hit.document.id.to_string(),
        title: hit.document.title,
        url: hit.document.url,
        source: hit.document.source,
        snippet: hit.snippet,
    }
}

/// The found document of a message; it knows what the message says, the rest is empty.
pub fn decode_hit(message: api::FoundDocument) -> Result<Hit> {
    let document = shown(&message.id, message.title, message.url, message.source)?;
    Ok(Hit { document, snippet: message.snippet })
}

fn shown(id: &str, title: String, url: String, source: String) -> Result<Document> {
    Ok(Document {
        id: rule::id("id", id)?,
        source,
        external_id: String::new(),
        url,
        title,
        body: String::new(),
        published_at: None,
        ingested_at: Timestamp::default(),
    })
}
