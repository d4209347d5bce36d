//! The content of tenants: each method one line to the file of its noun.

mod analyses;
mod documents;
mod lookup;
mod matches;
mod queries;
mod results;
mod row;
mod search;
mod sources;
mod words;

use async_trait::async_trait;
use tidemill_kernel::{Id, Page, PageRequest, TenantName, Timestamp};
use tidemill_store::content::{
    Appended, ContentStore, Counts, Document, Found, Hit, MatchedDocument, Query, QuerySet, Source,
};
use tidemill_store::text::clean;
use tidemill_store::{Freshness, Result};

use crate::{PostgresStore, ledger};

pub(crate) use analyses::{NewAnalysis, add_analyses};

#[async_trait]
impl ContentStore for PostgresStore {
    async fn append_documents(
        &self,
        tenant: &TenantName,
        documents: Vec<MatchedDocument>,
        query_version: i64,
        now: Timestamp,
    ) -> Result<Vec<Appended>> {
        let call = documents::AppendDocuments::new(tenant.clone(), documents, query_version, now);
        self.database.write(call).await
    }

    async fn documents(&self, tenant: &TenantName, ids: &[Id]) -> Result<Vec<Document>> {
        let found = self.read(async |source| documents::read(&source, tenant, ids).await).await?;
        if found.len() == ids.len() || self.freshness == Freshness::Latest {
            return Ok(found);
        }
        // A document never changes, so that those found are right; one that is missing may only not have come there yet.
        documents::read(&self.database.primary, tenant, ids).await
    }

    async fn put_query(&self, tenant: &TenantName, query: Query) -> Result<Query> {
        self.database.write(queries::PutQuery::new(tenant.clone(), query)).await
    }

    async fn load_queries(&self, tenant: &TenantName, known_version: Option<i64>) -> Result<QuerySet> {
        queries::load(&self.database.primary, tenant, known_version).await
    }

    async fn page_queries(&self, tenant: &TenantName, page: PageRequest) -> Result<Page<Query>> {
        self.read(async |source| queries::page(&source, tenant, page.clone()).await).await
    }

    async fn remove_query(&self, tenant: &TenantName, name: &str, now: Timestamp) -> Result<()> {
        let (tenant, name) = (tenant.clone(), clean(name.to_owned()));
        self.database.write(queries::RemoveQuery { tenant, name, now }).await
    }

    async fn put_source(&self, tenant: &TenantName, source: Source) -> Result<Source> {
        self.database.write(sources::PutSource::new(tenant.clone(), source)).await
    }

    async fn source(&self, tenant: &TenantName, name: &str) -> Result<Option<Source>> {
        sources::read(&self.database.primary, tenant, name).await
    }

    async fn page_sources(&self, tenant: &TenantName, page: PageRequest) -> Result<Page<Source>> {
        self.read(async |source| sources::page(&source, tenant, page.clone()).await).await
    }

    async fn remove_source(&self, tenant: &TenantName, name: &str) -> Result<()> {
        let (tenant, name) = (tenant.clone(), clean(name.to_owned()));
        self.database.write(sources::RemoveSource { tenant, name }).await
    }

    async fn save_cursor(&self, tenant: &TenantName, name: &str, cursor: &str, at: Timestamp) -> Result<()> {
        let (tenant, name, cursor) = (tenant.clone(), clean(name.to_owned()), clean(cursor.to_owned()));
        self.database.write(sources::SaveCursor { tenant, name, cursor, at }).await
    }

    async fn page_results(
        &self,
        tenant: &TenantName,
        query: Option<&str>,
        page: PageRequest,
    ) -> Result<Page<Found>> {
        match query {
            Some(query) => {
                self.read(async |source| results::best(&source, tenant, query, page.clone()).await).await
            }
            None => self.read(async |source| results::newest(&source, tenant, page.clone()).await).await,
        }
    }

    async fn search_documents(
        &self,
        tenant: &TenantName,
        text: &str,
        page: PageRequest,
    ) -> Result<Page<Hit>> {
        self.read(async |source| search::search(&source, tenant, text, page.clone()).await).await
    }

    async fn counts(&self, tenant: &TenantName) -> Result<Counts> {
        self.read(async |source| ledger::content(&source, tenant).await).await
    }
}
