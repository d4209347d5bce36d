//! Documents with their matches and tasks in memory, and the search in them.

use std::collections::HashSet;

use tidemill_kernel::{Id, Page, PageRequest, TenantName, Timestamp};

use super::{Content, Match, State};
use crate::content::{Appended, Document, Hit, MatchedDocument};
use crate::page::cut;
use crate::search::{self, Term, fold, words};
use crate::{Error, Result, token};

impl State {
    pub(super) fn append_documents(
        &mut self,
        tenant: &TenantName,
        documents: Vec<MatchedDocument>,
        query_version: i64,
        now: Timestamp,
    ) -> Result<Vec<Appended>> {
        let content = self.content_mut(tenant)?;
        if content.query_version != query_version {
            return Err(Error::StaleQueries { given: query_version, present: content.query_version });
        }
        let known: HashSet<Id> = content.queries.values().map(|query| query.id).collect();
        let mut matches = documents.iter().flat_map(|row| &row.matches);
        if let Some(new) = matches.find(|new| !known.contains(&new.query_id)) {
            return Err(Error::NotFound { what: "query", name: new.query_id.to_string() });
        }
        documents.into_iter().map(|row| self.append_document(tenant, row, now)).collect()
    }

    fn append_document(
        &mut self,
        tenant: &TenantName,
        row: MatchedDocument,
        now: Timestamp,
    ) -> Result<Appended> {
        let document = Document { ingested_at: now, ..row.document.cleaned() };
        let id = document.id;
        let content = self.content_mut(tenant)?;
        let duplicate = content.document_ids.contains_key(&id);
        if !duplicate {
            content.document_ids.insert(id, content.documents.len());
            content.documents.push(document);
        }
        let mut new_matches = 0;
        for new in row.matches {
            let key = (new.query_id, id);
            if self.content_mut(tenant)?.match_ids.contains_key(&key) {
                continue;
            }
            let task = self.append_task(tenant, new.task.cleaned(), now);
            let task = (!task.duplicate).then_some(task.id);
            let content = self.content_mut(tenant)?;
            content.last_match += 1;
            content.match_ids.insert(key, content.last_match);
            let score = if new.score.is_finite() { new.score } else { 0.0 };
            let row =
                Match { query: new.query_id, document: id, score, matched_at: now, task, analysis: None };
            content.matches.insert(content.last_match, row);
            new_matches += 1;
        }
        Ok(Appended { duplicate, new_matches })
    }

    pub(super) fn search_documents(
        &self,
        tenant: &TenantName,
        text: &str,
        page: &PageRequest,
    ) -> Result<Page<Hit>> {
        let scope = ["search", tenant.as_str(), text];
        let after: Option<(bool, i64)> = token::decode(&scope, &page.token)?;
        let terms = search::parse(text)?;
        let documents = self.content(tenant).map_or(&[][..], |content: &Content| &content.documents);
        // Those with all in the title first, each group newest first.
        let mut hits: Vec<((bool, i64), Hit)> = (0_i64..)
            .zip(documents)
            .filter_map(|(place, document)| {
                let (below, hit) = find(&terms, document)?;
                Some(((below, -place), hit))
            })
            .filter(|(key, _)| after.is_none_or(|after| *key > after))
            .collect();
        hits.sort_by_key(|(key, _)| *key);
        let bytes = |hit: &Hit| hit.document.title.len() + hit.document.url.len() + hit.snippet.len();
        let page = cut(hits, page.size, |(_, hit)| bytes(hit), |(key, _)| token::encode(&scope, key));
        Ok(page.map(|(_, hit)| hit))
    }
}

/// Whether a document has all terms; then whether some are missing in its title, and the hit.
fn find(terms: &[Term], document: &Document) -> Option<(bool, Hit)> {
    let title: Vec<String> = words(&document.title).map(|word| fold(word.text)).collect();
    let body: Vec<String> = words(&document.body).map(|word| fold(word.text)).collect();
    let in_title = |term: &Term| term.position(&title).is_some();
    if !terms.iter().all(|term| in_title(term) || term.position(&body).is_some()) {
        return None;
    }
    let start = terms.iter().find_map(|term| term.position(&body)).unwrap_or(0);
    let snippet = words(&document.body).skip(start.saturating_sub(4)).take(24).map(|word| word.text);
    let snippet = snippet.collect::<Vec<_>>().join(" ");
    let document = Document { body: String::new(), ..document.clone() };
    Some((!terms.iter().all(in_title), Hit { document, snippet }))
}
