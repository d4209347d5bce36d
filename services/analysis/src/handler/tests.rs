//! `analyze` tasks over the storage service on its store in memory.

use std::sync::Mutex;
use std::task::{Context as Waker, Poll};

use rand::SeedableRng;
use rand::rngs::StdRng;
use tidemill_chassis::layers::ServerLimits;
use tidemill_kernel::{ManualClock, Tier};
use tidemill_llm::scripted::Line;
use tidemill_llm::{Provider, Reason, Refusal, Scripted, Usage};
use tidemill_proto::storage::v1::{AppendDocumentsRequest, MatchedDocument};
use tidemill_store::tenant::Tenant;
use tidemill_store::{MemoryStore, TenantStore};
use tonic::body::Body;
use tonic::codegen::{Service, http};

use super::*;
use crate::tests::NOW;

const DOCUMENT: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const UNTITLED: &str = "01890a5d-ac96-774b-bcce-b302099a8058";
const ABSENT: &str = "01890a5d-ac96-774b-bcce-b302099a8059";
const QUERY: &str = "01890a5d-ac96-774b-bcce-b302099a8060";

/// The storage service with two documents of the tenant `acme`.
async fn storage() -> Wire {
    let store = Arc::new(MemoryStore::new("test"));
    for name in ["acme", "other"] {
        let tenant = Tenant { name: name.parse().unwrap(), tier: Tier::Free, created_at: NOW };
        store.create_tenant(tenant, None).await.unwrap();
    }
    let rng = Arc::new(Mutex::new(StdRng::seed_from_u64(3)));
    let deps = tidemill_storage::Deps { store, clock: Arc::new(ManualClock::at(NOW)), rng };
    let wire =
        tidemill_storage::build(tidemill_storage::Config::default(), deps).wire(ServerLimits::default());
    let body = "A storm hit the coast. Thousands of homes lost power.";
    let document = |id: &str, title: &str| MatchedDocument {
        document: Some(Document {
            id: id.into(),
            title: title.into(),
            body: body.into(),
            ..Document::default()
        }),
        matches: Vec::new(),
    };
    let documents = vec![document(DOCUMENT, "Storm"), document(UNTITLED, "")];
    let request = AppendDocumentsRequest { documents, query_version: 0 };
    let request = Context::for_tenant("acme".parse().unwrap()).request(request);
    ContentStoreServiceClient::new(wire.clone()).append_documents(request).await.unwrap();
    wire
}

fn analyzer(content: Wire, provider: Option<Arc<dyn Provider>>) -> Analyzer {
    Analyzer {
        analyst: Arc::new(Analyst::new(provider)),
        content: ContentStoreServiceClient::new(content),
        clock: Arc::new(ManualClock::at(NOW)),
    }
}

fn task(payload: &Value) -> Attempt {
    let trace_parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned();
    let (tenant, kind, payload) = ("acme".to_owned(), KIND.to_owned(), payload.to_string());
    Task { tenant, kind, payload, trace_parent, ..Task::default() }.into()
}

fn payload(document: &str, recipe: &str) -> Value {
    json!({ "query_id": QUERY, "document_id": document, "recipe": recipe })
}

async fn fail(content: Wire, attempt: Attempt) -> Failed {
    analyzer(content, None).run(attempt).await.unwrap_err()
}

#[tokio::test]
async fn a_document_is_analysed_for_its_query() {
    let done = analyzer(storage().await, None).run(task(&payload(DOCUMENT, "brief"))).await.unwrap();
    let made = done.analysis.unwrap();
    assert_eq!((made.query_id.as_str(), made.document_id.as_str()), (QUERY, DOCUMENT));
    let analysis = made.analysis.unwrap();
    assert_eq!((analysis.recipe.as_str(), analysis.provider.as_str()), ("brief@1", "local"));
    assert_eq!((analysis.model.as_str(), analysis.created_at), ("", None));
    assert_eq!(convert::object("output", analysis.output).unwrap()["word_count"], 10);
    let result: Value = serde_json::from_str(&done.result).unwrap();
    assert_eq!((&result["recipe"], &result["document_id"]), (&json!("brief@1"), &json!(DOCUMENT)));
    assert!(done.follow_ups.is_empty());
}

