//! Queries and sources.

use std::sync::Arc;

use tidemill_chassis::layers::ServerLimits;
use tidemill_chassis::{SystemClock, Wire};
use tidemill_proto::analysis::v1::analysis_service_client::AnalysisServiceClient;
use tidemill_proto::ingestion::v1::ingestion_service_client::IngestionServiceClient;
use tidemill_proto::ingestion::v1::{
    CreateQueryRequest, CreateSourceRequest, DeleteQueryRequest, ListQueriesRequest, RunSourceRequest,
};
use tidemill_proto::scheduling::v1::scheduling_service_client::SchedulingServiceClient;
use tidemill_proto::scheduling::v1::worker_service_client::WorkerServiceClient;
use tidemill_proto::types::v1::{Priority, SourceKind};
use tonic::Code;

use super::fixture::{Fixture, asked, asking};
use crate::{Deps, build};

#[tokio::test]
async fn a_query_gets_its_defaults_and_is_listed_until_it_is_removed() {
    let fixture = Fixture::new().await;
    let made = fixture.query("sea", "tide OR wave").await;
    assert_eq!((made.recipe.as_str(), made.priority()), ("brief", Priority::Normal));
    assert!(!made.id.is_empty());
    let mut client = fixture.client.clone();
    let listed = client.list_queries(asked(ListQueriesRequest::default())).await.unwrap().into_inner();
    assert_eq!(listed.queries, [made]);
    client.delete_query(asked(DeleteQueryRequest { name: "sea".into() })).await.unwrap();
    let listed = client.list_queries(asked(ListQueriesRequest::default())).await.unwrap().into_inner();
    assert!(listed.queries.is_empty());
}

#[tokio::test]
async fn a_wrong_expression_is_shown_with_its_place() {
    let fixture = Fixture::new().await;
    let request = CreateQueryRequest {
        name: "sea".into(),
        expression: "tide AND (wave".into(),
        ..CreateQueryRequest::default()
    };
    let status = fixture.client.clone().create_query(asked(request)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("character 1"), "{}", status.message());
    assert!(status.message().contains("\ntide AND (wave\n"), "{}", status.message());
    assert!(status.message().ends_with('^'), "{}", status.message());
}

#[tokio::test]
async fn parameters_too_long_for_a_task_are_refused() {
    let fixture = Fixture::new().await;
    let value =
        pbjson_types::Value { kind: Some(pbjson_types::value::Kind::StringValue("a".repeat(200 << 10))) };
    let request = CreateQueryRequest {
        name: "sea".into(),
        expression: "tide".into(),
        parameters: Some(pbjson_types::Struct { fields: [("labels".to_owned(), value)].into() }),
        ..CreateQueryRequest::default()
    };
    let status = fixture.client.clone().create_query(asked(request)).await.unwrap_err();
    assert_eq!(tidemill_chassis::fault::from_status(&status).violations[0].field, "parameters");
}

#[tokio::test]
async fn without_the_analysis_service_no_query_is_taken_whose_recipe_is_unchecked() {
    let fixture = Fixture::new().await;
    let absent = || Wire::absent("scheduling");
    let deps = Deps {
        content: fixture.content.clone(),
        scheduling: SchedulingServiceClient::new(absent()),
        workers: WorkerServiceClient::new(absent()),
        schedulers: absent().into(),
        slots: None,
        recipes: Some(AnalysisServiceClient::new(Wire::absent("analysis"))),
        clock: Arc::new(SystemClock),
    };
    let part = build(fixture.config.clone(), deps).unwrap();
    let mut client = IngestionServiceClient::new(part.wire(ServerLimits::default()));
    let request = CreateQueryRequest { name: "sea".into(), expression: "tide".into(), ..Default::default() };
    let status = client.create_query(asked(request)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(
        status.message().contains("analysis") && status.message().contains("again"),
        "{}",
        status.message()
    );
}

#[tokio::test]
async fn a_source_needs_a_name_and_a_place_that_can_be_read() {
    let fixture = Fixture::new().await;
    let make = |name: &str, kind: SourceKind, location: &str| {
        let request = CreateSourceRequest { name: name.into(), kind: kind.into(), location: location.into() };
        let mut client = fixture.client.clone();
        async move { client.create_source(asked(request)).await.map(|made| made.into_inner().source.unwrap()) }
    };
    let made = make("notes", SourceKind::Folder, "notes").await.unwrap();
    assert!(made.location.starts_with('/') && made.location.ends_with("/notes"), "{}", made.location);
    for (name, kind, location) in [
        ("Notes", SourceKind::Folder, "/notes"),
        ("feed", SourceKind::Feed, "gopher://example.org"),
        ("feed", SourceKind::Unspecified, "/notes"),
    ] {
        assert_eq!(make(name, kind, location).await.unwrap_err().code(), Code::InvalidArgument);
    }
}

#[tokio::test]
async fn a_source_that_is_not_there_cannot_be_run() {
    let fixture = Fixture::new().await;
    let request = asked(RunSourceRequest { name: "none".into() });
    assert_eq!(fixture.client.clone().run_source(request).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn only_operators_name_places_on_the_servers_disk() {
    let fixture = Fixture::new().await;
    let source = |kind: SourceKind, location: &str| CreateSourceRequest {
        name: "a".into(),
        kind: kind.into(),
        location: location.into(),
    };
    let mut client = fixture.client.clone();
    for request in [source(SourceKind::Folder, "/etc"), source(SourceKind::Feed, "/etc/passwd")] {
        let status = client.create_source(asking().request(request)).await.unwrap_err();
        assert!(status.code() == Code::InvalidArgument && status.message().contains("operators"), "{status}");
    }
    let feed = source(SourceKind::Feed, "https://tides.example/feed");
    client.create_source(asking().request(feed)).await.unwrap();
}
