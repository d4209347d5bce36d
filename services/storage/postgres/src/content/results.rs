//! Results: matches with their documents and analyses, read along an index from the last one shown. Those that are
//! equal to it come first, then those behind, so that a page costs what it shows however many are equal.

use sqlx::query_as;
use tidemill_kernel::{Page, PageRequest, TenantName};
use tidemill_store::content::Found;
use tidemill_store::text::clean;
use tidemill_store::{Error, Result, token};

use super::lookup::row_of_key;
use super::row::{FoundRow, document_columns};
use crate::page::PageRows;
use crate::reader::Source;

/// Results of a page of matches, in their order.
macro_rules! found {
    ($which:literal, $order:literal) => {
        concat!(
            "SELECT m.id AS match_id, m.matched_at, m.score, q.name AS query, ",
            document_columns!("''"),
            ", a.recipe, a.output, a.provider, a.model, a.input_tokens, a.output_tokens, a.created_at
             FROM (SELECT * FROM matches ",
            $which,
            ") m CROSS JOIN LATERAL (SELECT name FROM queries WHERE id = m.query OFFSET 0) q CROSS JOIN LATERAL ",
            row_of_key!("*", "documents", "tenant_id = m.tenant_id", "id", "m.document"),
            " d LEFT JOIN LATERAL ",
            row_of_key!("*", "analyses", "tenant_id = m.tenant_id", "match", "m.id"),
            " a ON true
             ORDER BY ",
            $order
        )
    };
}

const EQUAL: &str = found!(
    "WHERE tenant_id = $1 AND query = $2 AND score = $3 AND id > $4 ORDER BY score DESC, id LIMIT $5",
    "m.score DESC, m.id"
);
const BELOW: &str = found!(
    "WHERE tenant_id = $1 AND query = $2 AND score < $3 ORDER BY score DESC, id LIMIT $4",
    "m.score DESC, m.id"
);
const NEWEST: &str = found!(
    "WHERE tenant_id = (SELECT id FROM tenants WHERE name = $1) AND (matched_at, id) < ($2, $3)
     ORDER BY matched_at DESC, id DESC LIMIT $4",
    "m.matched_at DESC, m.id DESC"
);

/// Results of one query, best first, equal ones in the order of storing.
pub(super) async fn best(
    source: &Source,
    tenant: &TenantName,
    name: &str,
    page: PageRequest,
) -> Result<Page<Found>> {
    let scope = ["results", tenant.as_str(), name];
    let after: Option<(i64, i64)> = token::decode(&scope, &page.token)?;
    let cleaned = clean(name.to_owned());
    let numbers = || {
        query_as::<_, (i64, i64)>(
            "SELECT n.id, q.id FROM tenants n JOIN queries q ON q.tenant_id = n.id WHERE n.name = $1 AND q.name = $2",
        )
        .bind(tenant.as_str())
        .bind(&cleaned)
    };
    let missing = || Error::NotFound { what: "query", name: name.to_owned() };
    let (tenant, query) = source.row(numbers).await?.ok_or_else(missing)?;
    let mut read = PageRows::new(page.size, FoundRow::bytes);
    let mut below = f64::INFINITY;
    if let Some((bits, id)) = after {
        below = f64::from_bits(bits.cast_unsigned());
        let rows = |missing| query_as(EQUAL).bind(tenant).bind(query).bind(below).bind(id).bind(missing);
        source.fill(&mut read, rows).await?;
    }
    source
        .fill(&mut read, |missing| query_as(BELOW).bind(tenant).bind(query).bind(below).bind(missing))
        .await?;
    let key = |row: &FoundRow| (row.score.to_bits().cast_signed(), row.match_id);
    Ok(read.cut(|last| token::encode(&scope, &key(last))).map(FoundRow::decode))
}

/// Results of all queries, newest first, of equal ones the last stored first.
pub(super) async fn newest(source: &Source, tenant: &TenantName, page: PageRequest) -> Result<Page<Found>> {
    let scope = ["results", tenant.as_str()];
    let before: Option<(i64, i64)> = token::decode(&scope, &page.token)?;
    let (time, id) = before.unwrap_or((i64::MAX, i64::MAX));
    let mut read = PageRows::new(page.size, FoundRow::bytes);
    let rows = |missing| query_as(NEWEST).bind(tenant.as_str()).bind(time).bind(id).bind(missing);
    source.fill(&mut read, rows).await?;
    let key = |row: &FoundRow| (row.matched_at, row.match_id);
    Ok(read.cut(|last| token::encode(&scope, &key(last))).map(FoundRow::decode))
}
