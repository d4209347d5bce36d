//! Analyses of matches, stored with the tasks that made them.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use tidemill_kernel::{Id, Timestamp};
use tidemill_store::Result;
use tidemill_store::content::Analysis;

use crate::statement::query;
use crate::writer::{Step, encode};

/// An analysis of a match, named by its query and document.
pub(crate) struct NewAnalysis<'a> {
    pub(crate) tenant: i64,
    pub(crate) query: Id,
    pub(crate) document: Id,
    pub(crate) analysis: &'a Analysis,
    pub(crate) now: Timestamp,
}

#[derive(Serialize)]
struct Sent<'a>(i64, &'a str, &'a str, &'a str, &'a str, i64, i64, Timestamp);

/// Stores the analyses of matches that are there and have none; the others are left out.
pub(crate) fn add_analyses(analyses: &[NewAnalysis<'_>], step: &mut Step<'_>) -> Result<()> {
    if analyses.is_empty() {
        return Ok(());
    }
    let matches = matches(analyses, step)?;
    let (mut seen, mut counts, mut sent) = (HashSet::new(), HashMap::new(), Vec::new());
    for (index, row) in matches {
        if seen.insert(row) {
            let NewAnalysis { tenant, analysis, now, .. } = &analyses[index];
            let Analysis { recipe, output, provider, model, input_tokens, output_tokens, .. } = analysis;
            sent.push(Sent(row, recipe, output, provider, model, *input_tokens, *output_tokens, *now));
            *counts.entry(*tenant).or_insert(0_i64) += 1;
        }
    }
    let insert = query(
        "INSERT INTO analyses (match, recipe, output, provider, model, input_tokens, output_tokens, created_at)
         SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
                json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]'),
                json_extract(value, '$[6]'), json_extract(value, '$[7]')
         FROM jsonb_each(?1)",
    );
    step.execute(insert.bind(encode(&sent)?))?;
    let count = "UPDATE tenants SET analyses = analyses + ?2 WHERE id = ?1";
    for (tenant, new) in counts {
        step.execute(query(count).bind(tenant).bind(new))?;
    }
    Ok(())
}

/// The matches without an analysis, each with the index of what is to be theirs, in the order given.
fn matches(analyses: &[NewAnalysis<'_>], step: &mut Step<'_>) -> Result<Vec<(usize, i64)>> {
    let asked: Vec<(i64, Id, Id)> =
        analyses.iter().map(|row| (row.tenant, row.query, row.document)).collect();
    let found = query(
        "SELECT json_group_array(json_array(e.key, m.id)) FROM jsonb_each(?1) e
         CROSS JOIN queries q ON q.tenant_id = json_extract(e.value, '$[0]')
           AND q.query_id = unhex(json_extract(e.value, '$[1]'), '-')
         CROSS JOIN documents d ON d.tenant_id = json_extract(e.value, '$[0]')
           AND d.document_id = unhex(json_extract(e.value, '$[2]'), '-')
         CROSS JOIN matches m ON m.query = q.id AND m.document = d.id
         WHERE NOT EXISTS (SELECT 1 FROM analyses a WHERE a.match = m.id)",
    );
    let found: Option<Vec<(usize, i64)>> = step.row(found.bind(encode(&asked)?))?;
    let mut found = found.unwrap_or_default();
    found.sort_unstable();
    Ok(found)
}
