//! Matches of a batch of documents, with the tasks that analyse them.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use tidemill_kernel::{Id, Timestamp};
use tidemill_store::content::NewMatch;
use tidemill_store::{Error, Result};

use crate::statement::query;
use crate::task::{self, NewRow};
use crate::writer::{Step, encode};

/// A match that may be there already.
pub(super) struct Candidate<'a> {
    /// The row of the batch that it came with.
    pub(super) row: usize,
    /// The document's number.
    pub(super) document: i64,
    /// Whether the document is new, so that there can be no match of it.
    pub(super) is_new: bool,
    pub(super) new: &'a NewMatch,
}

#[derive(Serialize)]
struct Sent(i64, i64, f64, Option<i64>);

/// Inserts the matches that are new, and their tasks. The row of the batch of each.
pub(super) fn insert(
    tenant: i64,
    candidates: Vec<Candidate<'_>>,
    now: Timestamp,
    step: &mut Step<'_>,
) -> Result<Vec<usize>> {
    if candidates.is_empty() {
        return Ok(Vec::new());
    }
    let queries = queries(tenant, &candidates, step)?;
    let numbered = |candidate| number(&queries, candidate);
    let candidates: Vec<(i64, Candidate<'_>)> =
        candidates.into_iter().map(numbered).collect::<Result<_>>()?;
    let mut seen = present(&candidates, step)?;
    let mut new = Vec::with_capacity(candidates.len());
    for (query, candidate) in candidates {
        if seen.insert((query, candidate.document)) {
            new.push((query, candidate));
        }
    }
    let tasks: Vec<NewRow<'_>> =
        new.iter().map(|(_, candidate)| NewRow { tenant, task: &candidate.new.task, now }).collect();
    let tasks = task::insert(&tasks, step)?;
    let sent = new.iter().zip(&tasks).map(|((query, candidate), task)| {
        let score = if candidate.new.score.is_finite() { candidate.new.score } else { 0.0 };
        Sent(*query, candidate.document, score, (!task.duplicate).then(|| task.id.place()))
    });
    let sent: Vec<Sent> = sent.collect();
    let insert = query(
        "INSERT INTO matches (tenant_id, query, document, score, matched_at, task)
         SELECT ?2, json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'), ?3,
                json_extract(value, '$[3]')
         FROM jsonb_each(?1)",
    );
    step.execute(insert.bind(encode(&sent)?).bind(tenant).bind(now.as_micros()))?;
    Ok(new.into_iter().map(|(_, candidate)| candidate.row).collect())
}

/// The numbers of the queries named.
fn queries(tenant: i64, candidates: &[Candidate<'_>], step: &mut Step<'_>) -> Result<HashMap<Id, i64>> {
    let ids: HashSet<Id> = candidates.iter().map(|candidate| candidate.new.query_id).collect();
    let found = query(
        "SELECT json_group_array(json_array(hex(q.query_id), q.id)) FROM jsonb_each(?1) e
         CROSS JOIN queries q ON q.tenant_id = ?2 AND q.query_id = unhex(e.value, '-')",
    );
    let found: Option<Vec<(Id, i64)>> = step.row(found.bind(encode(&ids)?).bind(tenant))?;
    Ok(found.unwrap_or_default().into_iter().collect())
}

fn number<'a>(queries: &HashMap<Id, i64>, candidate: Candidate<'a>) -> Result<(i64, Candidate<'a>)> {
    let id = candidate.new.query_id;
    let number = queries.get(&id).ok_or_else(|| Error::NotFound { what: "query", name: id.to_string() })?;
    Ok((*number, candidate))
}

/// Which matches, by query and document, are there already. Only old documents can have any.
fn present(candidates: &[(i64, Candidate<'_>)], step: &mut Step<'_>) -> Result<HashSet<(i64, i64)>> {
    let old = candidates.iter().filter(|(_, candidate)| !candidate.is_new);
    let pairs: Vec<(i64, i64)> = old.map(|(query, candidate)| (*query, candidate.document)).collect();
    if pairs.is_empty() {
        return Ok(HashSet::new());
    }
    let found = query(
        "SELECT json_group_array(json_array(m.query, m.document)) FROM jsonb_each(?1) e CROSS JOIN matches m
           ON m.query = json_extract(e.value, '$[0]') AND m.document = json_extract(e.value, '$[1]')",
    );
    let found: Option<Vec<(i64, i64)>> = step.row(found.bind(encode(&pairs)?))?;
    Ok(found.unwrap_or_default().into_iter().collect())
}
