//! Analyses of matches, stored with the tasks that made them.

use sqlx::query_as;
use tidemill_kernel::{Id, Timestamp};
use tidemill_store::content::Analysis;
use uuid::Uuid;

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
const ADD: &str = "
    WITH sent AS MATERIALIZED (
        SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[],
                             $8::bigint[], $9::bigint[], $10::bigint[]) WITH ORDINALITY
            AS s (tenant_id, query_id, document_id, recipe, output, provider, model, input_tokens, output_tokens,
                  created_at, number)
    ), found AS MATERIALIZED (
        SELECT m.id, s.number FROM sent s
        JOIN queries q ON q.tenant_id = s.tenant_id AND q.query_id = s.query_id
        JOIN documents d ON d.tenant_id = s.tenant_id AND d.document_id = s.document_id
        JOIN matches m ON m.tenant_id = s.tenant_id AND m.query = q.id AND m.document = d.id
        ORDER BY m.tenant_id, m.id, s.number FOR KEY SHARE OF m
    ), stored AS (
        INSERT INTO analyses (tenant_id, match, recipe, output, provider, model, input_tokens, output_tokens, created_at)
        SELECT s.tenant_id, f.id, s.recipe, s.output, s.provider, s.model, s.input_tokens, s.output_tokens, s.created_at
        FROM found f JOIN sent s ON s.number = f.number ORDER BY s.tenant_id, f.id, s.number
        ON CONFLICT (tenant_id, match) DO NOTHING RETURNING tenant_id
    )
    SELECT tenant_id, count(*) FROM stored GROUP BY tenant_id";

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
