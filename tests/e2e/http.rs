//! HTTP and JSON through the gateway: calls, streams, error bodies.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, ALLOW, CONTENT_TYPE};
use serde_json::{Value, json};
use tidemill_tests::harness::mesh::Mesh;
use tidemill_tests::in_both_wirings;

use crate::client;

in_both_wirings!(calls_and_streams_are_answered_in_json, what_is_wrong_is_answered_as_a_status);

async fn calls_and_streams_are_answered_in_json(mesh: Mesh, _: &Path) -> Result<()> {
    let (client, url) = (client::http(), mesh.url());
    let query = json!({"name": "tides", "expression": "tide"});
    let made = client.post(format!("{url}/v1/queries")).json(&query).send().await?;
    ensure!(made.status().is_success(), "{}", made.text().await?);
    for number in 0..3 {
        let document = json!({"title": format!("Number {number}"), "body": format!("tide number {number}")});
        let pushed = client.post(format!("{url}/v1/documents")).json(&document).send().await?;
        ensure!(pushed.status().is_success(), "{}", pushed.text().await?);
    }
    mesh.until_analysed().await?;
    let page: Value =
        client.get(format!("{url}/v1/results?query=tides&page_size=2")).send().await?.json().await?;
    let (results, token) =
        (page["results"].as_array().context("no results")?, page["nextPageToken"].as_str());
    ensure!(results.len() == 2 && token.is_some_and(|token| !token.is_empty()), "{page}");

    for (accept, mark) in [("text/event-stream", "data:"), ("application/x-ndjson", "{")] {
        let answer = client.get(format!("{url}/v1/results:export")).header(ACCEPT, accept).send().await?;
        let kind = answer.headers().get(CONTENT_TYPE).context("no content type")?.to_str()?.to_owned();
        let text = answer.text().await?;
        let items =
            text.lines().filter(|line| line.starts_with(mark) && line.contains("tide number")).count();
        ensure!(kind.starts_with(accept) && items >= 1, "{accept}: {kind}\n{text}");
        ensure!((0..3).all(|number| text.contains(&format!("tide number {number}"))), "{text}");
    }
    Ok(())
}

async fn what_is_wrong_is_answered_as_a_status(mesh: Mesh, _: &Path) -> Result<()> {
    let (client, url) = (client::http(), mesh.url());
    let get = |path: &str| client.get(format!("{url}{path}"));
    let post = |path: &str, kind: &str, body: &str| {
        client.post(format!("{url}{path}")).header(CONTENT_TYPE, kind).body(body.to_owned())
    };
    let json = "application/json";
    let cases = [
        (get("/v1/no-such-thing"), StatusCode::NOT_FOUND, 5),
        (get("/v1/documents/01a1fd11-6492-758d-8532-db4cef1ab80a"), StatusCode::NOT_FOUND, 5),
        (client.delete(format!("{url}/v1/counts")), StatusCode::METHOD_NOT_ALLOWED, 12),
        (post("/v1/documents", "text/plain", "a"), StatusCode::UNSUPPORTED_MEDIA_TYPE, 3),
        (post("/v1/documents", json, "{oops"), StatusCode::BAD_REQUEST, 3),
        (post("/v1/documents", json, r#"{"bodi": "a"}"#), StatusCode::BAD_REQUEST, 3),
        (post("/v1/queries", json, r#"{"name": "q", "expression": "a AND ("}"#), StatusCode::BAD_REQUEST, 3),
        (
            post("/v1/documents", json, &format!("{{\"body\":\"{}\"}}", "a".repeat(8 << 20))),
            StatusCode::PAYLOAD_TOO_LARGE,
            3,
        ),
    ];
    for (request, status, code) in cases {
        let answer = request.send().await?;
        let (given, allow) = (answer.status(), answer.headers().contains_key(ALLOW));
        let text = answer.text().await?;
        let body: Value = serde_json::from_str(&text).with_context(|| format!("no JSON: {given} {text}"))?;
        ensure!(given == status && body["code"] == code, "expected {status} and code {code}: {given} {body}");
        ensure!(body["message"].as_str().is_some_and(|message| message.len() > 10), "{body}");
        ensure!(status != StatusCode::METHOD_NOT_ALLOWED || allow, "405 names no method that is allowed");
    }
    Ok(())
}
