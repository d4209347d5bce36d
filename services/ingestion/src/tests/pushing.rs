//! Documents pushed one by one and in streams.

use tidemill_proto::ingestion::v1::{
    CreateQueryRequest, NewDocument, PushDocumentRequest, PushDocumentsRequest, PushDocumentsResponse,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use super::fixture::{Fixture, asked, text};

fn push(document: NewDocument) -> PushDocumentRequest {
    PushDocumentRequest { document: Some(document) }
}

fn numbered(sequence: u64, document: NewDocument) -> PushDocumentsRequest {
    PushDocumentsRequest { sequence, document: Some(document) }
}

/// Sends all, then reads every acknowledgement up to the end of the stream.
async fn stream(
    fixture: &Fixture,
    requests: Vec<PushDocumentsRequest>,
) -> (Vec<PushDocumentsResponse>, Option<tonic::Status>) {
    let requests = asked(futures::stream::iter(requests));
    let mut answers = fixture.client.clone().push_documents(requests).await.unwrap().into_inner();
    let mut heard = Vec::new();
    loop {
        match answers.message().await {
            Ok(Some(answer)) => heard.push(answer),
            Ok(None) => return (heard, None),
            Err(status) => return (heard, Some(status)),
        }
    }
}

#[tokio::test]
async fn a_pushed_document_names_the_queries_that_select_it_and_is_a_duplicate_the_second_time() {
    let fixture = Fixture::new().await;
    fixture.query("rust", "rust AND async").await;
    fixture.query("go", "golang").await;
    let mut client = fixture.client.clone();
    let document = text("News", "Rust has async functions.");
    let first = client.push_document(asked(push(document.clone()))).await.unwrap().into_inner();
    assert_eq!((first.duplicate, first.queries), (false, vec!["rust".to_owned()]));
    let again = client.push_document(asked(push(document))).await.unwrap().into_inner();
    assert_eq!((again.duplicate, again.document_id), (true, first.document_id));
}

#[tokio::test]
async fn a_query_that_another_instance_made_meanwhile_selects_the_next_document() {
    let fixture = Fixture::new().await;
    let mut client = fixture.client.clone();
    let before = client.push_document(asked(push(text("a", "the tide comes")))).await.unwrap().into_inner();
    assert!(before.queries.is_empty());
    fixture.query("sea", "tide").await;
    let after = client.push_document(asked(push(text("b", "the tide goes")))).await.unwrap().into_inner();
    assert_eq!(after.queries, ["sea"]);
}

#[tokio::test]
async fn a_refused_document_names_its_field() {
    let fixture = Fixture::new().await;
    let status = fixture.client.clone().push_document(asked(push(text("t", "  ")))).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(tidemill_chassis::fault::from_status(&status).violations[0].field, "document.body");
    let nobody = fixture.client.clone().push_document(push(text("t", "b"))).await.unwrap_err();
    assert_eq!(nobody.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_stream_counts_what_it_stored_skipped_and_refused() {
    let fixture = Fixture::new().await;
    fixture.query("even", "even").await;
    let mut requests: Vec<_> = (1..=600)
        .map(|n| numbered(n, text("t", &format!("{} {n}", if n % 2 == 0 { "even" } else { "odd" }))))
        .collect();
    requests[99] = numbered(100, text("t", ""));
    requests[199] = numbered(200, text("t", "odd 1"));
    requests[299] = PushDocumentsRequest { sequence: 300, document: None };
    let (answers, end) = stream(&fixture, requests).await;
    assert!(end.is_none(), "{end:?}");
    let last = answers.last().unwrap();
    assert_eq!((last.acknowledged, last.stored, last.duplicates, last.matches), (600, 597, 1, 297));
    let rejections = answers.iter().flat_map(|answer| &answer.rejections);
    let rejections: Vec<_> = rejections.map(|one| (one.sequence, one.field.as_str())).collect();
    assert_eq!(rejections, [(100, "body"), (300, "document")]);
    let acknowledged: Vec<_> = answers.iter().map(|answer| answer.acknowledged).collect();
    assert!(acknowledged.is_sorted() && acknowledged.len() >= 3, "{acknowledged:?}");
}

#[tokio::test]
async fn a_time_out_of_range_is_one_rejection_and_the_rest_of_its_batch_is_stored() {
    let fixture = Fixture::new().await;
    let mut requests: Vec<_> = (1..=9).map(|n| numbered(n, text("t", &format!("body {n}")))).collect();
    let document = requests[4].document.as_mut().unwrap();
    document.published_at = Some(pbjson_types::Timestamp { seconds: i64::MAX, nanos: 0 });
    let (answers, end) = stream(&fixture, requests).await;
    assert!(end.is_none(), "{end:?}");
    let last = answers.last().unwrap();
    assert_eq!((last.acknowledged, last.stored), (9, 8));
    let rejections: Vec<_> = answers.iter().flat_map(|answer| &answer.rejections).collect();
    assert_eq!(
        (rejections.len(), rejections[0].sequence, rejections[0].field.as_str()),
        (1, 5, "published_at")
    );
}

#[tokio::test]
async fn a_batch_whose_tasks_outgrow_a_message_is_stored_in_parts() {
    let fixture = Fixture::new().await;
    let wide = pbjson_types::value::Kind::StringValue("x".repeat(120 << 10));
    let wide = pbjson_types::Value { kind: Some(wide) };
    for n in 0..6 {
        let request = CreateQueryRequest {
            name: format!("q{n}"),
            expression: "tide".into(),
            parameters: Some(pbjson_types::Struct { fields: [("wide".to_owned(), wide.clone())].into() }),
            ..CreateQueryRequest::default()
        };
        fixture.other.clone().create_query(asked(request)).await.unwrap();
    }
    let requests = (1..=100).map(|n| numbered(n, text("t", &format!("tide {n}")))).collect();
    let (answers, end) = stream(&fixture, requests).await;
    assert!(end.is_none(), "{end:?}");
    let last = answers.last().unwrap();
    assert_eq!((last.acknowledged, last.stored, last.matches), (100, 100, 600));
}

#[tokio::test]
async fn without_numbers_the_server_counts() {
    let fixture = Fixture::new().await;
    let requests = (0..5).map(|n| numbered(0, text("t", &format!("body {n}")))).collect();
    let (answers, end) = stream(&fixture, requests).await;
    assert!(end.is_none());
    assert_eq!(answers.last().unwrap().acknowledged, 5);
}

#[tokio::test]
async fn a_sequence_that_does_not_rise_ends_the_stream_after_what_came_before() {
    let fixture = Fixture::new().await;
    let requests = vec![
        numbered(4, text("t", "one")),
        numbered(9, text("t", "two")),
        numbered(9, text("t", "three")),
        numbered(10, text("t", "four")),
    ];
    let (answers, end) = stream(&fixture, requests).await;
    let last = answers.last().unwrap();
    assert_eq!((last.acknowledged, last.stored), (9, 2));
    let end = end.unwrap();
    assert_eq!(end.code(), Code::InvalidArgument);
    assert!(end.message().contains("9 after 9"), "{}", end.message());
}

#[tokio::test]
async fn a_document_is_acknowledged_while_the_stream_stays_open() {
    let fixture = Fixture::new().await;
    let (say, said) = mpsc::channel(1);
    let requests = asked(ReceiverStream::new(said));
    let mut answers = fixture.client.clone().push_documents(requests).await.unwrap().into_inner();
    for n in 1..=3 {
        say.send(numbered(n, text("t", &format!("body {n}")))).await.unwrap();
        assert_eq!(answers.message().await.unwrap().unwrap().acknowledged, n);
    }
    drop(say);
    assert!(answers.message().await.unwrap().is_none());
}

#[tokio::test]
async fn a_client_that_reads_no_acknowledgement_is_not_read_from() {
    let fixture = Fixture::new().await;
    let (say, said) = mpsc::channel(1);
    let requests = asked(ReceiverStream::new(said));
    let answers = fixture.client.clone().push_documents(requests).await.unwrap();
    say.send(numbered(1, text("t", "one"))).await.unwrap();
    // Whatever a service would do on its own, it could do now.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    // One message waits in the channel; unless the service reads, there is no room for another.
    assert!(say.try_send(numbered(2, text("t", "two"))).is_err());
    let mut answers = answers.into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap().acknowledged, 1);
}
