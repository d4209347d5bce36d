//! `analyze` tasks: a document that a query selected, analysed by the query's recipe. The analysis commits with the
//! completion of its task.
//!
//! The payload is JSON: `{"query_id", "document_id", "recipe", "title"?, "parameters"?}`. Fields that are not known
//! are passed over, so that a newer service may say more.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidemill_chassis::{Context, Wire};
use tidemill_kernel::{Clock, ErrorKind, TenantName};
use tidemill_proto::storage::v1::GetDocumentsRequest;
use tidemill_proto::storage::v1::content_store_service_client::ContentStoreServiceClient;
use tidemill_proto::types::v1::{Document, NewAnalysis, Task};
use tidemill_worker::{Attempt, Done, Failed, Handler};
use tonic::Request;

use crate::analyst::Analyst;
use crate::recipe::Input;
use crate::{Error, convert};

/// The kind of task that is run here.
pub const KIND: &str = "analyze";

/// How long the content store may take for one document.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);

/// Runs `analyze` tasks.
pub(crate) struct Analyzer {
    pub(crate) analyst: Arc<Analyst>,
    pub(crate) content: ContentStoreServiceClient<Wire>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// What an `analyze` task says.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Payload {
    query_id: String,
    document_id: String,
    recipe: String,
    /// Stands in for a document without a title.
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    parameters: Option<Map<String, Value>>,
}

#[async_trait]
impl Handler for Analyzer {
    async fn run(&self, attempt: Attempt) -> Result<Done, Failed> {
        let task = attempt.task;
        let payload = decode(&task.payload)?;
        let document = self.fetch(&task, &payload.document_id).await?;
        let title = Some(document.title).filter(|title| !title.is_empty()).or(payload.title);
        let input = Input {
            title: title.unwrap_or_default(),
            body: document.body,
            parameters: payload.parameters.unwrap_or_default(),
        };
        let analysis = self.analyst.run(&payload.recipe, input).await.map_err(|error| self.failed(&error))?;
        let result = json!({
            "query_id": payload.query_id, "document_id": payload.document_id, "recipe": analysis.recipe,
            "provider": analysis.provider, "model": analysis.model,
            "input_tokens": analysis.input_tokens, "output_tokens": analysis.output_tokens,
        });
        let Payload { query_id, document_id, .. } = payload;
        let analysis = NewAnalysis { query_id, document_id, analysis: Some(analysis) };
        Ok(Done { result: result.to_string(), analysis: Some(analysis), follow_ups: Vec::new() })
    }
}

impl Analyzer {
    /// The document, as the task's tenant sees it.
    async fn fetch(&self, task: &Task, id: &str) -> Result<Document, Failed> {
        let tenant: TenantName = task.tenant.parse().map_err(|fault| {
            Failed::for_good(format!("the task's tenant `{}` is no tenant's name: {fault}", task.tenant))
        })?;
        let now = self.clock.now();
        let context = Context {
            deadline: Some(now + FETCH_TIMEOUT),
            trace_parent: Some(task.trace_parent.clone()).filter(|parent| !parent.is_empty()),
            ..Context::for_tenant(tenant)
        };
        let mut request = Request::new(GetDocumentsRequest { ids: vec![id.to_owned()] });
        context.write(request.metadata_mut(), now);
        let answer = self.content.clone().get_documents(request).await;
        let documents = answer.map_err(|status| Failed::from_status(&status))?.into_inner().documents;
        documents.into_iter().next().ok_or_else(|| {
            Failed::for_good(format!("there is no document `{id}`: push it again, and a new task follows"))
        })
    }

    /// The failed attempt: whether and when another one helps is what the recipe's error says.
    fn failed(&self, error: &Error) -> Failed {
        let (retryable, wait) = match error {
            Error::Recipe(error) => (error.retryable(), error.retry_after()),
            error => (error.kind().is_transient() || error.kind() == ErrorKind::Internal, None),
        };
        let not_before = wait.map(|wait| self.clock.now() + wait);
        Failed { error: error.to_string(), retryable, not_before, ..Failed::default() }
    }
}

fn decode(payload: &str) -> Result<Payload, Failed> {
    let value = serde_json::from_str(payload).map(convert::with_whole_numbers);
    value.and_then(serde_json::from_value).map_err(|fault| {
        Failed::for_good(format!(
            "the payload is not that of an `{KIND}` task: {fault}; \
             it is JSON with query_id, document_id, recipe and, if need be, title and parameters"
        ))
    })
}

#[cfg(test)]
mod tests;
