//! `ContentStoreService`: the content of the call's tenant, for the ingestion service.

use std::time::Duration;

use tidemill_chassis::Context;
use tidemill_proto::storage::v1::content_store_service_server::ContentStoreService;
use tidemill_proto::storage::v1::{
    AppendDocumentsRequest, AppendDocumentsResponse, GetDocumentsRequest, GetDocumentsResponse,
    GetSourceRequest, GetSourceResponse, LoadQueriesRequest, LoadQueriesResponse, PageQueriesRequest,
    PageQueriesResponse, PageSourcesRequest, PageSourcesResponse, PutQueryRequest, PutQueryResponse,
    PutSourceRequest, PutSourceResponse, RemoveQueryRequest, RemoveQueryResponse, RemoveSourceRequest,
    RemoveSourceResponse, SaveCursorRequest, SaveCursorResponse,
};
use tidemill_store as store;
use tonic::{Request, Response, Status};

use crate::convert::content::{
    decode_matched_documents, decode_query, decode_source, encode_appended, encode_document, encode_query,
    encode_source,
};
use crate::convert::task::Arrival;
use crate::convert::{rule, time};
use crate::{Deps, Error, Result};

/// The service, and how long it remembers the keys of tasks.
pub(crate) struct Content(pub(crate) Deps, pub(crate) Duration);

#[tonic::async_trait]
impl ContentStoreService for Content {
    async fn append_documents(
        &self,
        request: Request<AppendDocumentsRequest>,
    ) -> Result<Response<AppendDocumentsResponse>, Status> {
        let context = Context::of(&request);
        let (tenant, request, now) = (context.tenant()?, request.into_inner(), self.0.now());
        let documents = decode_matched_documents(request.documents, &Arrival { now, keep_keys: self.1 })?;
        let appended = self.0.store.append_documents(tenant, documents, request.query_version, now);
        let documents = appended.await.map_err(Error::Store)?.into_iter().map(encode_appended).collect();
        Ok(self.0.written(AppendDocumentsResponse { documents }).await)
    }

    async fn get_documents(
        &self,
        request: Request<GetDocumentsRequest>,
    ) -> Result<Response<GetDocumentsResponse>, Status> {
        let context = Context::of(&request);
        let (tenant, request) = (context.tenant()?, request.into_inner());
        let ids = rule::ids("ids", &request.ids, rule::MAX_BATCH)?;
        let documents = self.0.store.documents(tenant, &ids).await.map_err(Error::Store)?;
        let documents = documents.into_iter().map(encode_document).collect();
        Ok(Response::new(GetDocumentsResponse { documents }))
    }

    async fn put_query(
        &self,
        request: Request<PutQueryRequest>,
    ) -> Result<Response<PutQueryResponse>, Status> {
        let context = Context::of(&request);
        let (tenant, request, now) = (context.tenant()?, request.into_inner(), self.0.now());
        let query = decode_query(rule::present("query", request.query)?, now, &|| self.0.new_id());
        let query = self.0.store.put_query(tenant, rule::inside("query", query)?).await;
        Ok(self
            .0
            .written(PutQueryResponse { query: Some(encode_query(query.map_err(Error::Store)?)?) })
            .await)
    }

    async fn load_queries(
        &self,
        request: Request<LoadQueriesRequest>,
    ) -> Result<Response<LoadQueriesResponse>, Status> {
        let context = Context::of(&request);
        let known = request.into_inner().known_version;
        let known = (known >= 0).then_some(known);
        let set = self.0.store.load_queries(context.tenant()?, known).await.map_err(Error::Store)?;
        let queries = set.queries.unwrap_or_default().into_iter().map(encode_query);
        let queries = queries.collect::<Result<Vec<_>>>()?;
        Ok(Response::new(LoadQueriesResponse { version: set.version, queries }))
    }

    async fn page_queries(
        &self,
        request: Request<PageQueriesRequest>,
    ) -> Result<Response<PageQueriesResponse>, Status> {
        let context = Context::of(&request);
        let (tenant, request) = (context.tenant()?, request.into_inner());
        let page = rule::page(request.page_size, request.page_token)?;
        let page = self.0.reading(&context)?.page_queries(tenant, page).await.map_err(Error::Store)?;
        let queries = page.items.into_iter().map(encode_query).collect::<Result<Vec<_>>>()?;
        Ok(Response::new(PageQueriesResponse { queries, next_page_token: page.next_token }))
    }

    async fn remove_query(
        &self,
        request: Request<RemoveQueryRequest>,
    ) -> Result<Response<RemoveQueryResponse>, Status> {
        let context = Context::of(&request);
        let (tenant, request) = (context.tenant()?, request.into_inner());
        let removed = self.0.store.remove_query(tenant, &request.name, self.0.now()).await;
        removed.map_err(Error::Store)?;
        Ok(self.0.written(RemoveQueryResponse {}).await)
    }

    async fn put_source(
        &self,
        request: Request<PutSourceRequest>,
    ) -> Result<Response<PutSourceResponse>, Status> {
        let context = Context::of(&request);
        let (tenant, request, now) = (context.tenant()?, request.into_inner(), self.0.now());
        let source = decode_source(rule::present("source", request.source)?, now, &|| self.0.new_id());
        let source = self.0.store.put_source(tenant, rule::inside("source", source)?).await;
        Ok(self
            .0
            .written(PutSourceResponse { source: Some(encode_source(source.map_err(Error::Store)?).0) })
            .await)
    }

    async fn get_source(
        &self,
        request: Request<GetSourceRequest>,
    ) -> Result<Response<GetSourceResponse>, Status> {
        let context = Context::of(&request);
        let (tenant, name) = (context.tenant()?, request.into_inner().name);
        let found = self.0.store.source(tenant, &name).await.map_err(Error::Store)?;
        let absent = || Error::Store(store::Error::NotFound { what: "source", name });
        let (source, cursor) = encode_source(found.ok_or_else(absent)?);
        Ok(Response::new(GetSourceResponse { source: Some(source), cursor }))
    }

    async fn page_sources(
        &self,
        request: Request<PageSourcesRequest>,
    ) -> Result<Response<PageSourcesResponse>, Status> {
        let context = Context::of(&request);
        let (tenant, request) = (context.tenant()?, request.into_inner());
        let page = rule::page(request.page_size, request.page_token)?;
        let page = self.0.reading(&context)?.page_sources(tenant, page).await.map_err(Error::Store)?;
        let page = page.map(|source| encode_source(source).0);
        Ok(Response::new(PageSourcesResponse { sources: page.items, next_page_token: page.next_token }))
    }

    async fn remove_source(
        &self,
        request: Request<RemoveSourceRequest>,
    ) -> Result<Response<RemoveSourceResponse>, Status> {
        let context = Context::of(&request);
        let (tenant, name) = (context.tenant()?, request.into_inner().name);
        self.0.store.remove_source(tenant, &name).await.map_err(Error::Store)?;
        Ok(self.0.written(RemoveSourceResponse {}).await)
    }

    async fn save_cursor(
        &self,
        request: Request<SaveCursorRequest>,
    ) -> Result<Response<SaveCursorResponse>, Status> {
        let context = Context::of(&request);
        let (tenant, request) = (context.tenant()?, request.into_inner());
        let cursor = rule::text("cursor", request.cursor, rule::MAX_CURSOR)?;
        let at = time::decode_or("collected_at", request.collected_at, self.0.now())?;
        self.0.store.save_cursor(tenant, &request.name, &cursor, at).await.map_err(Error::Store)?;
        Ok(Response::new(SaveCursorResponse {}))
    }
}
