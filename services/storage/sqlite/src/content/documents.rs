//! Documents with their matches and tasks, stored in one step.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use tidemill_kernel::{Id, TenantName, Timestamp};
use tidemill_store::content::{Appended, Document, MatchedDocument, NewMatch};
use tidemill_store::{Error, Result};

use super::matches::{self, Candidate};
use super::row::{DocumentRow, document_json};
use crate::reader::Readers;
use crate::statement::query;
use crate::writer::{Step, Write, encode};

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

    fn run_one(&self, step: &mut Step<'_>) -> Result<Vec<Appended>> {
        let tenant = step.tenant(&self.tenant)?;
        let version = query("SELECT json_quote(query_version) FROM tenants WHERE id = ?1").bind(tenant);
        let present = step.row(version)?.unwrap_or(0);
        if present != self.query_version {
            return Err(Error::StaleQueries { given: self.query_version, present });
        }
        if self.documents.is_empty() {
            return Ok(Vec::new());
        }
        let stored = insert(tenant, &self.documents, self.now, step)?;
        let candidates = stored.iter().zip(&self.documents).enumerate().flat_map(|(row, (stored, sent))| {
            sent.matches.iter().map(move |new| Candidate {
                row,
                document: stored.number,
                is_new: !stored.old,
                new,
            })
        });
        let new_matches = matches::insert(tenant, candidates.collect(), self.now, step)?;
        let mut appended: Vec<Appended> =
            stored.iter().map(|stored| Appended { duplicate: stored.duplicate, new_matches: 0 }).collect();
        for row in &new_matches {
            appended[*row].new_matches += 1;
        }
        let documents = appended.iter().filter(|row| !row.duplicate).count();
        count(tenant, documents, new_matches.len(), step)?;
        Ok(appended)
    }
}

impl Write for AppendDocuments {
    type Output = Vec<Appended>;

    fn bytes(&self) -> usize {
        let size = |row: &MatchedDocument| {
            300 + row.document.title.len() + row.document.body.len() + 500 * row.matches.len()
        };
        self.documents.iter().map(size).sum()
    }

    fn run(calls: &[Self], step: &mut Step<'_>) -> Result<Vec<Vec<Appended>>> {
        let mut appended = Vec::with_capacity(calls.len());
        for call in calls {
            appended.push(call.run_one(step)?);
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

#[derive(Serialize)]
struct Sent<'a>(i64, Id, &'a str, &'a str, &'a str, &'a str, &'a str, Option<Timestamp>);

/// Inserts the documents that are new, with their words.
fn insert(tenant: i64, rows: &[MatchedDocument], now: Timestamp, step: &mut Step<'_>) -> Result<Vec<Stored>> {
    let before = step.take_documents(rows.len());
    let mut seen = HashSet::with_capacity(rows.len());
    let mut sent = Vec::with_capacity(rows.len());
    for (number, MatchedDocument { document, .. }) in (before + 1..).zip(rows) {
        if seen.insert(document.id) {
            let Document { id, source, external_id, url, title, body, published_at, .. } = document;
            sent.push(Sent(number, *id, source, external_id, url, title, body, *published_at));
        }
    }
    let insert = query(INSERT).bind(encode(&sent)?).bind(tenant).bind(now.as_micros());
    let stored = step.execute(insert)?;
    let numbers = if usize::try_from(stored) == Ok(rows.len()) {
        rows.iter().map(|row| row.document.id).zip(before + 1..).collect()
    } else {
        numbers(tenant, &seen, step)?
    };
    if stored > 0 {
        step.execute(query(INDEX).bind(before))?;
    }
    let place = |(number, row): (i64, &MatchedDocument)| {
        let there = *numbers.get(&row.document.id)?;
        Some(Stored { number: there, duplicate: there != number, old: there <= before })
    };
    let stored: Option<Vec<Stored>> = (before + 1..).zip(rows).map(place).collect();
    stored.ok_or_else(|| Error::Internal("a document that was stored is not there".to_owned()))
}

const INSERT: &str = "
    INSERT INTO documents (id, tenant_id, document_id, source, external_id, url, title, body, published_at, ingested_at)
    SELECT json_extract(value, '$[0]'), ?2, unhex(json_extract(value, '$[1]'), '-'), json_extract(value, '$[2]'),
           json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]'),
           json_extract(value, '$[6]'), json_extract(value, '$[7]'), ?3
    FROM jsonb_each(?1) WHERE true
    ON CONFLICT DO NOTHING";

const INDEX: &str = "
    INSERT INTO search (rowid, tenant, title, body)
    SELECT id, tenant_id, title, body FROM documents WHERE id > ?1";

/// The numbers of documents that are there.
fn numbers(tenant: i64, ids: &HashSet<Id>, step: &mut Step<'_>) -> Result<HashMap<Id, i64>> {
    let found = query(
        "SELECT json_group_array(json_array(hex(d.document_id), d.id)) FROM jsonb_each(?1) e
         CROSS JOIN documents d ON d.tenant_id = ?2 AND d.document_id = unhex(e.value, '-')",
    );
    let found: Option<Vec<(Id, i64)>> = step.row(found.bind(encode(ids)?).bind(tenant))?;
    Ok(found.unwrap_or_default().into_iter().collect())
}

fn count(tenant: i64, documents: usize, matches: usize, step: &mut Step<'_>) -> Result<()> {
    let count = query("UPDATE tenants SET documents = documents + ?2, matches = matches + ?3 WHERE id = ?1");
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    step.execute(count.bind(tenant).bind(number(documents)).bind(number(matches)))?;
    Ok(())
}

/// Documents by id.
pub(super) async fn read(readers: &Readers, tenant: &TenantName, ids: &[Id]) -> Result<Vec<Document>> {
    let rows = query(concat!(
        "SELECT ",
        document_json!("d.body"),
        " FROM (SELECT DISTINCT unhex(value, '-') AS id FROM json_each(?2)) e
          CROSS JOIN documents d
            ON d.tenant_id = (SELECT id FROM tenants WHERE name = ?1) AND d.document_id = e.id"
    ));
    let rows: Vec<DocumentRow> = readers.rows(rows.bind(tenant.as_str()).bind(encode(ids)?)).await?;
    Ok(rows.into_iter().map(DocumentRow::decode).collect())
}
