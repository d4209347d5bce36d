//! What is refused, and how it is said.

use serde_json::json;
use tidemill_gateway::Config;

use crate::mesh::{Mesh, detail, refused};

#[tokio::test]
async fn a_service_s_error_keeps_code_message_and_details() {
    let mesh = Mesh::open().await;
    let (body, _) = refused(mesh.get("/v1/tasks/missing"), 404, 5).await;
    assert_eq!(body["message"], "there is no task `missing`");
    assert_eq!(detail(&body, "ErrorInfo")["reason"], "NOT_FOUND");
    let (body, headers) = refused(mesh.get("/v1/tasks/busy"), 429, 8).await;
    assert_eq!(detail(&body, "RetryInfo")["retryDelay"], "1.500s");
    assert_eq!(headers["retry-after"], "2");
    refused(mesh.get("/v1/results"), 501, 12).await;
    // Described and routed, but not served here.
    refused(mesh.get("/v1/recipes"), 501, 12).await;
}

#[tokio::test]
async fn a_json_fault_names_its_field_and_place() {
    let mesh = Mesh::open().await;
    let text = "{\"tasks\": [\n  {\"kid\": 1}\n]}";
    let (body, _) = refused(mesh.post("/v1/tasks").body(text), 400, 3).await;
    let message = body["message"].as_str().unwrap();
    assert!(message.starts_with("line 2, column 8: tasks[0].kid: unknown field `kid`"), "{message}");
    assert_eq!(detail(&body, "BadRequest")["fieldViolations"][0]["field"], "tasks[0].kid");
    for text in ["", "{", "{} x", "[]", "\"\u{0}\"", "nul"] {
        refused(mesh.post("/v1/tasks").body(text), 400, 3).await;
    }
    let (body, _) =
        refused(mesh.post("/v1/tasks").body(b"{\"tasks\":[{\"kind\":\"\xff\"}]}".to_vec()), 400, 3).await;
    assert!(body["message"].as_str().unwrap().contains("tasks[0].kind"), "{body}");
    let nested = format!("{{\"parameters\":{{\"a\":{}{}}}}}", "[".repeat(60), "]".repeat(60));
    let (body, _) = refused(mesh.post("/v1/queries").body(nested), 400, 3).await;
    assert_eq!(detail(&body, "BadRequest")["fieldViolations"][0]["field"], "parameters");
    let deep = "[".repeat(100_000);
    refused(mesh.post("/v1/tasks").body(deep), 400, 3).await;
}

#[tokio::test]
async fn a_parameter_at_fault_is_named() {
    let mesh = Mesh::open().await;
    for (path, field) in [
        ("/v1/tasks?page_size=x", "page_size"),
        ("/v1/tasks?nam=x", "nam"),
        ("/v1/tasks?kind=%ff", "kind"),
        ("/v1/tasks/%ff", "id"),
        ("/v1/tasks?kind=a&kind=b", "kind"),
        ("/v1/queue:watch?interval=soon", "interval"),
    ] {
        let (body, _) = refused(mesh.get(path), 400, 3).await;
        assert_eq!(detail(&body, "BadRequest")["fieldViolations"][0]["field"], field);
    }
    let request = mesh.get("/v1/tasks").header("tidemill-tenant", "No Such");
    let (body, _) = refused(request, 400, 3).await;
    assert!(body["message"].as_str().unwrap().contains("cannot name a tenant"), "{body}");
}

#[tokio::test]
async fn what_only_http_knows_has_its_own_status() {
    let mesh = Mesh::open().await;
    let (body, _) = refused(mesh.get("/v1/task"), 404, 5).await;
    assert!(body["message"].as_str().unwrap().contains("did you mean /v1/tasks or"), "{body}");
    let (body, _) = refused(mesh.get("/nothing"), 404, 5).await;
    assert!(body["message"].as_str().unwrap().contains("GET / lists the routes"), "{body}");
    refused(mesh.post("/readyz"), 405, 12).await;
    let (_, headers) = refused(mesh.request("PUT", "/v1/tasks/7"), 405, 12).await;
    assert_eq!(headers["allow"], "GET, HEAD, OPTIONS");
    let form = mesh.post("/v1/tasks").header("content-type", "application/x-www-form-urlencoded").body("{}");
    let (body, _) = refused(form, 415, 3).await;
    assert!(body["message"].as_str().unwrap().contains("content-type: application/json"), "{body}");
    refused(mesh.get("/v1/tasks").header("accept", "text/html"), 406, 3).await;
    refused(mesh.get("/v1/tasks").body("{}"), 400, 3).await;
    refused(mesh.post("/v1/tasks").header("content-type", "application/grpc-web").body("x"), 415, 3).await;
    refused(mesh.post("/v1/x").header("content-type", "application/grpc-web").body("x"), 426, 12).await;
    // gRPC in HTTP/1.1: its own way of saying no.
    let grpc = mesh.post("/tidemill.scheduling.v1.SchedulingService/GetTask");
    let response = grpc.header("content-type", "application/grpc").send().await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "12");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_announced_or_not() {
    let mesh = Mesh::new(Config { body_limit: 64, ..Config::default() }).await;
    let body = json!({"tasks": [{"kind": "k", "payload": "x".repeat(64)}]}).to_string();
    refused(mesh.post("/v1/tasks").body(body.clone()), 413, 3).await;
    let chunks: Vec<_> =
        body.into_bytes().chunks(10).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect();
    let chunked = reqwest::Body::wrap_stream(futures::stream::iter(chunks));
    let (said, _) = refused(mesh.post("/v1/tasks").body(chunked), 413, 3).await;
    assert!(said["message"].as_str().unwrap().contains("64 bytes"), "{said}");
}

#[tokio::test]
async fn a_call_that_never_ends_is_given_up() {
    let mesh = Mesh::new(Config { request_timeout_ms: 50, ..Config::default() }).await;
    refused(mesh.get("/v1/tasks/never"), 504, 4).await;
}
