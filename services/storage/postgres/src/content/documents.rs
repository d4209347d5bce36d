//! Documents with their matches and tasks, stored in one step.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use sqlx::{query, query_as};
use tidemill_kernel::{Id, TenantName, Timestamp};
use tidemill_store::content::{Appended, Document, MatchedDocument, NewMatch};
use tidemill_store::{Error, Result};
use uuid::Uuid;

use super::lookup::row_of_key;
use super::matches::{self, Candidate};
use super::row::{DocumentRow, document_columns};
use super::words::Words;
use crate::ledger::Content;
use crate::reader::Source;
use crate::task::{id, uuid};
use crate::writer::{Outcome, Step, Write};

/// One caller's documents.
pub(super) struct AppendDocuments {
    tenant: TenantName,
    documents: Vec<MatchedDocument>,
    query_version: i64,
    now: Timestamp,
}

impl AppendDocuments {
    pub(super) fn new(
        tenant: TenantName,
        documents: Vec<MatchedDocument>,
        query_version: i64,
        now: Timestamp,
    ) -> Self {
        let clean = |row: MatchedDocument| MatchedDocument {
            document: row.document.cleaned(),
            matches: row
                .matches
                .into_iter()
                .map(|new| NewMatch { task: new.task.cleaned(), ..new })
                .collect(),
        };
        Self { tenant, documents: documents.into_iter().map(clean).collect(), query_version, now }
    }

    async fn run_one(&self, step: &mut Step<'_>) -> Outcome<Vec<Appended>> {
        let tenant = step.tenant(&self.tenant).await?;
        let version = query_as::<_, (i64,)>("SELECT query_version FROM tenants WHERE id = $1 FOR SHARE");
        let (present,) = step.row(version.bind(tenant)).await?.unwrap_or_default();
        if present != self.query_version {
            return Err(Error::StaleQueries { given: self.query_version, present }.into());
        }
        if self.documents.is_empty() {
            return Ok(Vec::new());
        }
        let stored = insert(tenant, &self.documents, self.now, step).await?;
        let candidates = stored.iter().zip(&self.documents).enumerate().flat_map(|(row, (stored, sent))| {
            sent.matches.iter().map(move |new| Candidate {
                row,
                document: stored.number,
                is_new: !stored.old,
                new,
            })
        });
        let new_matches = matches::insert(&self.tenant, tenant, candidates.collect(), self.now, step).await?;
        let mut appended: Vec<Appended> =
            stored.iter().map(|stored| Appended { duplicate: stored.duplicate, new_matches: 0 }).collect();
        for row in &new_matches {
            appended[*row].new_matches += 1;
        }
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let documents = appended.iter().filter(|row| !row.duplicate).count();
        step.changes.content(tenant, Content::Documents, count(documents));
        step.changes.content(tenant, Content::Matches, count(new_matches.len()));
        Ok(appended)
    }
}

#[async_trait]
impl Write for AppendDocuments {
    type Output = Vec<Appended>;

    async fn run(calls: &[Self], step: &mut Step<'_>) -> Outcome<Vec<Vec<Appended>>> {
        let mut appended = Vec::with_capacity(calls.len());
        for call in calls {
            appended.push(call.run_one(step).await?);
        }
        Ok(appended)
    }
}

/// Where a document of the batch is stored.
struct Stored {
    number: i64,
    /// Whether it was there before this row.
    duplicate: bool,
    /// Whether it was there before this batch.
    old: bool,
}

