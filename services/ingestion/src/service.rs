//! `IngestionService`: decode, call, encode.

use futures::StreamExt;
use futures::stream::BoxStream;
use tidemill_chassis::{Context, Wire, Written};
use tidemill_kernel::Fault;
use tidemill_proto::analysis::v1::CheckRecipeRequest;
use tidemill_proto::analysis::v1::analysis_service_client::AnalysisServiceClient;
use tidemill_proto::ingestion::v1::ingestion_service_server::IngestionService;
use tidemill_proto::ingestion::v1::{
    CreateQueryRequest, CreateQueryResponse, CreateSourceRequest, CreateSourceResponse, DeleteQueryRequest,
    DeleteQueryResponse, DeleteSourceRequest, DeleteSourceResponse, ListQueriesRequest, ListQueriesResponse,
    ListSourcesRequest, ListSourcesResponse, PushDocumentRequest, PushDocumentResponse, PushDocumentsRequest,
    PushDocumentsResponse, RunSourceRequest, RunSourceResponse,
};
use tidemill_proto::scheduling::v1::SubmitTasksRequest;
use tidemill_proto::scheduling::v1::scheduling_service_client::SchedulingServiceClient;
use tidemill_proto::storage::v1::content_store_service_client::ContentStoreServiceClient;
use tidemill_proto::storage::v1::{
    GetSourceRequest, PageQueriesRequest, PageSourcesRequest, PutQueryRequest, PutSourceRequest,
    RemoveQueryRequest, RemoveSourceRequest,
};
use tidemill_proto::types::v1::{NewTask, Priority, Query, Source};
use tonic::{Code, Request, Response, Status, Streaming};

use crate::collect::{COLLECT, Payload};
use crate::push::Push;
use crate::{Error, convert, query};

/// The recipe of a query that names none.
const DEFAULT_RECIPE: &str = "brief";
/// The longest recipe's name with its version, in bytes.
const MAX_RECIPE: usize = 128;
/// The longest parameters as JSON, in bytes: they travel in every task of the query, which has 256 KiB in all.
const MAX_PARAMETERS: usize = 128 << 10;

/// The service.
#[derive(Debug)]
pub(crate) struct Ingestion {
    pub(crate) content: ContentStoreServiceClient<Wire>,
    pub(crate) scheduling: SchedulingServiceClient<Wire>,
    /// Who knows the recipes; without it they are not checked.
    pub(crate) recipes: Option<AnalysisServiceClient<Wire>>,
    pub(crate) push: Push,
    pub(crate) local_sources: bool,
}

#[tonic::async_trait]
impl IngestionService for Ingestion {
    async fn push_document(
        &self,
        request: Request<PushDocumentRequest>,
    ) -> Result<Response<PushDocumentResponse>, Status> {
        let context = Context::of(&request);
        context.tenant()?;
        self.push.one(&context, request.into_inner()).await
    }

    type PushDocumentsStream = BoxStream<'static, Result<PushDocumentsResponse, Status>>;

    async fn push_documents(
        &self,
        request: Request<Streaming<PushDocumentsRequest>>,
    ) -> Result<Response<Self::PushDocumentsStream>, Status> {
        let context = Context::of(&request);
        context.tenant()?;
        Ok(Response::new(self.push.clone().stream(context, request.into_inner()).boxed()))
    }

    async fn create_query(
        &self,
        request: Request<CreateQueryRequest>,
    ) -> Result<Response<CreateQueryResponse>, Status> {
        let context = Context::of(&request);
        let query = checked_query(request.into_inner())?;
        self.check_recipe(&context, &query).await?;
        let request = context.request(PutQueryRequest { query: Some(query) });
        let answer = self.content.clone().put_query(request).await?;
        Ok(Written::of(&answer).on(CreateQueryResponse { query: answer.into_inner().query }))
    }

    async fn list_queries(
        &self,
        request: Request<ListQueriesRequest>,
    ) -> Result<Response<ListQueriesResponse>, Status> {
        let context = Context::of(&request);
        let ListQueriesRequest { page_size, page_token } = request.into_inner();
        let request = context.request(PageQueriesRequest { page_size, page_token });
        let page = self.content.clone().page_queries(request).await?.into_inner();
        Ok(Response::new(ListQueriesResponse {
            queries: page.queries,
            next_page_token: page.next_page_token,
        }))
    }

    async fn delete_query(
        &self,
        request: Request<DeleteQueryRequest>,
    ) -> Result<Response<DeleteQueryResponse>, Status> {
        let context = Context::of(&request);
        let request = context.request(RemoveQueryRequest { name: request.into_inner().name });
        let answer = self.content.clone().remove_query(request).await?;
        Ok(Written::of(&answer).on(DeleteQueryResponse {}))
    }

