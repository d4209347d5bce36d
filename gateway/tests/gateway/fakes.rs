//! Services with canned answers that show what reached them.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{Stream, StreamExt, stream};
use tidemill_chassis::{Context, FaultExt};
use tidemill_kernel::{ErrorKind, Fault};
use tidemill_proto::ingestion::v1::ingestion_service_server::IngestionService;
use tidemill_proto::ingestion::v1::*;
use tidemill_proto::scheduling::v1::scheduling_service_server::SchedulingService;
use tidemill_proto::scheduling::v1::worker_service_server::WorkerService;
use tidemill_proto::scheduling::v1::*;
use tidemill_proto::storage::v1::result_service_server::ResultService;
use tidemill_proto::storage::v1::tenant_service_server::TenantService;
use tidemill_proto::storage::v1::tenant_store_service_server::TenantStoreService;
use tidemill_proto::storage::v1::*;
use tidemill_proto::types::v1::{Result as Found, Task, Tenant};
use tonic::{Request, Response, Status, Streaming};

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Methods that no test calls, as `async_trait` writes them.
macro_rules! absent {
    ($($name:ident($request:ty) -> $response:ty;)*) => {$(
        fn $name<'s, 'f>(&'s self, _: Request<$request>) -> BoxFuture<'f, Result<Response<$response>, Status>>
        where
            's: 'f,
            Self: 'f,
        {
            Box::pin(async { Err(Status::unimplemented("not faked")) })
        }
    )*};
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fakes {
    /// How often a key was looked up.
    pub(crate) lookups: Arc<AtomicUsize>,
}

fn context_of<T>(request: &Request<T>) -> (String, String) {
    let context = Context::of(request);
    let tenant = context.tenant.map(|tenant| tenant.to_string()).unwrap_or_default();
    let rights = if context.operator { format!("{tenant} operator") } else { tenant };
    (rights, context.trace_parent.unwrap_or_default())
}

#[tonic::async_trait]
impl SchedulingService for Fakes {
    type WatchQueueStream = Answers<WatchQueueResponse>;
    type WatchGroupStream = Answers<WatchGroupResponse>;
    type SubmitTaskStreamStream = Answers<SubmitTaskStreamResponse>;

    async fn get_task(&self, request: Request<GetTaskRequest>) -> Result<Response<GetTaskResponse>, Status> {
        let (tenant, trace_parent) = context_of(&request);
        let id = request.into_inner().id;
        match id.as_str() {
            "missing" => Err(Fault::new(ErrorKind::NotFound, "there is no task `missing`").into_status()),
            "busy" => {
                let fault = Fault::new(ErrorKind::Exhausted, "too many at once");
                Err(fault.retry_after(Duration::from_millis(1_500)).into_status())
            }
            "never" => std::future::pending().await,
            _ => {
                let task = Task { id, tenant, trace_parent, ..Task::default() };
                Ok(Response::new(GetTaskResponse { task: Some(task) }))
            }
        }
    }

    async fn list_tasks(
        &self,
        request: Request<ListTasksRequest>,
    ) -> Result<Response<ListTasksResponse>, Status> {
        let asked = request.into_inner();
        let next_page_token =
            format!("{}|{}|{}|{}", asked.state, asked.kind, asked.page_size, asked.page_token);
        Ok(Response::new(ListTasksResponse { tasks: Vec::new(), next_page_token }))
    }

    async fn submit_tasks(
        &self,
        request: Request<SubmitTasksRequest>,
    ) -> Result<Response<SubmitTasksResponse>, Status> {
        let tasks = request.into_inner().tasks.into_iter();
        let tasks =
            tasks.map(|task| SubmittedTask { id: task.kind, duplicate: task.priority == 1 }).collect();
        Ok(Response::new(SubmitTasksResponse { tasks }))
    }

    async fn cancel_task(
        &self,
        request: Request<CancelTaskRequest>,
    ) -> Result<Response<CancelTaskResponse>, Status> {
        let task = Task { id: request.into_inner().id, ..Task::default() };
        Ok(Response::new(CancelTaskResponse { task: Some(task) }))
    }

    /// One state, then silence.
    async fn watch_queue(
        &self,
        _: Request<WatchQueueRequest>,
    ) -> Result<Response<Self::WatchQueueStream>, Status> {
        let state = WatchQueueResponse { queue: Some(QueueState::default()) };
        Ok(Response::new(Box::pin(stream::iter([Ok(state)]).chain(stream::pending()))))
    }

    absent! {
        retry_task(RetryTaskRequest) -> RetryTaskResponse;
        get_queue(GetQueueRequest) -> GetQueueResponse;
        submit_task_stream(Streaming<SubmitTaskStreamRequest>) -> Self::SubmitTaskStreamStream;
        cancel_tasks(CancelTasksRequest) -> CancelTasksResponse;
        retry_tasks(RetryTasksRequest) -> RetryTasksResponse;
        prioritise_task(PrioritiseTaskRequest) -> PrioritiseTaskResponse;
        get_group(GetGroupRequest) -> GetGroupResponse;
        list_groups(ListGroupsRequest) -> ListGroupsResponse;
        watch_group(WatchGroupRequest) -> Self::WatchGroupStream;
    }
}

#[tonic::async_trait]
impl WorkerService for Fakes {
    type WorkStream = Answers<WorkResponse>;

    absent! {
        work(Streaming<WorkRequest>) -> Self::WorkStream;
        divide_limits(DivideLimitsRequest) -> DivideLimitsResponse;
    }

    async fn wake(&self, request: Request<WakeRequest>) -> Result<Response<WakeResponse>, Status> {
        let mut response = Response::new(WakeResponse::default());
        if let Ok(tenant) = context_of(&request).0.parse() {
            response.metadata_mut().insert("seen-tenant", tenant);
        }
        Ok(response)
    }
}

#[tonic::async_trait]
impl ResultService for Fakes {
    type ExportResultsStream = Answers<ExportResultsResponse>;

    /// Two results; a failure after them for the query `broken`, before them for `missing`.
    async fn export_results(
        &self,
        request: Request<ExportResultsRequest>,
    ) -> Result<Response<Self::ExportResultsStream>, Status> {
        let query = request.into_inner().query;
        if query == "missing" {
            return Err(Fault::new(ErrorKind::NotFound, "there is no query `missing`").into_status());
        }
        let result = |title: &str| {
            let result = Found { query: query.clone(), title: title.to_owned(), ..Found::default() };
            Ok(ExportResultsResponse { result: Some(result) })
        };
        let mut answers = vec![result("one"), result("two")];
        if query == "broken" {
            answers.push(Err(Fault::new(ErrorKind::Internal, "the disk is on fire").into_status()));
        }
        Ok(Response::new(Box::pin(stream::iter(answers))))
    }

    async fn get_document(
        &self,
        request: Request<GetDocumentRequest>,
    ) -> Result<Response<GetDocumentResponse>, Status> {
        let id = request.into_inner().id;
        let document = tidemill_proto::types::v1::Document { id, ..Default::default() };
        Ok(Response::new(GetDocumentResponse { document: Some(document) }))
    }

    async fn get_counts(&self, _: Request<GetCountsRequest>) -> Result<Response<GetCountsResponse>, Status> {
        Ok(Response::new(GetCountsResponse { documents: 9_007_199_254_740_993, ..Default::default() }))
    }

    absent! {
        list_results(ListResultsRequest) -> ListResultsResponse;
        search_documents(SearchDocumentsRequest) -> SearchDocumentsResponse;
    }
}

#[tonic::async_trait]
impl IngestionService for Fakes {
    type PushDocumentsStream = Answers<PushDocumentsResponse>;

    async fn push_document(
        &self,
        request: Request<PushDocumentRequest>,
    ) -> Result<Response<PushDocumentResponse>, Status> {
        let document = request.into_inner().document.unwrap_or_default();
        Ok(Response::new(PushDocumentResponse { document_id: document.title, ..Default::default() }))
    }

    /// Acknowledges each document as it comes; `stored` counts the bytes of bodies.
    async fn push_documents(
        &self,
        request: Request<Streaming<PushDocumentsRequest>>,
    ) -> Result<Response<Self::PushDocumentsStream>, Status> {
        let counted = request.into_inner().scan((0, 0), |(acknowledged, stored), message| {
            let answer = message.map(|message| {
                *acknowledged += 1;
                *stored += message.document.unwrap_or_default().body.len() as u64;
                let (acknowledged, stored) = (*acknowledged, *stored);
                PushDocumentsResponse { acknowledged, stored, ..Default::default() }
            });
            std::future::ready(Some(answer))
        });
        Ok(Response::new(Box::pin(counted)))
    }

    async fn delete_query(
        &self,
        _: Request<DeleteQueryRequest>,
    ) -> Result<Response<DeleteQueryResponse>, Status> {
        Ok(Response::new(DeleteQueryResponse {}))
    }

    absent! {
        create_query(CreateQueryRequest) -> CreateQueryResponse;
        list_queries(ListQueriesRequest) -> ListQueriesResponse;
        create_source(CreateSourceRequest) -> CreateSourceResponse;
        list_sources(ListSourcesRequest) -> ListSourcesResponse;
        delete_source(DeleteSourceRequest) -> DeleteSourceResponse;
        run_source(RunSourceRequest) -> RunSourceResponse;
    }
}

#[tonic::async_trait]
impl TenantService for Fakes {
    async fn list_tenants(
        &self,
        request: Request<ListTenantsRequest>,
    ) -> Result<Response<ListTenantsResponse>, Status> {
        Context::of(&request).require_operator()?;
        Ok(Response::new(ListTenantsResponse::default()))
    }

    absent! {
        create_tenant(CreateTenantRequest) -> CreateTenantResponse;
        create_key(CreateKeyRequest) -> CreateKeyResponse;
    }
}

/// The key of the tenant `acme`, and its SHA-256.
pub(crate) const KEY: (&str, &str) =
    ("acme-key", "afacab3575137afa4e00d9cbcafcb14c9ae25f779d964eb0ea5b2c4eb5dfd163");
/// An operator's key, and its SHA-256.
pub(crate) const OPERATOR_KEY: (&str, &str) =
    ("root-key", "53ee2a345a1cbf8f01c840e98e2c72e8826b89578da737d03dd600c68bb67f83");

#[tonic::async_trait]
impl TenantStoreService for Fakes {
    async fn resolve_key(
        &self,
        request: Request<ResolveKeyRequest>,
    ) -> Result<Response<ResolveKeyResponse>, Status> {
        self.lookups.fetch_add(1, Ordering::SeqCst);
        let hash = request.into_inner().key_hash;
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let (name, operator) = match hash {
            hash if hash == KEY.1 => ("acme", false),
            hash if hash == OPERATOR_KEY.1 => ("root", true),
            _ => return Err(Fault::new(ErrorKind::NotFound, "nobody has this key").into_status()),
        };
        let tenant = Tenant { name: name.to_owned(), ..Tenant::default() };
        Ok(Response::new(ResolveKeyResponse { tenant: Some(tenant), operator }))
    }

    absent! { get_tenants(GetTenantsRequest) -> GetTenantsResponse; }
}
