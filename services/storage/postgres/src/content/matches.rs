//! Matches of a batch of documents, with the tasks that analyse them.

use std::collections::{HashMap, HashSet};

use sqlx::{query, query_as};
use tidemill_kernel::{Id, TenantName, Timestamp};
use tidemill_store::Error;
use tidemill_store::content::NewMatch;
use uuid::Uuid;

use super::lookup::row_of_key;
use crate::task::{self, NewRow, id, uuid};
use crate::writer::{Outcome, Step};

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

/// Inserts the matches that are new, and their tasks. The row of the batch of each. The tenant's queries and the
/// documents that were there before are locked.
pub(super) async fn insert<'a>(
    name: &TenantName,
    tenant: i64,
    candidates: Vec<Candidate<'a>>,
    now: Timestamp,
    step: &mut Step<'_>,
) -> Outcome<Vec<usize>> {
    if candidates.is_empty() {
        return Ok(Vec::new());
    }
    let queries = queries(tenant, &candidates, step).await?;
    let mut numbered = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        let query = candidate.new.query_id;
        let missing = || Error::NotFound { what: "query", name: query.to_string() };
        numbered.push((*queries.get(&query).ok_or_else(missing)?, candidate));
    }
    let mut seen = present(tenant, &numbered, step).await?;
    numbered.retain(|(query, candidate)| seen.insert((*query, candidate.document)));
    let new = |(_, candidate): &(i64, Candidate<'a>)| NewRow::new(name, tenant, &candidate.new.task, now);
    let tasks: Vec<NewRow<'_>> = numbered.iter().map(new).collect();
    let tasks = task::insert(&tasks, step).await?;
    let (mut numbers, mut documents, mut scores, mut places) = (vec![], vec![], vec![], vec![]);
    for ((query, candidate), task) in numbered.iter().zip(&tasks) {
        numbers.push(*query);
        documents.push(candidate.document);
        scores.push(if candidate.new.score.is_finite() { candidate.new.score } else { 0.0 });
        places.push((!task.duplicate).then(|| task.id.place()));
    }
    let insert = query(
        "INSERT INTO matches (tenant_id, id, query, document, score, matched_at, task)
         SELECT $5, nextval('match_numbers'), s.* FROM (
             SELECT query, document, score, $6::bigint, task
             FROM unnest($1::bigint[], $2::bigint[], $3::double precision[], $4::bigint[]) WITH ORDINALITY
                 AS s (query, document, score, task, number) ORDER BY number
         ) s",
    );
    let insert = insert.bind(numbers).bind(documents).bind(scores).bind(places);
    step.execute(insert.bind(tenant).bind(now.as_micros())).await?;
    Ok(numbered.into_iter().map(|(_, candidate)| candidate.row).collect())
}

/// The numbers of the queries named.
async fn queries(
    tenant: i64,
    candidates: &[Candidate<'_>],
    step: &mut Step<'_>,
) -> Outcome<HashMap<Id, i64>> {
    let ids: HashSet<Uuid> = candidates.iter().map(|candidate| uuid(candidate.new.query_id)).collect();
    let found = query_as::<_, (Uuid, i64)>(concat!(
        "SELECT q.query_id, q.id FROM unnest($2::uuid[]) AS e (query_id) CROSS JOIN LATERAL ",
        row_of_key!("query_id, id", "queries", "tenant_id = $1", "query_id", "e.query_id"),
        " q"
    ));
    let found = found.bind(tenant).bind(ids.into_iter().collect::<Vec<_>>());
    Ok(step.rows(found).await?.into_iter().map(|(query, number)| (id(query), number)).collect())
}

/// Which matches, by query and document, are there already. Only old documents can have any.
async fn present(
    tenant: i64,
    candidates: &[(i64, Candidate<'_>)],
    step: &mut Step<'_>,
) -> Outcome<HashSet<(i64, i64)>> {
    let old = candidates.iter().filter(|(_, candidate)| !candidate.is_new);
    let (queries, documents): (Vec<i64>, Vec<i64>) =
        old.map(|(query, candidate)| (*query, candidate.document)).unzip();
    if queries.is_empty() {
        return Ok(HashSet::new());
    }
    let found = query_as::<_, (i64, i64)>(concat!(
        "SELECT m.query, m.document FROM unnest($2::bigint[], $3::bigint[]) AS e (query, document) CROSS JOIN LATERAL ",
        row_of_key!(
            "query, document",
            "matches",
            "tenant_id = $1 AND query = e.query",
            "document",
            "e.document"
        ),
        " m"
    ));
    Ok(step.rows(found.bind(tenant).bind(queries).bind(documents)).await?.into_iter().collect())
}
