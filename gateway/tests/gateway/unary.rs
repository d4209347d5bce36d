//! Calls of one message each way.

use serde_json::json;

use crate::mesh::{Mesh, seen};

#[tokio::test]
async fn path_and_query_reach_the_service() {
    let mesh = Mesh::open().await;
    let (status, body) = seen(mesh.get("/v1/tasks/a%2Fb%3Ac")).await;
    assert_eq!((status, &body["task"]["id"]), (200, &json!("a/b:c")));
    let query = "/v1/tasks?state=TASK_STATE_DEAD&kind=a+b%26c&pageSize=7&page_token=t";
    let (status, body) = seen(mesh.get(query)).await;
    assert_eq!((status, body), (200, json!({"nextPageToken": "4|a b&c|7|t"})));
    assert_eq!(seen(mesh.get("/v1/counts")).await.1["documents"], "9007199254740993");
    assert_eq!(seen(mesh.request("DELETE", "/v1/queries/x")).await, (200, json!({})));
}

#[tokio::test]
async fn bodies_reach_the_service_whole_or_as_one_field() {
    let mesh = Mesh::open().await;
    let body = json!({"tasks": [{"kind": "x", "priority": "PRIORITY_INTERACTIVE"}]});
    let expected = json!({"tasks": [{"id": "x", "duplicate": true}]});
    assert_eq!(seen(mesh.post("/v1/tasks").json(&body)).await, (200, expected.clone()));
    let typed = mesh.post("/v1/tasks").header("content-type", "application/json; charset=utf-8");
    assert_eq!(seen(typed.body(body.to_string())).await, (200, expected.clone()));
    assert_eq!(seen(mesh.post("/v1/tasks").body(body.to_string())).await, (200, expected));
    let pushed = mesh.post("/v1/documents").json(&json!({"title": "t", "body": "b"}));
    assert_eq!(seen(pushed).await, (200, json!({"documentId": "t"})));
}

#[tokio::test]
async fn a_verb_needs_no_body_and_the_path_joins_one() {
    let mesh = Mesh::open().await;
    let expected = (200, json!({"task": {"id": "7"}}));
    assert_eq!(seen(mesh.post("/v1/tasks/7:cancel")).await, expected);
    assert_eq!(seen(mesh.post("/v1/tasks/7:cancel").json(&json!({}))).await, expected);
    let (status, body) = seen(mesh.post("/v1/tasks/7:cancel").json(&json!({"id": "8"}))).await;
    assert_eq!((status, &body["code"]), (400, &json!(3)));
}

#[tokio::test]
async fn tenant_and_trace_go_along() {
    let mesh = Mesh::open().await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = mesh.get("/v1/tasks/7").header("tidemill-tenant", "acme").header("traceparent", trace);
    let (_, body) = seen(request).await;
    assert_eq!(body["task"]["tenant"], "acme operator");
    assert_eq!(body["task"]["traceParent"], trace);
    let response = mesh.get("/v1/tasks/7").send().await.unwrap();
    let fresh = response.headers()["traceparent"].to_str().unwrap().to_owned();
    let body: serde_json::Value = response.json().await.unwrap();
    assert_eq!(body["task"]["tenant"], "default operator");
    assert_eq!(body["task"]["traceParent"], fresh);
    assert_eq!(fresh.len(), trace.len());
}

#[tokio::test]
async fn the_root_the_health_paths_head_and_options_answer() {
    let mesh = Mesh::open().await;
    let (status, body) = seen(mesh.get("/")).await;
    assert_eq!((status, &body["name"]), (200, &json!("tidemill")));
    assert!(body["routes"].as_array().unwrap().contains(&json!("GET /v1/tasks/{id}")));
    // Probes reach a process by whatever address it has.
    let probe = mesh.get("/healthz").header("host", "10.0.0.7:7070").send().await.unwrap();
    assert_eq!((probe.status().as_u16(), probe.text().await.unwrap().as_str()), (200, "ok\n"));
    let (status, body) = seen(mesh.get("/openapi.json")).await;
    assert_eq!((status, &body["openapi"]), (200, &json!("3.1.0")));
    let head = mesh.request("HEAD", "/v1/tasks/7").send().await.unwrap();
    assert_eq!((head.status().as_u16(), head.text().await.unwrap().as_str()), (200, ""));
    let options = mesh.request("OPTIONS", "/v1/tasks").send().await.unwrap();
    assert_eq!(
        (options.status().as_u16(), &options.headers()["allow"]),
        (204, &"GET, POST, HEAD, OPTIONS".parse().unwrap())
    );
}

#[tokio::test]
async fn readiness_asks_every_service_over_its_own_wire() {
    let (status, body) = seen(Mesh::open().await.get("/readyz").header("host", "10.0.0.7:7070")).await;
    assert_eq!((status, &body["ready"], &body["keys"]), (200, &json!(true), &json!("Serving")), "{body}");
    assert_eq!(body["services"]["tidemill.scheduling.v1.SchedulingService"], "Serving");
    let lost = "tidemill.analysis.v1.AnalysisService";
    let mesh = Mesh::without(lost).await;
    let (status, body) = seen(mesh.get("/readyz")).await;
    assert_eq!((status, &body["ready"]), (503, &json!(false)), "{body}");
    assert_eq!(body["services"][lost], "Unavailable");
    assert_eq!(seen(Mesh::keyed().await.get("/readyz")).await.0, 200, "probes have no key");
    assert_eq!(mesh.get("/healthz").send().await.unwrap().status(), 200, "it lives all the same");
    let lost = "tidemill.storage.v1.TenantStoreService";
    assert_eq!(seen(Mesh::without(lost).await.get("/readyz")).await.0, 503);
}

#[tokio::test]
async fn an_empty_body_is_no_body() {
    let mesh = Mesh::open().await;
    let chunks = futures::stream::empty::<Result<Vec<u8>, std::io::Error>>();
    let request = mesh.get("/v1/tasks/7").body(reqwest::Body::wrap_stream(chunks));
    let (status, body) = seen(request).await;
    assert_eq!((status, &body["task"]["id"]), (200, &json!("7")));
}

#[tokio::test]
async fn json_goes_over_http_2_on_the_same_port() {
    let mesh = Mesh::open().await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let request = mesh.get("/v1/tasks/7").build().unwrap();
    let response = client.execute(request).await.unwrap();
    assert_eq!((response.version(), response.status().as_u16()), (http::Version::HTTP_2, 200));
    let body: serde_json::Value = response.json().await.unwrap();
    assert_eq!(body["task"]["id"], "7");
}
