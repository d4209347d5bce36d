//! Streams out and in.

use futures::StreamExt;
use serde_json::{Value, json};
use tidemill_gateway::Config;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::mesh::{Mesh, refused};

/// The JSON texts of the lines.
fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn result(query: &str, title: &str) -> Value {
    json!({"result": {"query": query, "title": title}})
}

#[tokio::test]
async fn lines_come_one_by_one_and_a_failure_last() {
    let mesh = Mesh::open().await;
    let response = mesh.get("/v1/results:export?query=q").send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    assert_eq!(lines(&response.text().await.unwrap()), [result("q", "one"), result("q", "two")]);

    let response = mesh.get("/v1/results:export?query=broken").send().await.unwrap();
    let seen = lines(&response.text().await.unwrap());
    assert_eq!(seen[..2], [result("broken", "one"), result("broken", "two")]);
    let error = &seen[2]["error"];
    assert_eq!((&error["code"], &error["message"]), (&json!(13), &json!("the disk is on fire")));
    assert_eq!(seen.len(), 3);
    refused(mesh.get("/v1/results:export?query=missing"), 404, 5).await;
    refused(mesh.get("/v1/results:export").header("accept", "text/html"), 406, 3).await;
}

#[tokio::test]
async fn events_come_one_by_one_and_a_failure_as_an_error_event() {
    let mesh = Mesh::open().await;
    let request = mesh.get("/v1/results:export?query=broken").header("accept", "text/event-stream");
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text = response.text().await.unwrap();
    let events: Vec<_> = text.split_terminator("\n\n").collect();
    assert_eq!(events.len(), 3, "{text}");
    let data: Value = serde_json::from_str(events[0].strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(data, result("broken", "one"));
    let error: Value = serde_json::from_str(events[2].strip_prefix("event: error\ndata: ").unwrap()).unwrap();
    assert_eq!(error["code"], 13);
}

#[tokio::test]
async fn items_are_not_held_back_and_silence_is_kept_alive() {
    let mesh = Mesh::new(Config { keep_alive_ms: 20, ..Config::default() }).await;
    let watch = mesh.get("/v1/queue:watch?interval=1s");
    let mut lines = watch.send().await.unwrap().bytes_stream();
    assert_eq!(lines.next().await.unwrap().unwrap(), "{\"queue\":{}}\n");
    let watch = mesh.get("/v1/queue:watch").header("accept", "text/event-stream");
    let mut events = watch.send().await.unwrap().bytes_stream();
    let mut text = String::new();
    while !text.ends_with(": keep-alive\n\n: keep-alive\n\n") {
        text.push_str(std::str::from_utf8(&events.next().await.unwrap().unwrap()).unwrap());
    }
    assert!(text.starts_with("data: {\"queue\":{}}\n\n: keep-alive\n\n"), "{text}");
}

#[tokio::test]
async fn uploaded_lines_are_acknowledged_while_more_are_to_come() {
    let mesh = Mesh::open().await;
    let (lines, body) = mpsc::channel::<Result<&str, std::io::Error>>(1);
    let body = reqwest::Body::wrap_stream(ReceiverStream::new(body));
    let request = mesh.post("/v1/documents:stream").header("content-type", "application/x-ndjson");
    lines.send(Ok("{\"title\":\"a\",\"body\":\"123\"}\n\n{\"bo")).await.unwrap();
    let mut answers = request.body(body).send().await.unwrap().bytes_stream();
    assert_eq!(answers.next().await.unwrap().unwrap(), "{\"acknowledged\":\"1\",\"stored\":\"3\"}\n");
    lines.send(Ok("dy\":\"45\"}\r\n")).await.unwrap();
    assert_eq!(answers.next().await.unwrap().unwrap(), "{\"acknowledged\":\"2\",\"stored\":\"5\"}\n");
    lines.send(Ok("{\"body\":\"6\"}")).await.unwrap();
    drop(lines);
    assert_eq!(answers.next().await.unwrap().unwrap(), "{\"acknowledged\":\"3\",\"stored\":\"6\"}\n");
    assert!(answers.next().await.is_none());
}

#[tokio::test]
async fn a_wrong_line_ends_the_upload_after_what_came_before_it() {
    let mesh = Mesh::new(Config { line_limit: 100, ..Config::default() }).await;
    let long = format!("{{\"body\":\"{}\"}}", "x".repeat(100));
    for (wrong, said) in [
        ("{\"body\":", "line 3: column 8: document.body: EOF"),
        ("{\"bod\":1}", "line 3: column 6: document.bod: unknown field `bod`"),
        ("{\"body\":1}", "line 3: column 9: document.body: expected a text"),
        (long.as_str(), "line 3 is longer than 100 bytes"),
    ] {
        let body = format!("{{\"body\":\"1\"}}\n{{\"body\":\"2\"}}\n{wrong}\n{{\"body\":\"4\"}}\n");
        let response = mesh.post("/v1/documents:stream").body(body).send().await.unwrap();
        let seen = lines(&response.text().await.unwrap());
        assert_eq!(seen[1], json!({"acknowledged": "2", "stored": "2"}));
        let error = &seen[2]["error"];
        assert_eq!(error["code"], 3);
        assert!(error["message"].as_str().unwrap().starts_with(said), "{error}");
        assert_eq!(seen.len(), 3);
    }
    let typed = mesh.post("/v1/documents:stream").header("content-type", "text/csv").body("a,b\n");
    refused(typed, 415, 3).await;
}

#[tokio::test]
async fn a_long_upload_arrives_whole() {
    let mesh = Mesh::open().await;
    let line = format!("{{\"body\":\"{}\"}}\n", "x".repeat(1_000));
    let body = line.repeat(5_000);
    let response = mesh.post("/v1/documents:stream").body(body).send().await.unwrap();
    let last = response.text().await.unwrap().lines().last().map(str::to_owned);
    assert_eq!(last.as_deref(), Some("{\"acknowledged\":\"5000\",\"stored\":\"5000000\"}"));
}
