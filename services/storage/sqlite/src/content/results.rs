//! Results: matches with their documents and analyses, read along an index from the last one shown: first those that
//! are equal to it, then those behind, so that a page costs what it shows however many are equal.

use serde::Deserialize;
use tidemill_kernel::{Page, PageRequest, TenantName, Timestamp};
use tidemill_store::content::Found;
use tidemill_store::{Error, Result, token};

use super::row::{AnalysisRow, DocumentRow, analysis_json, document_json};
use crate::reader::{PageRows, Readers};
use crate::statement::query;
use crate::statement::scored;

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
    let mut read = PageRows::new(page.size);
    if let Some((bits, id)) = after {
        let score = f64::from_bits(bits.cast_unsigned());
        let rows = query(concat!(
            found!(),
            "WHERE m.query = ?1 AND m.score = ?2 AND m.id > ?3 ORDER BY m.id LIMIT ?4"
        ));
        let rows = rows.bind(number).bind(score).bind(id).bind(read.missing());
        read.read(readers, rows, scored::<FoundRow>).await?;
    }
    if read.missing() > 0 {
        let below = after.map_or(f64::INFINITY, |(bits, _)| f64::from_bits(bits.cast_unsigned()));
        let rows = query(concat!(
            found!(),
            "WHERE m.query = ?1 AND m.score < ?2 ORDER BY m.score DESC, m.id LIMIT ?3"
        ));
        let rows = rows.bind(number).bind(below).bind(read.missing());
        read.read(readers, rows, scored::<FoundRow>).await?;
    }
    let key = |(FoundRow(id, ..), score): &(FoundRow, f64)| (score.to_bits().cast_signed(), *id);
    Ok(read.cut(|last| token::encode(&scope, &key(last))).map(found))
}

/// Results of all queries, newest first, of equal ones the last stored first.
pub(super) async fn newest(readers: &Readers, tenant: &TenantName, page: PageRequest) -> Result<Page<Found>> {
    let scope = ["results", tenant.as_str()];
    let after: Option<(i64, i64)> = token::decode(&scope, &page.token)?;
    let mut read = PageRows::new(page.size);
    if let Some((time, id)) = after {
        let rows = query(concat!(
            found!(),
            "WHERE m.tenant_id = (SELECT id FROM tenants WHERE name = ?1) AND m.matched_at = ?2 AND m.id < ?3
             ORDER BY m.id DESC LIMIT ?4"
        ));
        let rows = rows.bind(tenant.as_str()).bind(time).bind(id).bind(read.missing());
        read.read(readers, rows, scored::<FoundRow>).await?;
    }
    if read.missing() > 0 {
        let rows = query(concat!(
            found!(),
            "WHERE m.tenant_id = (SELECT id FROM tenants WHERE name = ?1) AND m.matched_at < ?2
             ORDER BY m.matched_at DESC, m.id DESC LIMIT ?3"
        ));
        let before = after.map_or(i64::MAX, |(time, _)| time);
        let rows = rows.bind(tenant.as_str()).bind(before).bind(read.missing());
        read.read(readers, rows, scored::<FoundRow>).await?;
    }
    let key = |(FoundRow(id, time, ..), _): &(FoundRow, f64)| (time.as_micros(), *id);
    Ok(read.cut(|last| token::encode(&scope, &key(last))).map(found))
}

fn found((row, score): (FoundRow, f64)) -> Found {
    let FoundRow(_, matched_at, query, document, analysis) = row;
    let (document, analysis) = (document.decode(), analysis.map(AnalysisRow::decode));
    Found { query, document, score, matched_at, analysis }
}