/// Batches insert in the order of ids, so that two with the same documents wait for each other in turn.
const INSERT: &str = "
    INSERT INTO documents (tenant_id, id, document_id, source, external_id, url, title, body, published_at, ingested_at,
                           title_words, words, unindexed)
    SELECT $1, s.id, s.document_id, s.source, s.external_id, s.url, s.title, s.body, s.published_at, $2,
           s.title_words::tsvector, s.words::tsvector, s.unindexed
    FROM unnest($3::bigint[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bigint[],
                $11::text[], $12::text[], $13::boolean[])
        AS s (id, document_id, source, external_id, url, title, body, published_at, title_words, words, unindexed)
    ORDER BY s.document_id
    ON CONFLICT DO NOTHING";

/// Inserts the documents that are new, with their words.
async fn insert(
    tenant: i64,
    rows: &[MatchedDocument],
    now: Timestamp,
    step: &mut Step<'_>,
) -> Outcome<Vec<Stored>> {
    let given = take_numbers(rows.len(), step).await?;
    let mut seen = HashSet::with_capacity(rows.len());
    let sent: Vec<(i64, &Document)> = given
        .iter()
        .zip(rows)
        .filter(|(_, row)| seen.insert(row.document.id))
        .map(|(number, row)| (*number, &row.document))
        .collect();
    let stored = insert_rows(tenant, &sent, now, step).await?;
    let numbers = if usize::try_from(stored) == Ok(rows.len()) {
        sent.iter().map(|(number, document)| (document.id, *number)).collect()
    } else {
        numbers(tenant, seen, step).await?
    };
    let ours: HashSet<i64> = given.iter().copied().collect();
    let place = |(number, row): (&i64, &MatchedDocument)| {
        let there = *numbers.get(&row.document.id)?;
        Some(Stored { number: there, duplicate: there != *number, old: !ours.contains(&there) })
    };
    let stored: Option<Vec<Stored>> = given.iter().zip(rows).map(place).collect();
    Ok(stored.ok_or_else(|| Error::Internal("a document that was stored is not there".to_owned()))?)
}

/// Numbers for documents, in rising order.
async fn take_numbers(count: usize, step: &mut Step<'_>) -> Outcome<Vec<i64>> {
    let taken =
        query_as::<_, (i64,)>("SELECT nextval('document_numbers') FROM generate_series(1, $1::bigint)");
    let taken = step.rows(taken.bind(i64::try_from(count).unwrap_or(i64::MAX))).await?;
    Ok(taken.into_iter().map(|(number,)| number).collect())
}

async fn insert_rows(
    tenant: i64,
    sent: &[(i64, &Document)],
    now: Timestamp,
    step: &mut Step<'_>,
) -> Outcome<u64> {
    fn column<'a, T>(sent: &[(i64, &'a Document)], value: impl Fn(&'a Document) -> T) -> Vec<T> {
        sent.iter().map(|(_, document)| value(document)).collect()
    }
    let words: Vec<Words> = sent.iter().map(|(_, document)| Words::of(tenant, document)).collect();
    let insert = query(INSERT)
        .bind(tenant)
        .bind(now.as_micros())
        .bind(sent.iter().map(|(number, _)| *number).collect::<Vec<_>>())
        .bind(column(sent, |document| uuid(document.id)))
        .bind(column(sent, |document| document.source.as_str()))
        .bind(column(sent, |document| document.external_id.as_str()))
        .bind(column(sent, |document| document.url.as_str()))
        .bind(column(sent, |document| document.title.as_str()))
        .bind(column(sent, |document| document.body.as_str()))
        .bind(column(sent, |document| document.published_at.map(Timestamp::as_micros)))
        .bind(words.iter().map(|words| words.title.as_str()).collect::<Vec<_>>())
        .bind(words.iter().map(|words| words.all.as_str()).collect::<Vec<_>>())
        .bind(words.iter().map(|words| words.too_many).collect::<Vec<_>>());
    step.execute(insert).await
}

/// The numbers of documents that are there, locked so that nobody else adds a match of one.
async fn numbers(tenant: i64, ids: HashSet<Id>, step: &mut Step<'_>) -> Outcome<HashMap<Id, i64>> {
    let found = query_as::<_, (Uuid, i64)>(concat!(
        "SELECT d.document_id, d.id FROM unnest($2::uuid[]) AS e (document_id) CROSS JOIN LATERAL ",
        row_of_key!(
            "document_id, id",
            "documents",
            "tenant_id = $1",
            "document_id",
            "e.document_id",
            "FOR NO KEY UPDATE"
        ),
        " d"
    ));
    let mut ids: Vec<Uuid> = ids.into_iter().map(uuid).collect();
    // The order in which they are locked.
    ids.sort_unstable();
    let found = found.bind(tenant).bind(ids);
    Ok(step.rows(found).await?.into_iter().map(|(document, number)| (id(document), number)).collect())
}

/// Documents by id.
pub(super) async fn read(source: &Source, tenant: &TenantName, ids: &[Id]) -> Result<Vec<Document>> {
    let mut ids: Vec<Uuid> = ids.iter().copied().map(uuid).collect();
    ids.sort_unstable();
    ids.dedup();
    let rows = || {
        query_as::<_, DocumentRow>(concat!(
            "SELECT ",
            document_columns!("d.body"),
            " FROM unnest($2::uuid[]) AS e (document_id) CROSS JOIN LATERAL ",
            row_of_key!(
                "*",
                "documents",
                "tenant_id = (SELECT id FROM tenants WHERE name = $1)",
                "document_id",
                "e.document_id"
            ),
            " d"
        ))
        .bind(tenant.as_str())
        .bind(&ids)
    };
    Ok(source.rows(rows).await?.into_iter().map(DocumentRow::decode).collect())
}