    async fn create_source(
        &self,
        request: Request<CreateSourceRequest>,
    ) -> Result<Response<CreateSourceResponse>, Status> {
        let context = Context::of(&request);
        let request = request.into_inner();
        convert::name(&request.name).map_err(Error::from)?;
        // The server's own disk is nobody's but the operator's.
        let local = self.local_sources && context.operator;
        let location = convert::location(request.kind(), &request.location, local);
        let kind = request.kind;
        let source = Source {
            name: request.name,
            kind,
            location: location.map_err(Error::from)?,
            ..Source::default()
        };
        let request = context.request(PutSourceRequest { source: Some(source) });
        let answer = self.content.clone().put_source(request).await?;
        Ok(Written::of(&answer).on(CreateSourceResponse { source: answer.into_inner().source }))
    }

    async fn list_sources(
        &self,
        request: Request<ListSourcesRequest>,
    ) -> Result<Response<ListSourcesResponse>, Status> {
        let context = Context::of(&request);
        let ListSourcesRequest { page_size, page_token } = request.into_inner();
        let request = context.request(PageSourcesRequest { page_size, page_token });
        let page = self.content.clone().page_sources(request).await?.into_inner();
        Ok(Response::new(ListSourcesResponse {
            sources: page.sources,
            next_page_token: page.next_page_token,
        }))
    }

    async fn delete_source(
        &self,
        request: Request<DeleteSourceRequest>,
    ) -> Result<Response<DeleteSourceResponse>, Status> {
        let context = Context::of(&request);
        let request = context.request(RemoveSourceRequest { name: request.into_inner().name });
        let answer = self.content.clone().remove_source(request).await?;
        Ok(Written::of(&answer).on(DeleteSourceResponse {}))
    }

    async fn run_source(
        &self,
        request: Request<RunSourceRequest>,
    ) -> Result<Response<RunSourceResponse>, Status> {
        let context = Context::of(&request);
        let name = request.into_inner().name;
        // A name that is not there is refused now rather than by a task that fails later.
        let known = context.request(GetSourceRequest { name: name.clone() });
        self.content.clone().get_source(known).await?;
        let task = NewTask {
            kind: COLLECT.to_owned(),
            priority: Priority::Normal.into(),
            payload: Payload { source: name }.encode(),
            trace_parent: context.trace_parent.clone().unwrap_or_default(),
            ..NewTask::default()
        };
        let request = context.request(SubmitTasksRequest { tasks: vec![task] });
        let answer = self.scheduling.clone().submit_tasks(request).await?;
        let (written, task) = (Written::of(&answer), answer.into_inner().tasks.pop());
        let task_id = task.ok_or_else(|| Status::internal("the scheduler took the task but named no id"))?.id;
        Ok(written.on(RunSourceResponse { task_id }))
    }
}

impl Ingestion {
    /// Refuses a recipe that there is not, and parameters that it refuses: every match would end as a dead task.
    async fn check_recipe(&self, context: &Context, query: &Query) -> Result<(), Status> {
        let Some(recipes) = &self.recipes else { return Ok(()) };
        let (recipe, parameters) = (query.recipe.clone(), query.parameters.clone());
        let request = context.request(CheckRecipeRequest { recipe, parameters });
        match recipes.clone().check_recipe(request).await {
            Ok(_) => Ok(()),
            Err(away) if away.code() == Code::Unavailable => Err(Status::unavailable(format!(
                "the query's recipe cannot be checked now: {}; add the query again in a moment",
                away.message()
            ))),
            Err(refused) => Err(refused),
        }
    }
}

/// The query of a request; the store gives it its id.
fn checked_query(request: CreateQueryRequest) -> Result<Query, Error> {
    convert::name(&request.name)?;
    query::Query::parse(&request.expression).map_err(|error| Error::query(&request.expression, error))?;
    let priority = match request.priority() {
        Priority::Unspecified => Priority::Normal,
        said => said,
    };
    let recipe = match request.recipe.trim() {
        "" => DEFAULT_RECIPE.to_owned(),
        recipe => recipe.to_owned(),
    };
    if recipe.len() > MAX_RECIPE {
        return Err(
            Fault::invalid("recipe", format!("is longer than {MAX_RECIPE} bytes; name one recipe")).into()
        );
    }
    let parameters = serde_json::to_string(&request.parameters).unwrap_or_default().len();
    if parameters > MAX_PARAMETERS {
        let rule = format!("are {parameters} bytes as JSON; at most {MAX_PARAMETERS} travel with every task");
        return Err(Fault::invalid("parameters", rule).into());
    }
    Ok(Query {
        name: request.name,
        expression: request.expression,
        recipe,
        priority: priority.into(),
        parameters: request.parameters,
        ..Query::default()
    })
}
