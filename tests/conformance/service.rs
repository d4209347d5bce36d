//! What the storage service adds to the port: rights, keys, defaults, exports.

use std::sync::{Arc, Mutex};

use futures::TryStreamExt;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tidemill_chassis::layers::ServerLimits;
use tidemill_chassis::{Context, Wire};
use tidemill_kernel::{Id, ManualClock, Tier, Timestamp};
use tidemill_proto::storage::v1 as api;
use tidemill_proto::types::v1 as types;
use tidemill_storage::convert::time;
use tidemill_storage::{Config, Deps, build, ensure_default_tenant, key};
use tidemill_store::Store;
use tonic::{Code, Request};

use api::content_store_service_client::ContentStoreServiceClient;
use api::result_service_client::ResultServiceClient;
use api::task_store_service_client::TaskStoreServiceClient;
use api::tenant_service_client::TenantServiceClient;
use api::tenant_store_service_client::TenantStoreServiceClient;

const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

/// The service over an empty store, with small pages.
fn service() -> (Wire, Arc<dyn Store>) {
    let store = crate::memory();
    let rng = Arc::new(Mutex::new(StdRng::seed_from_u64(3)));
    let deps = Deps { store: Arc::clone(&store), clock: Arc::new(ManualClock::at(NOW)), rng };
    let config = Config { export_page: 2, ..Config::default() };
    (build(config, deps).wire(ServerLimits::default()), store)
}

fn operator<T>(message: T) -> Request<T> {
    Context { operator: true, ..Context::default() }.request(message)
}

fn of_acme<T>(message: T) -> Request<T> {
    Context::for_tenant("acme".parse().unwrap()).request(message)
}

async fn make_acme(wire: &Wire) -> String {
    let request = api::CreateTenantRequest { name: "acme".into(), tier: 2 };
    let answer = TenantServiceClient::new(wire.clone()).create_tenant(operator(request)).await;
    answer.unwrap().into_inner().key
}

async fn resolve(wire: &Wire, key: &str) -> Result<api::ResolveKeyResponse, Code> {
    let request = api::ResolveKeyRequest { key_hash: key::hash(key).to_vec() };
    let answer = TenantStoreServiceClient::new(wire.clone()).resolve_key(request).await;
    answer.map(tonic::Response::into_inner).map_err(|status| status.code())
}

