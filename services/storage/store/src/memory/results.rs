//! Results in memory: matches with their documents and analyses.

use tidemill_kernel::{Id, Page, PageRequest, TenantName, Timestamp};

use super::{Content, Match, State};
use crate::content::{Analysis, Document, Found};
use crate::page::cut;
use crate::{Error, Result, token};

impl State {
    pub(super) fn page_results(
        &self,
        tenant: &TenantName,
        query: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<Found>> {
        let scope = match query {
            Some(name) => vec!["results", tenant.as_str(), name],
            None => vec!["results", tenant.as_str()],
        };
        let after: Option<(i64, i64)> = token::decode(&scope, &page.token)?;
        let unknown = |name: &str| Error::NotFound { what: "query", name: name.to_owned() };
        let content = match (self.content(tenant), query) {
            (Some(content), _) => content,
            (None, Some(name)) => return Err(unknown(name)),
            (None, None) => return Ok(Page { items: Vec::new(), next_token: String::new() }),
        };
        let wanted = match query {
            Some(name) => Some(content.queries.get(name).ok_or_else(|| unknown(name))?.id),
            None => None,
        };
        let matches = content.matches.iter().filter(|(_, row)| wanted.is_none_or(|id| row.query == id));
        let mut rows: Vec<(&i64, &Match)> = matches.collect();
        if wanted.is_some() {
            rows.sort_by(|(left_id, left), (right_id, right)| {
                right.score.total_cmp(&left.score).then(left_id.cmp(right_id))
            });
        } else {
            rows.sort_by_key(|(id, row)| std::cmp::Reverse((row.matched_at, **id)));
        }
        let key = |id: i64, row: &Match| match wanted {
            Some(_) => (row.score.to_bits().cast_signed(), id),
            None => (row.matched_at.as_micros(), id),
        };
        let behind = |row: &Match, id: i64, (first, last): (i64, i64)| match wanted {
            Some(_) => {
                let score = f64::from_bits(first.cast_unsigned());
                row.score < score || (row.score.total_cmp(&score).is_eq() && id > last)
            }
            None => (row.matched_at, id) < (Timestamp::from_micros(first), last),
        };
        rows.retain(|(id, row)| after.is_none_or(|after| behind(row, **id, after)));
        let found = rows.into_iter().take(page.size as usize + 1);
        let found = found.filter_map(|(id, row)| Some((key(*id, row), content.found(row)?))).collect();
        let page = cut(found, page.size, |(_, found)| bytes(found), |(key, _)| token::encode(&scope, key));
        Ok(page.map(|(_, found)| found))
    }
}

fn bytes(found: &Found) -> usize {
    let analysis = found.analysis.as_ref().map_or(0, |analysis| analysis.output.len());
    found.document.title.len() + found.document.url.len() + analysis
}

impl Content {
    fn found(&self, row: &Match) -> Option<Found> {
        let query = self.queries.values().find(|query| query.id == row.query)?;
        let document = &self.documents[*self.document_ids.get(&row.document)?];
        Some(Found {
            query: query.name.clone(),
            document: Document { body: String::new(), ..document.clone() },
            score: row.score,
            matched_at: row.matched_at,
            analysis: row.analysis.clone(),
        })
    }

    /// Stores the analysis of a match, if there is the match and it has none.
    pub(super) fn add_analysis(&mut self, query: Id, document: Id, analysis: Analysis, now: Timestamp) {
        let id = self.match_ids.get(&(query, document));
        if let Some(row) = id.and_then(|id| self.matches.get_mut(id)) {
            row.analysis.get_or_insert(Analysis { created_at: now, ..analysis });
        }
    }
}
