//! Documents, queries, sources and results.

use std::collections::HashMap;

use async_trait::async_trait;
use tidemill_kernel::{Id, Page, PageRequest, TenantName, Timestamp};
use tidemill_proto::storage::v1 as api;
use tidemill_proto::types::v1 as types;
use tidemill_storage::convert::content::{
    decode_appended, decode_document, decode_query, decode_source, encode_matched_document, encode_query,
    encode_source,
};
use tidemill_storage::convert::found::{decode_found, decode_hit};
use tidemill_storage::convert::{rule, time};
use tidemill_store::content::{
    Appended, Counts, Document, Found, Hit, MatchedDocument, Query, QuerySet, Source,
};
use tidemill_store::{ContentStore, Error, Result};

use super::{GrpcStore, call, call_at, found, of, read, read_all};

/// Answers carry their ids and times; one that was made up here would be found out by the suite.
fn made_up() -> Id {
    Id::from_bytes([0; 16])
}

fn query(message: types::Query) -> tidemill_storage::Result<Query> {
    decode_query(message, Timestamp::default(), &made_up)
}

fn source(message: types::Source) -> tidemill_storage::Result<Source> {
    decode_source(message, Timestamp::default(), &made_up)
}

impl GrpcStore {
    /// Results show little of their documents: the rest is read by id, but for the bodies.
    async fn complete<'a>(
        &self,
        tenant: &TenantName,
        shown: impl Iterator<Item = &'a mut Document> + Send,
    ) -> Result<()> {
        let shown: Vec<_> = shown.collect();
        let ids: Vec<_> = shown.iter().map(|document| document.id).collect();
        let documents = self.documents(tenant, &ids).await?;
        let by_id: HashMap<_, _> = documents.into_iter().map(|document| (document.id, document)).collect();
        for document in shown {
            let whole =
                by_id.get(&document.id).ok_or_else(|| Error::Internal("a result without document".into()))?;
            let said = (&document.title, &document.url, &document.source);
            assert_eq!(
                said,
                (&whole.title, &whole.url, &whole.source),
                "what a result shows of its document"
            );
            *document = Document { body: String::new(), ..whole.clone() };
        }
        Ok(())
    }
}

#[async_trait]
impl ContentStore for GrpcStore {
    async fn append_documents(
        &self,
        tenant: &TenantName,
        documents: Vec<MatchedDocument>,
        query_version: i64,
        now: Timestamp,
    ) -> Result<Vec<Appended>> {
        if documents.is_empty() {
            let nothing = self.nothing(tenant).await?;
            let present = self.load_queries(tenant, Some(query_version)).await?.version;
            let stale = Error::StaleQueries { given: query_version, present };
            return if present == query_version { Ok(nothing) } else { Err(stale) };
        }
        let encode = |document| encode_matched_document(document, now);
        let documents = documents.into_iter().map(encode).collect();
        let request = of(tenant, api::AppendDocumentsRequest { documents, query_version });
        let answer = call_at(now, self.content().append_documents(request)).await?;
        read_all(answer.documents, |message| decode_appended(&message))
    }

    async fn documents(&self, tenant: &TenantName, ids: &[Id]) -> Result<Vec<Document>> {
        let request = api::GetDocumentsRequest { ids: ids.iter().map(ToString::to_string).collect() };
        let answer = call(self.content().get_documents(of(tenant, request))).await?;
        read_all(answer.documents, |message| decode_document(message, Timestamp::default()))
    }

    async fn put_query(&self, tenant: &TenantName, new: Query) -> Result<Query> {
        let request = api::PutQueryRequest { query: Some(read(encode_query(new))?) };
        let answer = call(self.content().put_query(of(tenant, request))).await?;
        read(rule::present("query", answer.query).and_then(query))
    }

    async fn load_queries(&self, tenant: &TenantName, known_version: Option<i64>) -> Result<QuerySet> {
        let request = api::LoadQueriesRequest { known_version: known_version.unwrap_or(-1) };
        let answer = call(self.content().load_queries(of(tenant, request))).await?;
        let queries = read_all(answer.queries, query)?;
        let known = known_version == Some(answer.version);
        assert!(!known || queries.is_empty(), "queries that the caller has were sent");
        Ok(QuerySet { version: answer.version, queries: (!known).then_some(queries) })
    }

