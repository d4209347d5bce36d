//! The content trait in memory: each method one line to the file of its noun.

use async_trait::async_trait;
use tidemill_kernel::{Id, Page, PageRequest, TenantName, Timestamp};

use super::MemoryStore;
use crate::content::{
    Appended, ContentStore, Counts, Document, Found, Hit, MatchedDocument, Query, QuerySet, Source,
};
use crate::{Error, Result};

#[async_trait]
impl ContentStore for MemoryStore {
    async fn append_documents(
        &self,
        tenant: &TenantName,
        documents: Vec<MatchedDocument>,
        query_version: i64,
        now: Timestamp,
    ) -> Result<Vec<Appended>> {
        self.state().append_documents(tenant, documents, query_version, now)
    }

    async fn documents(&self, tenant: &TenantName, ids: &[Id]) -> Result<Vec<Document>> {
        let state = self.state();
        let documents = state.content(tenant).map_or(&[][..], |content| &content.documents);
        Ok(documents.iter().filter(|document| ids.contains(&document.id)).cloned().collect())
    }

    async fn put_query(&self, tenant: &TenantName, query: Query) -> Result<Query> {
        self.state().content_mut(tenant)?.put_query(query)
    }

    async fn load_queries(&self, tenant: &TenantName, known_version: Option<i64>) -> Result<QuerySet> {
        let state = self.state();
        let content = state.content(tenant);
        let version = content.map_or(0, |content| content.query_version);
        let queries =
            || content.map(|content| content.queries.values().cloned().collect()).unwrap_or_default();
        Ok(QuerySet { version, queries: (known_version != Some(version)).then(queries) })
    }

    async fn page_queries(&self, tenant: &TenantName, page: PageRequest) -> Result<Page<Query>> {
        let state = self.state();
        let queries = state.content(tenant).map(|content| &content.queries);
        super::names::page("queries", tenant, queries, &page, |query| {
            query.expression.len() + query.parameters.len()
        })
    }

    async fn remove_query(&self, tenant: &TenantName, name: &str, now: Timestamp) -> Result<()> {
        self.state().remove_query(tenant, name, now)
    }

    async fn put_source(&self, tenant: &TenantName, source: Source) -> Result<Source> {
        self.state().content_mut(tenant)?.put_source(source)
    }

    async fn source(&self, tenant: &TenantName, name: &str) -> Result<Option<Source>> {
        Ok(self.state().content(tenant).and_then(|content| content.sources.get(name)).cloned())
    }

    async fn page_sources(&self, tenant: &TenantName, page: PageRequest) -> Result<Page<Source>> {
        let state = self.state();
        let sources = state.content(tenant).map(|content| &content.sources);
        super::names::page("sources", tenant, sources, &page, |source| {
            source.location.len() + source.cursor.len()
        })
    }

    async fn remove_source(&self, tenant: &TenantName, name: &str) -> Result<()> {
        let removed = self.state().content_mut(tenant)?.sources.remove(name);
        removed.map(|_| ()).ok_or_else(|| Error::NotFound { what: "source", name: name.to_owned() })
    }

    async fn save_cursor(&self, tenant: &TenantName, name: &str, cursor: &str, at: Timestamp) -> Result<()> {
        let mut state = self.state();
        let source = state.content_mut(tenant)?.sources.get_mut(name);
        let source = source.ok_or_else(|| Error::NotFound { what: "source", name: name.to_owned() })?;
        source.collected_at = Some(at);
        cursor.clone_into(&mut source.cursor);
        Ok(())
    }

    async fn page_results(
        &self,
        tenant: &TenantName,
        query: Option<&str>,
        page: PageRequest,
    ) -> Result<Page<Found>> {
        self.state().page_results(tenant, query, &page)
    }

    async fn search_documents(
        &self,
        tenant: &TenantName,
        text: &str,
        page: PageRequest,
    ) -> Result<Page<Hit>> {
        self.state().search_documents(tenant, text, &page)
    }

    async fn counts(&self, tenant: &TenantName) -> Result<Counts> {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        Ok(self.state().content(tenant).map_or_else(Counts::default, |content| Counts {
            documents: count(content.documents.len()),
            queries: count(content.queries.len()),
            sources: count(content.sources.len()),
            matches: count(content.matches.len()),
            analyses: count(content.matches.values().filter(|row| row.analysis.is_some()).count()),
        }))
    }
}
