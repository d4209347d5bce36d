//! Analyses of matches, stored with the tasks that made them.

use sqlx::query_as;
use tidemill_kernel::{Id, Timestamp};
use tidemill_store::content::Analysis;
use uuid::Uuid;

use super::lookup::row_of_key;
use crate::ledger::Content;
use crate::task::uuid;
use crate::writer::{Outcome, Step};

/// An analysis of a match, named by its query and document.
pub(crate) struct NewAnalysis<'a> {
    pub(crate) tenant: i64,
    pub(crate) query: Id,
    pub(crate) document: Id,
    pub(crate) analysis: &'a Analysis,
    pub(crate) now: Timestamp,
}

/// Each match is locked against its removal, in the order of their numbers; the first analysis of one counts.
const ADD: &str = concat!(
    "WITH sent AS MATERIALIZED (
         SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[],
                              $8::bigint[], $9::bigint[], $10::bigint[]) WITH ORDINALITY
             AS s (tenant_id, query_id, document_id, recipe, output, provider, model, input_tokens, output_tokens,
                   created_at, number)
     ), named AS MATERIALIZED (
         SELECT s.*, m.id AS match FROM sent s CROSS JOIN LATERAL ",
    row_of_key!("id", "queries", "tenant_id = s.tenant_id", "query_id", "s.query_id"),
    " q CROSS JOIN LATERAL ",
    row_of_key!("id", "documents", "tenant_id = s.tenant_id", "document_id", "s.document_id"),
    " d CROSS JOIN LATERAL ",
    row_of_key!("id", "matches", "tenant_id = s.tenant_id AND query = q.id", "document", "d.id"),
    " m ORDER BY s.tenant_id, m.id, s.number
     ), found AS MATERIALIZED (
         SELECT n.* FROM named n CROSS JOIN LATERAL ",
    row_of_key!("id", "matches", "tenant_id = n.tenant_id", "id", "n.match", "FOR KEY SHARE"),
    " m
     ), stored AS (
         INSERT INTO analyses (tenant_id, match, recipe, output, provider, model, input_tokens, output_tokens, created_at)
         SELECT tenant_id, match, recipe, output, provider, model, input_tokens, output_tokens, created_at
         FROM found ORDER BY tenant_id, match, number
         ON CONFLICT (tenant_id, match) DO NOTHING RETURNING tenant_id
     )
     SELECT tenant_id, count(*) FROM stored GROUP BY tenant_id"
);

/// Stores the analyses of matches that are there and have none; the others are left out.
pub(crate) async fn add_analyses(analyses: &[NewAnalysis<'_>], step: &mut Step<'_>) -> Outcome<()> {
    if analyses.is_empty() {
        return Ok(());
    }
    fn column<'a, T>(rows: &'a [NewAnalysis<'a>], value: impl Fn(&'a NewAnalysis<'a>) -> T) -> Vec<T> {
        rows.iter().map(value).collect()
    }
    let add = query_as::<_, (i64, i64)>(ADD)
        .bind(column(analyses, |row| row.tenant))
        .bind::<Vec<Uuid>>(column(analyses, |row| uuid(row.query)))
        .bind::<Vec<Uuid>>(column(analyses, |row| uuid(row.document)))
        .bind(column(analyses, |row| row.analysis.recipe.as_str()))
        .bind(column(analyses, |row| row.analysis.output.as_str()))
        .bind(column(analyses, |row| row.analysis.provider.as_str()))
        .bind(column(analyses, |row| row.analysis.model.as_str()))
        .bind(column(analyses, |row| row.analysis.input_tokens))
        .bind(column(analyses, |row| row.analysis.output_tokens))
        .bind(column(analyses, |row| row.now.as_micros()));
    for (tenant, count) in step.rows(add).await? {
        step.changes.content(tenant, Content::Analyses, count);
    }
    Ok(())
}
