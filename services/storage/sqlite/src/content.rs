//! The content of tenants: each method one line to the file of its noun.

mod analyses;
mod documents;
mod matches;
mod queries;
mod results;
mod row;
mod search;
mod sources;

use async_trait::async_trait;
use tidemill_kernel::{Id, Page, PageRequest, TenantName, Timestamp};
use tidemill_store::Result;
use tidemill_store::content::{
    Appended, ContentStore, Counts, Document, Found, Hit, MatchedDocument, Query, QuerySet, Source,
};

use crate::SqliteStore;
use crate::statement::query;

pub(crate) use analyses::{NewAnalysis, add_analyses};

#[async_trait]
impl ContentStore for SqliteStore {
    async fn append_documents(
        &self,
        tenant: &TenantName,
        documents: Vec<MatchedDocument>,
        query_version: i64,
        now: Timestamp,
    ) -> Result<Vec<Appended>> {
        let call = documents::AppendDocuments::new(tenant.clone(), documents, query_version, now);
        self.writer.call(call).await
    }

    async fn documents(&self, tenant: &TenantName, ids: &[Id]) -> Result<Vec<Document>> {
        documents::read(&self.readers, tenant, ids).await
    }

    async fn put_query(&self, tenant: &TenantName, query: Query) -> Result<Query> {
        self.writer.call(queries::PutQuery { tenant: tenant.clone(), query }).await
    }

    async fn load_queries(&self, tenant: &TenantName, known_version: Option<i64>) -> Result<QuerySet> {
        queries::load(&self.readers, tenant, known_version).await
    }

    async fn page_queries(&self, tenant: &TenantName, page: PageRequest) -> Result<Page<Query>> {
        queries::page(&self.readers, tenant, page).await
    }

    async fn remove_query(&self, tenant: &TenantName, name: &str, now: Timestamp) -> Result<()> {
        self.writer.call(queries::RemoveQuery { tenant: tenant.clone(), name: name.to_owned(), now }).await
    }

    async fn put_source(&self, tenant: &TenantName, source: Source) -> Result<Source> {
        self.writer.call(sources::PutSource { tenant: tenant.clone(), source }).await
    }

    async fn source(&self, tenant: &TenantName, name: &str) -> Result<Option<Source>> {
        sources::read(&self.readers, tenant, name).await
    }

    async fn page_sources(&self, tenant: &TenantName, page: PageRequest) -> Result<Page<Source>> {
        sources::page(&self.readers, tenant, page).await
    }

    async fn remove_source(&self, tenant: &TenantName, name: &str) -> Result<()> {
        self.writer.call(sources::RemoveSource { tenant: tenant.clone(), name: name.to_owned() }).await
    }

    async fn save_cursor(&self, tenant: &TenantName, name: &str, cursor: &str, at: Timestamp) -> Result<()> {
        let (tenant, name, cursor) = (tenant.clone(), name.to_owned(), cursor.to_owned());
        self.writer.call(sources::SaveCursor { tenant, name, cursor, at }).await
    }

    async fn page_results(
        &self,
        tenant: &TenantName,
        query: Option<&str>,
        page: PageRequest,
    ) -> Result<Page<Found>> {
        match query {
            Some(query) => results::best(&self.readers, tenant, query, page).await,
            None => results::newest(&self.readers, tenant, page).await,
        }
    }

    async fn search_documents(
        &self,
        tenant: &TenantName,
        text: &str,
        page: PageRequest,
    ) -> Result<Page<Hit>> {
        search::search(&self.readers, tenant, text, page).await
    }

    async fn counts(&self, tenant: &TenantName) -> Result<Counts> {
        let row = query(
            "SELECT json_array(documents, queries, sources, matches, analyses) FROM tenants WHERE name = ?1",
        );
        let row: Option<[i64; 5]> = self.readers.row(row.bind(tenant.as_str())).await?;
        let [documents, queries, sources, matches, analyses] = row.unwrap_or_default();
        Ok(Counts { documents, queries, sources, matches, analyses })
    }
}