    async fn page_queries(&self, tenant: &TenantName, page: PageRequest) -> Result<Page<Query>> {
        let request = api::PageQueriesRequest { page_size: page.size as i32, page_token: page.token };
        let answer = call(self.content().page_queries(of(tenant, request))).await?;
        Ok(Page { items: read_all(answer.queries, query)?, next_token: answer.next_page_token })
    }

    async fn remove_query(&self, tenant: &TenantName, name: &str, now: Timestamp) -> Result<()> {
        let request = of(tenant, api::RemoveQueryRequest { name: name.into() });
        call_at(now, self.content().remove_query(request)).await.map(drop)
    }

    async fn put_source(&self, tenant: &TenantName, new: Source) -> Result<Source> {
        let request = api::PutSourceRequest { source: Some(encode_source(new).0) };
        let answer = call(self.content().put_source(of(tenant, request))).await?;
        let stands = read(rule::present("source", answer.source).and_then(source))?;
        // Its cursor is not in that answer.
        let name = stands.name.clone();
        self.source(tenant, &name).await?.ok_or(Error::NotFound { what: "source", name })
    }

    async fn source(&self, tenant: &TenantName, name: &str) -> Result<Option<Source>> {
        let request = of(tenant, api::GetSourceRequest { name: name.into() });
        let Some(answer) = found(call(self.content().get_source(request)).await)? else { return Ok(None) };
        let found = read(rule::present("source", answer.source).and_then(source))?;
        Ok(Some(Source { cursor: answer.cursor, ..found }))
    }

    async fn page_sources(&self, tenant: &TenantName, page: PageRequest) -> Result<Page<Source>> {
        let request = api::PageSourcesRequest { page_size: page.size as i32, page_token: page.token };
        let answer = call(self.content().page_sources(of(tenant, request))).await?;
        let mut items = read_all(answer.sources, source)?;
        for item in &mut items {
            item.cursor =
                self.source(tenant, &item.name).await?.map(|whole| whole.cursor).unwrap_or_default();
        }
        Ok(Page { items, next_token: answer.next_page_token })
    }

    async fn remove_source(&self, tenant: &TenantName, name: &str) -> Result<()> {
        let request = of(tenant, api::RemoveSourceRequest { name: name.into() });
        call(self.content().remove_source(request)).await.map(drop)
    }

    async fn save_cursor(&self, tenant: &TenantName, name: &str, cursor: &str, at: Timestamp) -> Result<()> {
        let collected_at = Some(time::encode(at));
        let request = api::SaveCursorRequest { name: name.into(), cursor: cursor.into(), collected_at };
        call(self.content().save_cursor(of(tenant, request))).await.map(drop)
    }

    async fn page_results(
        &self,
        tenant: &TenantName,
        query: Option<&str>,
        page: PageRequest,
    ) -> Result<Page<Found>> {
        let (query, page_size) = (query.unwrap_or_default().into(), page.size as i32);
        let request = api::ListResultsRequest { query, page_size, page_token: page.token };
        let answer = call(self.results().list_results(of(tenant, request))).await?;
        let mut items = read_all(answer.results, decode_found)?;
        self.complete(tenant, items.iter_mut().map(|found| &mut found.document)).await?;
        Ok(Page { items, next_token: answer.next_page_token })
    }

    async fn search_documents(
        &self,
        tenant: &TenantName,
        text: &str,
        page: PageRequest,
    ) -> Result<Page<Hit>> {
        let (text, page_size) = (text.into(), page.size as i32);
        let request = api::SearchDocumentsRequest { text, page_size, page_token: page.token };
        let answer = call(self.results().search_documents(of(tenant, request))).await?;
        let mut items = read_all(answer.documents, decode_hit)?;
        self.complete(tenant, items.iter_mut().map(|hit| &mut hit.document)).await?;
        Ok(Page { items, next_token: answer.next_page_token })
    }

    async fn counts(&self, tenant: &TenantName) -> Result<Counts> {
        let counts = call(self.results().get_counts(of(tenant, api::GetCountsRequest {}))).await?;
        Ok(Counts {
            documents: counts.documents,
            queries: counts.queries,
            sources: counts.sources,
            matches: counts.matches,
            analyses: counts.analyses,
        })
    }
}
