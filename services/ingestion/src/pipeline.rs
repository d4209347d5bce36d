//! From prepared documents to durable ones: match, make the analysis tasks, store all of it in one step.
//!
//! Invariant: what is stored was matched against the query set that the store had at that moment. When the set changes
//! in between, the store refuses, and the batch is matched again.

use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use serde::Serialize;
use tidemill_chassis::{Context, Wire, Written};
use tidemill_proto::scheduling::v1::WakeRequest;
use tidemill_proto::scheduling::v1::worker_service_client::WorkerServiceClient;
use tidemill_proto::storage::v1::content_store_service_client::ContentStoreServiceClient;
use tidemill_proto::storage::v1::{AppendDocumentsRequest, MatchedDocument, NewMatch};
use tidemill_proto::types::v1 as types;
use tokio::task::spawn_blocking;
use tonic::{Code, Request, Status};
use tracing::debug;

use crate::Error;
use crate::convert::encode_document;
use crate::document::Document;
use crate::matcher::{DocumentText, Scratch};
use crate::metrics::Figures;
use crate::queries::{Queries, QuerySet};

/// How often a batch is matched again because the queries changed meanwhile.
const ATTEMPTS: usize = 16;

/// After this many bytes a step takes no further document: matches with long parameters make tasks that outweigh the
/// documents, and with one more document all of it must still fit into a message to the store.
const STEP_BYTES: usize = 16 << 20;

/// How long the scheduler may take to hear of new tasks.
const PATIENCE: Duration = Duration::from_secs(5);

/// What became of one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Whether the tenant had it already.
    pub(crate) duplicate: bool,
    /// How many new matches it made.
    pub(crate) new_matches: u64,
    /// The names of the queries that select it.
    pub(crate) queries: Vec<String>,
}

/// Matches and stores.
#[derive(Debug)]
pub(crate) struct Pipeline {
    queries: Queries,
    content: ContentStoreServiceClient<Wire>,
    workers: WorkerServiceClient<Wire>,
    figures: Figures,
}

impl Pipeline {
    /// A pipeline into this store that keeps the queries of so many tenants.
    pub(crate) fn new(
        content: ContentStoreServiceClient<Wire>,
        workers: WorkerServiceClient<Wire>,
        tenants: usize,
    ) -> Self {
        Self { queries: Queries::new(content.clone(), tenants), content, workers, figures: Figures::new() }
    }

    /// Stores up to 1,000 documents of the context's tenant with their matches and tasks. What became of each, in their
    /// order, and what to read behind. In one step, unless the tasks outgrow a message: then in several, and a failure leaves the first ones
    /// stored, so that sending all of them again completes them.
    pub(crate) async fn append(
        &self,
        context: &Context,
        documents: Vec<Document>,
    ) -> Result<(Vec<Stored>, Written), Status> {
        if documents.is_empty() {
            return Ok((Vec::new(), Written::default()));
        }
        let documents = Arc::new(documents);
        let mut stored = Vec::with_capacity(documents.len());
        let mut set = self.queries.current(context).await?;
        let mut attempt = 1;
        let mut written = Written::default();
        while stored.len() < documents.len() {
            let (batch, names) = matched(&set, &documents, stored.len(), context).await?;
            let request = AppendDocumentsRequest { documents: batch, query_version: set.version };
            match self.content.clone().append_documents(context.request(request)).await {
                Ok(response) => {
                    written = Written::of(&response);
                    let appended = response.into_inner().documents;
                    if appended.len() != names.len() {
                        return Err(Error::Stopped("storing the documents").into());
                    }
                    stored.extend(appended.into_iter().zip(names).map(|(appended, queries)| Stored {
                        duplicate: appended.duplicate,
                        new_matches: u64::try_from(appended.new_matches).unwrap_or(0),
                        queries,
                    }));
                }
                Err(status) if status.code() == Code::FailedPrecondition && attempt < ATTEMPTS => {
                    attempt += 1;
                    set = self.queries.reload(context, &set).await?;
                }
                Err(status) if status.code() == Code::FailedPrecondition => {
                    return Err(Status::unavailable(
                        "the queries keep changing while documents come in; send the same again in a moment",
                    ));
                }
                Err(status) => return Err(status),
            }
        }
        self.figures.stored(&stored);
        Ok((self.woken(stored), written))
    }

    /// Tells the scheduler of new tasks without waiting for it: it would find them by itself, only later.
    fn woken(&self, stored: Vec<Stored>) -> Vec<Stored> {
        if stored.iter().any(|stored| stored.new_matches > 0) {
            let mut workers = self.workers.clone();
            let mut request = Request::new(WakeRequest::default());
            // Nobody waits for the answer, so nobody else would ever end the call.
            request.set_timeout(PATIENCE);
            tokio::spawn(async move {
                if let Err(fault) = workers.wake(request).await {
                    debug!(%fault, "the scheduler was not woken; it finds the tasks by itself");
                }
            });
        }
        stored
    }
}

