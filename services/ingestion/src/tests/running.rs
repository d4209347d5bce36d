//! Sources run through the service: the task is queued, leased by the collector's worker, run, and its matches analysed.

use std::time::Duration;

use serde_json::{Value, json};
use tidemill_chassis::fault::from_status;
use tidemill_kernel::ErrorKind;
use tidemill_proto::ingestion::v1::CreateQueryRequest;
use tidemill_proto::types::v1::{SourceKind, Task, TaskState};
use tonic::Status;

use super::fixture::asked;
use super::mesh::Mesh;
use super::site::{Page, Site};

fn report(task: &Task) -> Value {
    assert_eq!((task.state(), task.error.as_str()), (TaskState::Succeeded, ""));
    serde_json::from_str(&task.result).unwrap()
}

async fn query(mesh: &Mesh, recipe: &str, parameters: Value) -> Result<String, Status> {
    let request = CreateQueryRequest {
        name: "sea".into(),
        expression: "tide".into(),
        recipe: recipe.into(),
        parameters: serde_json::from_value(parameters).ok(),
        ..CreateQueryRequest::default()
    };
    let made = mesh.client.clone().create_query(asked(request)).await?;
    Ok(made.into_inner().query.unwrap().recipe)
}

#[tokio::test]
async fn a_folder_is_collected_by_a_task_that_tells_what_it_found() {
    let mesh = Mesh::start().await;
    query(&mesh, "", json!({})).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (name, body) in [("a.txt", "the tide comes"), ("b.md", "# Low\n\nthe tide goes"), ("c.txt", " ")] {
        std::fs::write(folder.path().join(name), body).unwrap();
    }
    let task = mesh.collected("notes", SourceKind::Folder, folder.path().to_str().unwrap()).await;
    let found = report(&task);
    assert_eq!(
        (&found["stored"], &found["matches"], &found["skipped_total"]),
        (&json!(2), &json!(2), &json!(1))
    );
    assert!(task.worker.starts_with("collector-"), "{}", task.worker);
    let again = report(&mesh.run("notes").await);
    assert_eq!((&again["stored"], &again["duplicates"]), (&json!(0), &json!(2)));
    assert!(mesh.shutdown.drain(Duration::from_secs(10)).await);
}

#[tokio::test]
async fn a_feed_is_collected_over_http_and_not_read_again_unchanged() {
    let (mesh, site) = (Mesh::start().await, Site::open().await);
    let feed = "<feed xmlns=\"http://www.w3.org/2005/Atom\"><title>Sea</title><id>f</id><entry><id>1</id>\
        <title>High</title><link href=\"high\"/><content>The tide is high.</content></entry></feed>";
    site.put("/atom", Page::Tagged(feed.into(), "\"v1\""));
    let found = report(&mesh.collected("news", SourceKind::Feed, &site.url("/atom")).await);
    assert_eq!((&found["stored"], &found["not_modified"]), (&json!(1), &json!(false)));
    assert_eq!(report(&mesh.run("news").await)["not_modified"], json!(true));
    assert_eq!(site.asked().len(), 2);
    assert!(mesh.shutdown.drain(Duration::from_secs(10)).await);
}

#[tokio::test]
async fn a_source_that_cannot_be_read_is_a_dead_task_with_its_reason() {
    let mesh = Mesh::start().await;
    let task = mesh.collected("notes", SourceKind::Folder, "/no/such/folder").await;
    assert_eq!((task.state(), task.attempt), (TaskState::Dead, 1));
    assert!(task.error.contains("/no/such/folder does not exist"), "{}", task.error);
}

#[tokio::test]
async fn a_query_with_a_recipe_that_cannot_run_is_refused_with_the_field_and_what_is_known() {
    let mesh = Mesh::start().await;
    for (recipe, parameters, field, words) in [
        ("sumarize", json!({}), "recipe", "known are brief@1, classify@1, summarize@1"),
        ("classify", json!({}), "parameters", "labels"),
        ("brief", json!({ "labels": ["a", "b"] }), "parameters", "`labels` is not known"),
    ] {
        let fault = from_status(&query(&mesh, recipe, parameters).await.unwrap_err());
        assert_eq!((fault.kind, fault.violations[0].field.as_str()), (ErrorKind::Invalid, field));
        assert!(fault.message.contains(words), "{}", fault.message);
    }
    assert_eq!(query(&mesh, "classify@1", json!({ "labels": ["a", "b"] })).await.unwrap(), "classify@1");
}
