//! `ResultService`: stored documents and results, read by the tenant of the call.

use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use tidemill_chassis::Context;
use tidemill_kernel::{PageRequest, TenantName};
use tidemill_proto::storage::v1::result_service_server::ResultService;
use tidemill_proto::storage::v1::{
    ExportResultsRequest, ExportResultsResponse, GetCountsRequest, GetCountsResponse, GetDocumentRequest,
    GetDocumentResponse, ListResultsRequest, ListResultsResponse, SearchDocumentsRequest,
    SearchDocumentsResponse,
};
use tidemill_proto::types::v1 as types;
use tidemill_store::{self as store, Store};
use tonic::{Request, Response, Status};

use crate::convert::found::{encode_found, encode_hit};
use crate::convert::{content::encode_document, rule};
use crate::{Config, Deps, Error, Result};

/// The service.
pub(crate) struct Results {
    deps: Deps,
    export_page: u32,
}

impl Results {
    pub(crate) fn new(config: &Config, deps: Deps) -> Self {
        Self { deps, export_page: config.export_page.clamp(1, PageRequest::MAX_SIZE) }
    }
}

/// One page of results and the token of the next.
async fn page(
    store: &dyn Store,
    tenant: &TenantName,
    query: &str,
    page: PageRequest,
) -> Result<(Vec<types::Result>, String)> {
    let query = (!query.is_empty()).then_some(query);
    let page = store.page_results(tenant, query, page).await?;
    let results = page.items.into_iter().map(encode_found).collect::<Result<Vec<_>>>()?;
    Ok((results, page.next_token))
}

/// Pages one after the other, each read when the one before has been sent: memory holds one page, and a reader that
/// leaves ends the reading.
fn pages(
    store: Arc<dyn Store>,
    tenant: TenantName,
    query: String,
    size: u32,
    token: String,
) -> impl futures::Stream<Item = Result<Vec<types::Result>>> + Send {
    stream::try_unfold(token, move |token| {
        let (store, tenant, query) = (Arc::clone(&store), tenant.clone(), query.clone());
        async move {
            if token.is_empty() {
                return Ok(None);
            }
            page(&*store, &tenant, &query, PageRequest { size, token }).await.map(Some)
        }
    })
}

#[tonic::async_trait]
impl ResultService for Results {
    type ExportResultsStream = BoxStream<'static, Result<ExportResultsResponse, Status>>;

    async fn list_results(
        &self,
        request: Request<ListResultsRequest>,
    ) -> Result<Response<ListResultsResponse>, Status> {
        let context = Context::of(&request);
        let (tenant, request) = (context.tenant()?, request.into_inner());
        let asked = rule::page(request.page_size, request.page_token)?;
        let (results, next_page_token) =
            page(&*self.deps.reading(&context)?, tenant, &request.query, asked).await?;
        Ok(Response::new(ListResultsResponse { results, next_page_token }))
    }

    async fn export_results(
        &self,
        request: Request<ExportResultsRequest>,
    ) -> Result<Response<Self::ExportResultsStream>, Status> {
        let context = Context::of(&request);
        let (tenant, store) = (context.tenant()?.clone(), self.deps.reading(&context)?);
        let (query, size) = (request.into_inner().query, self.export_page);
        // The first page is read before the answer begins, so that an unknown query is a status and not a torn stream.
        let first = PageRequest { size, token: String::new() };
        let (results, token) = page(&*store, &tenant, &query, first).await?;
        let rest = pages(store, tenant, query, size, token);
        let items = stream::once(async { Ok(results) }).chain(rest).map_err(Status::from);
        let items = items.map_ok(|page| stream::iter(page).map(Ok)).try_flatten();
        Ok(Response::new(items.map_ok(|result| ExportResultsResponse { result: Some(result) }).boxed()))
    }

    async fn get_document(
        &self,
        request: Request<GetDocumentRequest>,
    ) -> Result<Response<GetDocumentResponse>, Status> {
        let context = Context::of(&request);
        let (tenant, text) = (context.tenant()?, request.into_inner().id);
        let id = rule::id("id", &text)?;
        let found = self.deps.reading(&context)?.documents(tenant, &[id]).await.map_err(Error::Store)?.pop();
        let absent = || Error::Store(store::Error::NotFound { what: "document", name: text });
        let document = found.ok_or_else(absent)?;
        Ok(Response::new(GetDocumentResponse { document: Some(encode_document(document)) }))
    }

    async fn search_documents(
        &self,
        request: Request<SearchDocumentsRequest>,
    ) -> Result<Response<SearchDocumentsResponse>, Status> {
        let context = Context::of(&request);
        let (tenant, request) = (context.tenant()?, request.into_inner());
        let text = rule::text("text", request.text, rule::MAX_SEARCH)?;
        let page = rule::page(request.page_size, request.page_token)?;
        let page =
            self.deps.reading(&context)?.search_documents(tenant, &text, page).await.map_err(Error::Store)?;
        let page = page.map(encode_hit);
        Ok(Response::new(SearchDocumentsResponse { documents: page.items, next_page_token: page.next_token }))
    }

    async fn get_counts(
        &self,
        request: Request<GetCountsRequest>,
    ) -> Result<Response<GetCountsResponse>, Status> {
        let context = Context::of(&request);
        let counts = self.deps.reading(&context)?.counts(context.tenant()?).await.map_err(Error::Store)?;
        let store_id = self.deps.store.store_id().await.map_err(Error::Store)?;
        Ok(Response::new(GetCountsResponse {
            documents: counts.documents,
            queries: counts.queries,
            sources: counts.sources,
            matches: counts.matches,
            analyses: counts.analyses,
            store_id,
        }))
    }
}