/// The documents from the place `from` on, as many as one step takes, with their matches; and the names of the queries
/// of each. Made off the async threads.
async fn matched(
    set: &Arc<QuerySet>,
    documents: &Arc<Vec<Document>>,
    from: usize,
    context: &Context,
) -> Result<(Vec<MatchedDocument>, Vec<Vec<String>>), Status> {
    let (set, documents) = (Arc::clone(set), Arc::clone(documents));
    let trace_parent = context.trace_parent.clone().unwrap_or_default();
    let job = spawn_blocking(move || {
        let (mut scratch, mut bytes) = (Scratch::default(), 0);
        let mut batch = (Vec::new(), Vec::new());
        for document in documents.iter().skip(from) {
            let (matched, names) = match_one(&set, document, &trace_parent, &mut scratch);
            bytes += matched.encoded_len();
            batch.0.push(matched);
            batch.1.push(names);
            if bytes >= STEP_BYTES {
                break;
            }
        }
        batch
    });
    Ok(job.await.map_err(|_| Error::Stopped("matching"))?)
}

fn match_one(
    set: &QuerySet,
    document: &Document,
    trace_parent: &str,
    scratch: &mut Scratch,
) -> (MatchedDocument, Vec<String>) {
    let text = DocumentText { title: &document.title, body: &document.body, source: &document.source };
    let hits = set.matcher.matches(text, scratch);
    let id = document.id.to_string();
    let selected = hits.iter().filter_map(|hit| Some((set.queries.get(hit.query)?, hit.score)));
    let (matches, names) = selected
        .map(|(query, score)| {
            let task = Some(analyze(query, &id, &document.title, trace_parent));
            (NewMatch { query_id: query.id.clone(), score: score.into(), task }, query.name.clone())
        })
        .unzip();
    (MatchedDocument { document: Some(encode_document(document)), matches }, names)
}

/// What an `analyze` task needs to know.
#[derive(Serialize)]
struct Analyze<'a> {
    query_id: &'a str,
    document_id: &'a str,
    recipe: &'a str,
    title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<&'a pbjson_types::Struct>,
}

fn analyze(query: &types::Query, document_id: &str, title: &str, trace_parent: &str) -> types::NewTask {
    let payload = Analyze {
        query_id: &query.id,
        document_id,
        recipe: &query.recipe,
        title,
        parameters: query.parameters.as_ref(),
    };
    types::NewTask {
        kind: "analyze".to_owned(),
        priority: query.priority,
        // Text keys only: this cannot fail.
        payload: serde_json::to_string(&payload).unwrap_or_default(),
        // No key: the store makes the task with its match, and a match once.
        trace_parent: trace_parent.to_owned(),
        ..types::NewTask::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_scheduler_that_does_not_answer_is_not_waited_for_for_ever() {
        let (say, mut said) = tokio::sync::mpsc::unbounded_channel();
        let scheduler = Wire::new(tower::service_fn(move |request: http::Request<tonic::body::Body>| {
            let _ = say.send(request.headers().contains_key("grpc-timeout"));
            async { Ok::<_, std::convert::Infallible>(Status::unavailable("away").into_http()) }
        }));
        let content = ContentStoreServiceClient::new(Wire::absent("storage"));
        let pipeline = Pipeline::new(content, WorkerServiceClient::new(scheduler), 1);
        let stored = Stored { duplicate: false, new_matches: 1, queries: Vec::new() };
        pipeline.woken(vec![stored]);
        assert_eq!(said.recv().await, Some(true));
    }

    #[test]
    fn a_task_says_what_is_to_be_analysed_and_needs_no_key_as_its_match_is_one() {
        let labels =
            pbjson_types::Value { kind: Some(pbjson_types::value::Kind::StringValue("news".into())) };
        let query = types::Query {
            id: "q1".into(),
            recipe: "classify".into(),
            priority: types::Priority::Background.into(),
            parameters: Some(pbjson_types::Struct { fields: [("label".to_owned(), labels)].into() }),
            ..types::Query::default()
        };
        let task = analyze(&query, "d1", "A \"title\"", "00-aa-bb-01");
        let payload: serde_json::Value = serde_json::from_str(&task.payload).unwrap();
        let expected = serde_json::json!({
            "query_id": "q1", "document_id": "d1", "recipe": "classify", "title": "A \"title\"",
            "parameters": {"label": "news"},
        });
        assert_eq!(payload, expected);
        assert_eq!((task.kind.as_str(), task.key.as_str()), ("analyze", ""));
        assert_eq!(
            (task.priority(), task.trace_parent.as_str()),
            (types::Priority::Background, "00-aa-bb-01")
        );
    }
}
