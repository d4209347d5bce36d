//! A process that is to stop: what is under way is finished, nothing more is taken, and the client hears how to go on.

use std::sync::Arc;
use std::time::Duration;

use tidemill_chassis::sleep;
use tidemill_proto::ingestion::v1::{PushDocumentRequest, PushDocumentsRequest, PushDocumentsResponse};
use tidemill_proto::types::v1::{SourceKind, TaskState};
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::fixture::{asked, text};
use super::mesh::Mesh;
use super::site::{Page, Site};

/// A stream of documents without an end, and its answers. The first task ends when nobody takes any more.
async fn endless(mesh: &Mesh) -> (tokio::task::JoinHandle<u64>, Streaming<PushDocumentsResponse>) {
    let (say, said) = mpsc::channel(16);
    let feeder = tokio::spawn(async move {
        let mut sequence = 0;
        loop {
            sequence += 1;
            let document = Some(text("t", &format!("body {sequence}")));
            if say.send(PushDocumentsRequest { sequence, document }).await.is_err() {
                return sequence;
            }
        }
    });
    let answers = mesh.client.clone().push_documents(asked(ReceiverStream::new(said))).await.unwrap();
    (feeder, answers.into_inner())
}

/// The last acknowledged number, from `last` on, and how the stream ends.
async fn end(answers: &mut Streaming<PushDocumentsResponse>, mut last: u64) -> (u64, Option<Status>) {
    loop {
        match answers.message().await {
            Ok(Some(answer)) => last = answer.acknowledged,
            Ok(None) => return (last, None),
            Err(status) => return (last, Some(status)),
        }
    }
}

/// Whether the document of this number is stored already.
async fn is_known(mesh: &Mesh, sequence: u64) -> bool {
    let request = PushDocumentRequest { document: Some(text("t", &format!("body {sequence}"))) };
    mesh.client.clone().push_document(asked(request)).await.unwrap().into_inner().duplicate
}

#[tokio::test]
async fn a_push_ends_with_what_was_taken_acknowledged_and_the_way_to_go_on() {
    let mesh = Mesh::start().await;
    let (feeder, mut answers) = endless(&mesh).await;
    let first = answers.message().await.unwrap().unwrap().acknowledged;
    mesh.shutdown.begin();
    let (last, status) = end(&mut answers, first).await;
    let status = status.unwrap();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("push again"), "{}", status.message());
    assert!(feeder.await.unwrap() >= last);
    // A document by itself is stored until the very end: what is acknowledged is known, the one behind it is not.
    assert!(is_known(&mesh, last).await && !is_known(&mesh, last + 1).await);
    assert!(mesh.shutdown.drain(Duration::from_secs(10)).await);
}

#[tokio::test]
async fn a_push_that_waits_for_its_client_ends_too_and_so_does_one_that_begins_now() {
    let mesh = Mesh::start().await;
    let (say, said) = mpsc::channel(1);
    let waiting = mesh.client.clone().push_documents(asked(ReceiverStream::new(said))).await.unwrap();
    mesh.shutdown.begin();
    let (last, status) = end(&mut waiting.into_inner(), 0).await;
    assert_eq!((last, status.map(|status| status.code())), (0, Some(Code::Unavailable)));
    say.closed().await;
    let (_, mut answers) = endless(&mesh).await;
    // The background loop hears of the stop in its own time.
    let (_, status) = end(&mut answers, 0).await;
    assert_eq!(status.map(|status| status.code()), Some(Code::Unavailable));
}

#[tokio::test]
async fn a_collection_under_way_is_finished() {
    let (mesh, site, gate) = (Mesh::start().await, Site::open().await, Arc::new(Notify::new()));
    let feed = "<rss version=\"2.0\"><channel><title>Sea</title><item><guid>1</guid><title>High</title>\
        <description>The tide is high.</description></item></channel></rss>";
    site.put("/feed", Page::Held(feed.into(), Arc::clone(&gate)));
    mesh.source("news", SourceKind::Feed, &site.url("/feed")).await;
    let task = mesh.begin("news").await;
    while site.asked().is_empty() {
        sleep(Duration::from_millis(5)).await;
    }
    mesh.shutdown.begin();
    gate.notify_one();
    assert!(mesh.shutdown.drain(Duration::from_secs(10)).await);
    let task = mesh.ended(&task).await;
    assert_eq!((task.state(), task.attempt), (TaskState::Succeeded, 1), "{}", task.error);
    assert!(task.result.contains("\"stored\":1"), "{}", task.result);
}
