//! gRPC straight through.

use tidemill_proto::ingestion::v1::ingestion_service_client::IngestionServiceClient;
use tidemill_proto::ingestion::v1::{NewDocument, PushDocumentsRequest};
use tidemill_proto::scheduling::v1::scheduling_service_client::SchedulingServiceClient;
use tidemill_proto::scheduling::v1::worker_service_client::WorkerServiceClient;
use tidemill_proto::scheduling::v1::{GetTaskRequest, WakeRequest};
use tidemill_proto::storage::v1::ExportResultsRequest;
use tidemill_proto::storage::v1::result_service_client::ResultServiceClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;

use crate::fakes::{KEY, OPERATOR_KEY};
use crate::mesh::Mesh;

fn with<T>(message: T, headers: &[(&'static str, &'static str)]) -> Request<T> {
    let mut request = Request::new(message);
    for (name, value) in headers {
        request.metadata_mut().insert(*name, value.parse().unwrap());
    }
    request
}

fn task(id: &str) -> GetTaskRequest {
    GetTaskRequest { id: id.to_owned() }
}

async fn scheduling(mesh: &Mesh) -> SchedulingServiceClient<Channel> {
    SchedulingServiceClient::new(mesh.channel().await)
}

#[tokio::test]
async fn calls_pass_with_the_caller_s_own_context_only() {
    let mesh = Mesh::keyed().await;
    let mut client = scheduling(&mesh).await;
    let claims = [("x-api-key", KEY.0), ("tidemill-tenant", "evil"), ("tidemill-operator", "true")];
    let seen = client.get_task(with(task("7"), &claims)).await.unwrap();
    let trace = seen.metadata().get("traceparent").unwrap().to_str().unwrap().to_owned();
    let seen = seen.into_inner().task.unwrap();
    assert_eq!((seen.tenant.as_str(), &seen.trace_parent), ("acme", &trace));
    assert_eq!(client.get_task(task("7")).await.unwrap_err().code(), Code::Unauthenticated);
    let unknown = with(task("7"), &[("authorization", "Bearer nobody's")]);
    assert_eq!(client.get_task(unknown).await.unwrap_err().code(), Code::Unauthenticated);
    let mesh = Mesh::open().await;
    let mut open = scheduling(&mesh).await;
    let seen = open.get_task(with(task("7"), &[("tidemill-tenant", "acme")])).await.unwrap().into_inner();
    assert_eq!(seen.task.unwrap().tenant, "acme operator");
}

#[tokio::test]
async fn errors_keep_their_details_in_heads_and_in_trailers() {
    let mesh = Mesh::open().await;
    let status = scheduling(&mesh).await.get_task(task("busy")).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.get_details_retry_info().is_some());
    let mut results = ResultServiceClient::new(mesh.channel().await);
    let broken = ExportResultsRequest { query: "broken".to_owned() };
    let mut stream = results.export_results(broken).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some() && stream.message().await.unwrap().is_some());
    let status = stream.message().await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Internal, "the disk is on fire"));
    assert_eq!(status.get_details_error_info().unwrap().reason, "INTERNAL");
}

#[tokio::test]
async fn both_directions_stream_at_once() {
    let mesh = Mesh::open().await;
    let mut client = IngestionServiceClient::new(mesh.channel().await);
    let (documents, requests) = mpsc::channel(1);
    let mut answers = client.push_documents(ReceiverStream::new(requests)).await.unwrap().into_inner();
    for expected in 1..=100 {
        let document = Some(NewDocument { body: "x".to_owned(), ..NewDocument::default() });
        documents.send(PushDocumentsRequest { sequence: 0, document }).await.unwrap();
        assert_eq!(answers.message().await.unwrap().unwrap().acknowledged, expected);
    }
    drop(documents);
    assert!(answers.message().await.unwrap().is_none());
}

#[tokio::test]
async fn health_needs_no_key_and_an_unknown_service_is_named() {
    let mesh = Mesh::keyed().await;
    let mut health = HealthClient::new(mesh.channel().await);
    let check = HealthCheckRequest { service: "tidemill.storage.v1.ResultService".to_owned() };
    assert_eq!(health.check(check).await.unwrap().into_inner().status, 1);
    let mut grpc = tonic::client::Grpc::new(mesh.channel().await);
    grpc.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<GetTaskRequest, GetTaskRequest>::default();
    let request = with(task("7"), &[("x-api-key", KEY.0)]);
    let path = http::uri::PathAndQuery::from_static("/no.Such/Call");
    let status = grpc.unary(request, path, codec).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(status.message().contains("no.Such"), "{status}");
}

#[tokio::test]
async fn internal_services_are_for_operators_and_see_the_tenant_that_those_name() {
    let mesh = Mesh::keyed().await;
    let mut workers = WorkerServiceClient::new(mesh.channel().await);
    let status = workers.wake(with(WakeRequest::default(), &[("x-api-key", KEY.0)])).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let named = with(WakeRequest::default(), &[("x-api-key", OPERATOR_KEY.0), ("tidemill-tenant", "acme")]);
    let seen = workers.wake(named).await.unwrap();
    assert_eq!(seen.metadata().get("seen-tenant").unwrap(), "acme operator");
    let mesh = Mesh::open().await;
    let mut open = WorkerServiceClient::new(mesh.channel().await);
    let seen = open.wake(WakeRequest::default()).await.unwrap();
    assert_eq!(seen.metadata().get("seen-tenant").unwrap(), " operator");
}

#[tokio::test]
async fn web_pages_are_refused_in_grpc_too() {
    let mesh = Mesh::open().await;
    let mut client = scheduling(&mesh).await;
    let claimed = client.get_task(with(task("7"), &[("origin", "http://evil.example")])).await.unwrap_err();
    assert_eq!(claimed.code(), Code::PermissionDenied);
}