#[tokio::test]
async fn only_operators_make_and_see_tenants() {
    let (wire, _) = service();
    let mut client = TenantServiceClient::new(wire.clone());
    let create = api::CreateTenantRequest { name: "acme".into(), tier: 0 };
    let key = api::CreateKeyRequest { tenant: "acme".into(), operator: true };
    let list = api::ListTenantsRequest::default();
    assert_eq!(client.create_tenant(of_acme(create)).await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(client.create_key(of_acme(key)).await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(client.list_tenants(of_acme(list.clone())).await.unwrap_err().code(), Code::PermissionDenied);
    assert!(client.list_tenants(operator(list)).await.unwrap().into_inner().tenants.is_empty());
}

#[tokio::test]
async fn a_tenant_gets_its_first_key_once() {
    let (wire, _) = service();
    let first = make_acme(&wire).await;
    assert!(first.starts_with("tm_") && first.len() == 35, "{first}");
    assert_eq!(make_acme(&wire).await, "");
    let resolved = resolve(&wire, &first).await.unwrap();
    let tenant = resolved.tenant.unwrap();
    assert_eq!((tenant.name.as_str(), tenant.tier, resolved.operator), ("acme", 2, false));
    assert_eq!(tenant.created_at, Some(time::encode(NOW)));
    let other = api::CreateTenantRequest { name: "acme".into(), tier: 3 };
    let refused = TenantServiceClient::new(wire).create_tenant(operator(other)).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
}

#[tokio::test]
async fn more_keys_can_be_made_also_for_operators() {
    let (wire, _) = service();
    let first = make_acme(&wire).await;
    let request = api::CreateKeyRequest { tenant: "acme".into(), operator: true };
    let mut client = TenantServiceClient::new(wire.clone());
    let second = client.create_key(operator(request)).await.unwrap().into_inner().key;
    assert_ne!(first, second);
    assert!(resolve(&wire, &second).await.unwrap().operator);
    assert_eq!(resolve(&wire, "tm_guessed").await.unwrap_err(), Code::NotFound);
    let request = api::CreateKeyRequest { tenant: "nobody".into(), operator: false };
    assert_eq!(client.create_key(operator(request)).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn the_first_start_makes_the_default_tenant_and_no_other_does() {
    let (wire, store) = service();
    let (clock, mut rng) = (ManualClock::at(NOW), StdRng::seed_from_u64(4));
    let key = ensure_default_tenant(&*store, &clock, &mut rng).await.unwrap().unwrap();
    assert_eq!(ensure_default_tenant(&*store, &clock, &mut rng).await.unwrap(), None);
    let resolved = resolve(&wire, &key).await.unwrap();
    let tenant = resolved.tenant.unwrap();
    assert_eq!((tenant.name.as_str(), tenant.tier), ("default", Tier::Pro.number()));
    assert!(resolved.operator);
}

#[tokio::test]
async fn content_and_results_need_a_tenant() {
    let (wire, _) = service();
    let mut content = ContentStoreServiceClient::new(wire.clone());
    let refused = content.page_queries(api::PageQueriesRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let refused = ResultServiceClient::new(wire).get_counts(api::GetCountsRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_task_that_says_little_is_stored_with_the_defaults() {
    let (wire, _) = service();
    make_acme(&wire).await;
    let mut tasks = TaskStoreServiceClient::new(wire);
    let new = types::NewTask { kind: "demo".into(), ..types::NewTask::default() };
    let batch = api::TenantTasks { tenant: "acme".into(), tasks: vec![new.clone(), new] };
    let request = api::AppendTasksRequest { batches: vec![batch] };
    let appended = tasks.append_tasks(request).await.unwrap().into_inner().batches.remove(0).tasks;
    assert_ne!(appended[0].id, appended[1].id);
    let request = api::ReadTaskRequest { tenant: "acme".into(), id: appended[1].id.clone() };
    let task = tasks.read_task(request).await.unwrap().into_inner().task.unwrap();
    let expected = types::Task {
        id: appended[1].id.clone(),
        tenant: "acme".into(),
        kind: "demo".into(),
        priority: 2,
        state: 1,
        max_attempts: 5,
        run_at: Some(time::encode(NOW)),
        created_at: Some(time::encode(NOW)),
        ..types::Task::default()
    };
    assert_eq!(task, expected);
}

/// Documents of these ids with a match of one query each; returns the query set's version.
async fn fill(wire: &Wire, ids: impl Iterator<Item = u8>) -> i64 {
    make_acme(wire).await;
    let mut content = ContentStoreServiceClient::new(wire.clone());
    let query = types::Query {
        name: "rust".into(),
        expression: "rust".into(),
        recipe: "brief@1".into(),
        ..types::Query::default()
    };
    let query = content.put_query(of_acme(api::PutQueryRequest { query: Some(query) })).await;
    let query_id = query.unwrap().into_inner().query.unwrap().id;
    let load = of_acme(api::LoadQueriesRequest { known_version: -1 });
    let query_version = content.load_queries(load).await.unwrap().into_inner().version;
    let documents = ids.map(|number| api::MatchedDocument {
        document: Some(types::Document {
            id: Id::from_bytes([number; 16]).to_string(),
            title: format!("document {number}"),
            ..types::Document::default()
        }),
        matches: vec![api::NewMatch {
            query_id: query_id.clone(),
            score: f64::from(number),
            task: Some(types::NewTask { kind: "analyze".into(), ..types::NewTask::default() }),
        }],
    });
    let request = api::AppendDocumentsRequest { documents: documents.collect(), query_version };
    content.append_documents(of_acme(request)).await.unwrap();
    query_version
}

#[tokio::test]
async fn an_export_sends_everything_in_the_order_of_the_listing() {
    let (wire, _) = service();
    fill(&wire, 1..=7).await;
    let mut results = ResultServiceClient::new(wire);
    let list = api::ListResultsRequest { query: "rust".into(), ..api::ListResultsRequest::default() };
    let listed = results.list_results(of_acme(list)).await.unwrap().into_inner().results;
    let export = of_acme(api::ExportResultsRequest { query: "rust".into() });
    let stream = results.export_results(export).await.unwrap().into_inner();
    let items: Vec<_> = stream.map_ok(|item| item.result.unwrap()).try_collect().await.unwrap();
    assert_eq!(items.len(), 7);
    assert_eq!(items, listed);
}

#[tokio::test]
async fn an_export_of_an_unknown_query_fails_before_it_begins() {
    let (wire, _) = service();
    make_acme(&wire).await;
    let export = of_acme(api::ExportResultsRequest { query: "none".into() });
    let refused = ResultServiceClient::new(wire).export_results(export).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
}

#[tokio::test]
async fn documents_matched_against_another_query_set_are_a_failed_precondition() {
    let (wire, _) = service();
    let version = fill(&wire, 1..=1).await;
    let document = types::Document { id: Id::from_bytes([9; 16]).to_string(), ..types::Document::default() };
    let request = api::AppendDocumentsRequest {
        documents: vec![api::MatchedDocument { document: Some(document), matches: Vec::new() }],
        query_version: version + 1,
    };
    let refused = ContentStoreServiceClient::new(wire).append_documents(of_acme(request)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
}
