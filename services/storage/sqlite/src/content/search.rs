//! Full-text search, in the order of the port: those with all terms in their title, then the others, each newest first.
//!
//! Both are walks down the index from the last hit shown, so a page costs what it shows, not what there is.

use std::fmt::Write;

use serde::Deserialize;
use tidemill_kernel::{Page, PageRequest, TenantName};
use tidemill_store::content::Hit;
use tidemill_store::search::{self, Term};
use tidemill_store::{Result, token};

use super::row::{DocumentRow, document_json};
use crate::reader::{PageRows, Readers};
use crate::statement::json;
use crate::statement::query;

#[derive(Deserialize)]
struct HitRow(i64, DocumentRow, String);

/// A page of hits.
pub(super) async fn search(
    readers: &Readers,
    tenant: &TenantName,
    text: &str,
    page: PageRequest,
) -> Result<Page<Hit>> {
    let scope = ["search", tenant.as_str(), text];
    let after: Option<(bool, i64)> = token::decode(&scope, &page.token)?;
    let terms = all(&search::parse(text)?);
    let number = query("SELECT json_quote(id) FROM tenants WHERE name = ?1").bind(tenant.as_str());
    let Some(number): Option<i64> = readers.row(number).await? else {
        return Ok(Page { items: Vec::new(), next_token: String::new() });
    };
    // The tenant's number is a word of the index, in a column of its own.
    let in_title = format!("tenant : \"{number}\" AND ({{title}} : ({terms}))");
    let below =
        format!("(tenant : \"{number}\" AND ({{title body}} : ({terms}))) NOT ({{title}} : ({terms}))");
    let mut read = PageRows::new(page.size);
    let (is_below, before) = after.unwrap_or((false, i64::MAX));
    if !is_below {
        let rows = query(FIND).bind(in_title).bind(before).bind(read.missing());
        read.read(readers, rows, |row| Ok((false, json(row)?))).await?;
    }
    if read.missing() > 0 {
        let before = if is_below { before } else { i64::MAX };
        let rows = query(FIND).bind(below).bind(before).bind(read.missing());
        read.read(readers, rows, |row| Ok((true, json(row)?))).await?;
    }
    let page = read.cut(|(below, HitRow(id, ..))| token::encode(&scope, &(*below, *id)));
    Ok(page.map(|(_, HitRow(_, document, snippet))| Hit { document: document.decode(), snippet }))
}

const FIND: &str = concat!(
    "SELECT json_array(d.id, ",
    document_json!("''"),
    ", snippet(search, 2, '', '', '…', 24))
     FROM search CROSS JOIN documents d ON d.id = search.rowid
     WHERE search MATCH ?1 AND search.rowid < ?2 ORDER BY search.rowid DESC LIMIT ?3"
);

/// The terms as an FTS5 expression. Quoted, nothing in a word can be read as an operator; a word is letters and digits,
/// so it holds no quotation mark.
fn all(terms: &[Term]) -> String {
    let mut expression = String::new();
    for term in terms {
        let start = if expression.is_empty() { "" } else { " AND " };
        let star = if term.prefix { " *" } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(expression, "{start}\"{}\"{star}", term.words.join(" "));
    }
    expression
}