#[tokio::test]
async fn a_model_sees_document_title_and_parameters_and_its_usage_is_kept() {
    let answer = r#"{"summary":"A storm hit.","key_points":[]}"#;
    let counted = Usage { input: 50, output: 10, ..Usage::default() };
    let lines = [Line::answer(answer).usage(counted), Line::answer(answer).usage(counted)];
    let provider = Arc::new(Scripted::new("script", lines));
    let analyzer = analyzer(storage().await, Some(Arc::clone(&provider) as _));
    for document in [DOCUMENT, UNTITLED] {
        let mut payload = payload(document, "summarize@1");
        payload["title"] = json!("From the feed");
        // As the ingestion service writes it: numbers of a `google.protobuf.Struct` are doubles.
        payload["parameters"] = json!({ "sentences": 2.0 });
        let done = analyzer.run(task(&payload)).await.unwrap();
        let analysis = done.analysis.unwrap().analysis.unwrap();
        assert_eq!((analysis.provider.as_str(), analysis.model.as_str()), ("script", "scripted"));
        assert_eq!((analysis.input_tokens, analysis.output_tokens), (50, 10));
    }
    let asked: Vec<_> = provider.seen().iter().map(|seen| seen.messages[0].content.clone()).collect();
    assert!(
        asked.iter().all(|text| text.contains("at most 2 sentences") && text.contains("homes lost power"))
    );
    assert!(asked[0].contains("Storm\n") && !asked[0].contains("From the feed"), "{}", asked[0]);
    assert!(asked[1].contains("From the feed"), "{}", asked[1]);
}

#[tokio::test]
async fn what_no_retry_mends_is_given_up_with_a_reason() {
    let storage = storage().await;
    let with = |key: &str, value: Value| {
        let mut payload = payload(DOCUMENT, "brief");
        payload[key] = value;
        task(&payload)
    };
    let (mut foreign, mut nobody) = (with("x", json!(1)), with("x", json!(1)));
    foreign.task.tenant = "other".to_owned();
    nobody.task.tenant = "No Body".to_owned();
    let table = [
        (task(&json!("text")), "payload"),
        (task(&json!({ "query_id": QUERY, "recipe": "brief" })), "document_id"),
        (with("parameters", json!([1])), "payload"),
        (with("parameters", json!({ "labels": [] })), "`labels` is not known"),
        (with("recipe", json!("brief@9")), "known are brief@1"),
        (with("recipe", json!("summarize")), "[analysis.openai]"),
        (with("document_id", json!(ABSENT)), "there is no document"),
        (with("document_id", json!("seven")), "UUID"),
        (foreign, "there is no document"),
        (nobody, "No Body"),
    ];
    for (attempt, words) in table {
        let failed = fail(storage.clone(), attempt).await;
        assert!(failed.error.contains(words), "{words}: {failed}");
        assert_eq!((failed.retryable, failed.not_before), (false, None), "{failed}");
    }
}

/// A wire that notes the headers of the calls over it.
#[derive(Clone)]
struct Tap {
    wire: Wire,
    seen: Arc<Mutex<Vec<http::HeaderMap>>>,
}

impl Service<http::Request<Body>> for Tap {
    type Response = http::Response<Body>;
    type Error = <Wire as Service<http::Request<Body>>>::Error;
    type Future = <Wire as Service<http::Request<Body>>>::Future;

    fn poll_ready(&mut self, cx: &mut Waker<'_>) -> Poll<Result<(), Self::Error>> {
        self.wire.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.seen.lock().unwrap().push(request.headers().clone());
        self.wire.call(request)
    }
}

#[tokio::test]
async fn the_store_is_asked_for_the_tasks_tenant_in_its_trace_and_not_for_ever() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let tap = Wire::new(Tap { wire: storage().await, seen: Arc::clone(&seen) });
    let attempt = task(&payload(DOCUMENT, "brief"));
    let trace_parent = attempt.task.trace_parent.clone();
    analyzer(tap, None).run(attempt).await.unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 1);
    let context = Context::read(&seen[0], NOW).unwrap();
    assert_eq!((context.tenant.unwrap().as_str(), context.trace_parent), ("acme", Some(trace_parent)));
    assert_eq!((context.operator, context.deadline), (false, Some(NOW + FETCH_TIMEOUT)));
}

#[tokio::test]
async fn a_store_that_is_away_is_tried_again() {
    let failed = fail(Wire::absent("storage"), task(&payload(DOCUMENT, "brief"))).await;
    assert!(failed.retryable, "{failed}");
}

#[tokio::test]
async fn a_provider_decides_whether_and_when_to_come_back() {
    let refused = |reason, retry_after, retryable| {
        let refusal = Refusal { reason, message: "no".into(), retry_after, retryable };
        tidemill_llm::Error::Refused { provider: "script".into(), refusal }
    };
    let wait = Duration::from_secs(7);
    let table = [
        (refused(Reason::RateLimited, Some(wait), true), true, Some(NOW + wait)),
        (refused(Reason::RateLimited, None, true), true, None),
        (refused(Reason::BadKey, None, false), false, None),
    ];
    let storage = storage().await;
    for (error, retryable, not_before) in table {
        let provider = Scripted::new("script", [Line::fail(error)]);
        let analyzer = analyzer(storage.clone(), Some(Arc::new(provider)));
        let failed = analyzer.run(task(&payload(DOCUMENT, "summarize"))).await.unwrap_err();
        assert_eq!((failed.retryable, failed.not_before), (retryable, not_before), "{failed}");
        assert!(failed.error.contains("provider script"), "{failed}");
    }
}
