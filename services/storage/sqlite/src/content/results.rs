//! Results: matches with their documents and analyses, read along an index from the last one shown.

use serde::Deserialize;
use sqlx::query;
use tidemill_kernel::{Page, PageRequest, TenantName, Timestamp};
use tidemill_store::content::{Document, Found};
use tidemill_store::{Error, Result, token};

use super::row::{AnalysisRow, DocumentRow, analysis_json, document_json};
use crate::reader::{Readers, Statement};

/// Number, time, query, document, analysis; the score beside it.
macro_rules! found {
    () => {
        concat!(
            "SELECT json_array(m.id, m.matched_at, q.name, ",
            document_json!("''"),
            ", CASE WHEN a.match IS NULL THEN NULL ELSE ",
            analysis_json!(),
            " END), m.score
            FROM matches m CROSS JOIN queries q ON q.id = m.query CROSS JOIN documents d ON d.id = m.document
            LEFT JOIN analyses a ON a.match = m.id "
        )
    };
}

#[derive(Deserialize)]
struct FoundRow(i64, Timestamp, String, DocumentRow, Option<AnalysisRow>);

/// Results of one query, best first, equal ones in the order of storing.
pub(super) async fn best(
    readers: &Readers,
    tenant: &TenantName,
    name: &str,
    page: PageRequest,
) -> Result<Page<Found>> {
    let scope = ["results", tenant.as_str(), name];
    let after: Option<(i64, i64)> = token::decode(&scope, &page.token)?;
    let number = query(
        "SELECT json_quote(q.id) FROM tenants n JOIN queries q ON q.tenant_id = n.id WHERE n.name = ?1 AND q.name = ?2",
    );
    let number: Option<i64> = readers.row(number.bind(tenant.as_str()).bind(name)).await?;
    let number = number.ok_or_else(|| Error::NotFound { what: "query", name: name.to_owned() })?;
    let (bits, id) = after.unwrap_or((f64::INFINITY.to_bits().cast_signed(), 0));
    let rows = query(concat!(
        found!(),
        "WHERE m.query = ?1 AND m.score <= ?2 AND NOT (m.score = ?2 AND m.id <= ?3)
         ORDER BY m.score DESC, m.id LIMIT ?4"
    ));
    let rows = rows.bind(number).bind(f64::from_bits(bits.cast_unsigned())).bind(id);
    let rows = read(readers, rows, &page).await?;
    let key = |(id, found): &(i64, Found)| token::encode(&scope, &(found.score.to_bits().cast_signed(), *id));
    Ok(Page::cut(rows, page.size, key).map(|(_, found)| found))
}

/// Results of all queries, newest first, of equal ones the last stored first.
pub(super) async fn newest(readers: &Readers, tenant: &TenantName, page: PageRequest) -> Result<Page<Found>> {
    let scope = ["results", tenant.as_str()];
    let after: Option<(i64, i64)> = token::decode(&scope, &page.token)?;
    let (time, id) = after.unwrap_or((i64::MAX, i64::MAX));
    let rows = query(concat!(
        found!(),
        "WHERE m.tenant_id = (SELECT id FROM tenants WHERE name = ?1)
           AND m.matched_at <= ?2 AND NOT (m.matched_at = ?2 AND m.id >= ?3)
         ORDER BY m.matched_at DESC, m.id DESC LIMIT ?4"
    ));
    let rows = read(readers, rows.bind(tenant.as_str()).bind(time).bind(id), &page).await?;
    let key = |(id, found): &(i64, Found)| token::encode(&scope, &(found.matched_at.as_micros(), *id));
    Ok(Page::cut(rows, page.size, key).map(|(_, found)| found))
}

/// One more than the page has, each with its number.
async fn read(readers: &Readers, rows: Statement<'_>, page: &PageRequest) -> Result<Vec<(i64, Found)>> {
    let rows = readers.scored(rows.bind(i64::from(page.size) + 1)).await?;
    let found = |(FoundRow(id, matched_at, query, document, analysis), score)| {
        let document: Document = document.decode();
        (id, Found { query, document, score, matched_at, analysis: analysis.map(AnalysisRow::decode) })
    };
    Ok(rows.into_iter().map(found).collect())
}
