//! Documents with their matches, queries and sources.

use tidemill_kernel::{Id, Timestamp};
use tidemill_proto::storage::v1 as api;
use tidemill_proto::types::v1 as types;
use tidemill_store::content::{Appended, Document, MatchedDocument, NewMatch, Query, Source, SourceKind};

use super::task::{Arrival, decode_new_task, encode_new_task};
use super::{json, rule, time};
use crate::error::Within;
use crate::{Error, Result};

/// The message of a document.
pub fn encode_document(document: Document) -> types::Document {
    types::Document {
        id: document.id.to_string(),
        source: document.source,
        external_id: document.external_id,
        url: document.url,
        title: document.title,
        body: document.body,
        published_at: document.published_at.map(time::encode),
        ingested_at: Some(time::encode(document.ingested_at)),
    }
}

/// The document of a message; one that does not say when it was ingested is ingested `now`.
pub fn decode_document(message: types::Document, now: Timestamp) -> Result<Document> {
    Ok(Document {
        id: rule::id("id", &message.id)?,
        source: rule::text("source", message.source, rule::MAX_LABEL)?,
        external_id: rule::text("external_id", message.external_id, rule::MAX_LABEL)?,
        url: rule::text("url", message.url, rule::MAX_LINE)?,
        title: rule::text("title", message.title, rule::MAX_LINE)?,
        body: rule::text("body", message.body, rule::MAX_BODY)?,
        published_at: time::decode_optional("published_at", message.published_at)?,
        ingested_at: time::decode_or("ingested_at", message.ingested_at, now)?,
    })
}

/// The message of a document with its matches that arrives `now`.
pub fn encode_matched_document(matched: MatchedDocument, now: Timestamp) -> api::MatchedDocument {
    let matches = matched.matches.into_iter().map(|new| api::NewMatch {
        query_id: new.query_id.to_string(),
        score: new.score,
        task: Some(encode_new_task(new.task, now)),
    });
    api::MatchedDocument { matches: matches.collect(), document: Some(encode_document(matched.document)) }
}

/// A batch of documents with their matches.
pub fn decode_matched_documents(
    messages: Vec<api::MatchedDocument>,
    arrival: &Arrival,
) -> Result<Vec<MatchedDocument>> {
    rule::batch("documents", messages.len())?;
    let decode = |(index, message)| decode_matched(message, arrival).within_item("documents", index);
    messages.into_iter().enumerate().map(decode).collect()
}

fn decode_matched(message: api::MatchedDocument, arrival: &Arrival) -> Result<MatchedDocument> {
    let document = rule::present("document", message.document)?;
    let document = decode_document(document, arrival.now).within("document")?;
    let decode = |(index, message)| decode_new_match(message, arrival).within_item("matches", index);
    let matches = message.matches.into_iter().enumerate().map(decode).collect::<Result<_>>()?;
    Ok(MatchedDocument { document, matches })
}

fn decode_new_match(message: api::NewMatch, arrival: &Arrival) -> Result<NewMatch> {
    let query_id = rule::id("query_id", &message.query_id)?;
    let task = decode_new_task(rule::present("task", message.task)?, arrival).within("task")?;
    Ok(NewMatch { query_id, score: message.score, task })
}

/// The message of what became of a document.
pub fn encode_appended(appended: Appended) -> api::AppendedDocument {
    let new_matches = i32::try_from(appended.new_matches).unwrap_or(i32::MAX);
    api::AppendedDocument { duplicate: appended.duplicate, new_matches }
}

/// What became of a document.
pub fn decode_appended(message: &api::AppendedDocument) -> Result<Appended> {
    let new_matches = rule::natural("new_matches", message.new_matches)?;
    Ok(Appended { duplicate: message.duplicate, new_matches })
}

/// The message of a query.
pub fn encode_query(query: Query) -> Result<types::Query> {
    Ok(types::Query {
        id: query.id.to_string(),
        name: query.name,
        expression: query.expression,
        recipe: query.recipe,
        priority: query.priority.number(),
        created_at: Some(time::encode(query.created_at)),
        parameters: Some(json::encode(&query.parameters)?),
    })
}

/// The query of a message; id and time are made where it has none.
pub fn decode_query(message: types::Query, now: Timestamp, new_id: &dyn Fn() -> Id) -> Result<Query> {
    Ok(Query {
        id: rule::id_or("id", &message.id, new_id)?,
        name: rule::name("name", message.name)?,
        expression: rule::filled("expression", message.expression, rule::MAX_LINE)?,
        recipe: rule::filled("recipe", message.recipe, rule::MAX_LABEL)?,
        parameters: json::decode("parameters", message.parameters, rule::MAX_PAYLOAD)?,
        priority: rule::priority("priority", message.priority)?,
        created_at: time::decode_or("created_at", message.created_at, now)?,
    })
}

/// The message of a source, and beside it what its collector remembers, which is nobody else's business.
pub fn encode_source(source: Source) -> (types::Source, String) {
    let message = types::Source {
        id: source.id.to_string(),
        name: source.name,
        kind: source.kind.number(),
        location: source.location,
        created_at: Some(time::encode(source.created_at)),
        collected_at: source.collected_at.map(time::encode),
    };
    (message, source.cursor)
}

/// The source of a message, with an empty cursor; id and time are made where it has none.
pub fn decode_source(message: types::Source, now: Timestamp, new_id: &dyn Fn() -> Id) -> Result<Source> {
    let kind = SourceKind::from_number(message.kind)
        .ok_or_else(|| Error::field("kind", format!("is {}; use 1 (folder) or 2 (feed)", message.kind)))?;
    Ok(Source {
        id: rule::id_or("id", &message.id, new_id)?,
        name: rule::name("name", message.name)?,
        kind,
        location: rule::filled("location", message.location, rule::MAX_LINE)?,
        created_at: time::decode_or("created_at", message.created_at, now)?,
        collected_at: time::decode_optional("collected_at", message.collected_at)?,
        cursor: String::new(),
    })
}
