//! Full-text search, in the order of the port: those with all terms in their title, then the others, each newest first.
//!
//! The index tells which documents have all the words. Where that is not enough (phrases, words too long, documents
//! with too many words for the index) the texts of those that it found are looked at, a piece at a time until the page
//! is full.

use sqlx::query_as;
use tidemill_kernel::{Page, PageRequest, TenantName};
use tidemill_store::content::Hit;
use tidemill_store::page::cut;
use tidemill_store::search::{self, Term, fold, words};
use tidemill_store::{Result, token};

use super::row::{DocumentRow, document_columns};
use super::words::{is_exact, tsquery};
use crate::reader::Source;

/// How many documents are looked at in one go where the index alone does not tell.
const PIECE: i64 = 64;

/// A document found: whether some terms are missing in its title, its number, and what is shown of it.
type Ranked = (bool, i64, Hit);

/// A page of hits.
pub(super) async fn search(
    source: &Source,
    tenant: &TenantName,
    text: &str,
    page: PageRequest,
) -> Result<Page<Hit>> {
    let scope = ["search", tenant.as_str(), text];
    let after: Option<(bool, i64)> = token::decode(&scope, &page.token)?;
    let terms = search::parse(text)?;
    let number = || query_as::<_, (i64,)>("SELECT id FROM tenants WHERE name = $1").bind(tenant.as_str());
    let Some((tenant,)) = source.row(number).await? else {
        return Ok(Page { items: Vec::new(), next_token: String::new() });
    };
    let search = Search { source, tenant, asked: tsquery(tenant, &terms), exact: is_exact(&terms), terms };
    let (is_below, before) = after.unwrap_or((false, i64::MAX));
    let mut hits = Vec::new();
    if !is_below {
        search.read(false, before, page.size, &mut hits).await?;
    }
    let before = if is_below { before } else { i64::MAX };
    search.read(true, before, page.size, &mut hits).await?;
    let bytes = |(_, _, hit): &Ranked| hit.document.title.len() + hit.document.url.len() + hit.snippet.len();
    let page = cut(hits, page.size, bytes, |(below, number, _)| token::encode(&scope, &(*below, *number)));
    Ok(page.map(|(_, _, hit)| hit))
}

struct Search<'a> {
    source: &'a Source,
    tenant: i64,
    asked: String,
    /// Whether the index alone tells.
    exact: bool,
    terms: Vec<Term>,
}

/// Documents that may have all terms, those with all words in their title.
const TITLE: &str = concat!(
    "SELECT ",
    document_columns!("d.body"),
    ", d.unindexed FROM documents d WHERE d.tenant_id = $1 AND d.id < $3
     AND (d.title_words @@ $2::tsquery OR d.unindexed) ORDER BY d.id DESC LIMIT $4"
);

/// The same, those with all words somewhere.
const ANYWHERE: &str = concat!(
    "SELECT ",
    document_columns!("d.body"),
    ", d.unindexed FROM documents d WHERE d.tenant_id = $1 AND d.id < $3
     AND (d.words @@ $2::tsquery OR d.unindexed) AND NOT ($5 AND d.title_words @@ $2::tsquery)
     ORDER BY d.id DESC LIMIT $4"
);

#[derive(sqlx::FromRow)]
struct CandidateRow {
    #[sqlx(flatten)]
    document: DocumentRow,
    unindexed: bool,
}

impl Search<'_> {
    /// Reads hits of one group behind a number, until there are more than the page shows.
    async fn read(&self, below: bool, before: i64, size: u32, hits: &mut Vec<Ranked>) -> Result<()> {
        let mut before = before;
        while hits.len() <= size as usize {
            let missing = i64::from(size) + 1 - i64::try_from(hits.len()).unwrap_or(i64::MAX);
            let limit = if self.exact { missing.min(PIECE) } else { PIECE };
            let rows = || {
                let statement = query_as::<_, CandidateRow>(if below { ANYWHERE } else { TITLE });
                let statement =
                    statement.bind(self.tenant).bind(self.asked.as_str()).bind(before).bind(limit);
                if below { statement.bind(self.exact) } else { statement }
            };
            let rows = self.source.rows(rows).await?;
            let is_last = i64::try_from(rows.len()).is_ok_and(|read| read < limit);
            before = rows.last().map_or(before, |row| row.document.id);
            hits.extend(rows.into_iter().filter_map(|row| self.look(row, below)));
            if is_last {
                break;
            }
        }
        Ok(())
    }

    /// Whether a candidate belongs to the group; what is shown of it.
    fn look(&self, CandidateRow { document, unindexed }: CandidateRow, below: bool) -> Option<Ranked> {
        if unindexed || !self.exact {
            let title = folded(&document.title);
            let in_title = |term: &Term| term.position(&title).is_some();
            if self.terms.iter().all(in_title) == below {
                return None;
            }
            if below {
                let body = folded(&document.body);
                let is_there = |term: &Term| in_title(term) || term.position(&body).is_some();
                if !self.terms.iter().all(is_there) {
                    return None;
                }
            }
        }
        let start = self.terms.iter().find_map(|term| place(term, &document.body)).unwrap_or(0);
        let snippet = words(&document.body).skip(start.saturating_sub(4)).take(24).map(|word| word.text);
        let snippet = snippet.collect::<Vec<_>>().join(" ");
        let number = document.id;
        let mut document = document.decode();
        document.body.clear();
        Some((below, number, Hit { document, snippet }))
    }
}

fn folded(text: &str) -> Vec<String> {
    words(text).map(|word| fold(word.text)).collect()
}

/// Where in a text a term begins, by words. A single word, which is what most ask for, is looked for no further than it
/// stands.
fn place(term: &Term, text: &str) -> Option<usize> {
    let [word] = term.words.as_slice() else { return term.position(&folded(text)) };
    let wanted = fold(word);
    words(text)
        .map(|word| fold(word.text))
        .position(|word| if term.prefix { word.starts_with(&wanted) } else { word == wanted })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_term_is_placed_as_the_port_places_it(text in "[a-c é]{0,40}", asked in "\"?[a-c é]{1,6}\"?\\*?") {
            for term in search::parse(&asked).unwrap_or_default() {
                prop_assert_eq!(place(&term, &text), term.position(&folded(&text)));
            }
        }
    }
}
