//! Who may call.

use serde_json::json;

use crate::fakes::{KEY, OPERATOR_KEY};
use crate::mesh::{Mesh, refused, seen};

#[tokio::test]
async fn a_key_says_whose_the_call_is_whatever_the_caller_claims() {
    let mesh = Mesh::keyed().await;
    for request in [
        mesh.get("/v1/tasks/7").bearer_auth(KEY.0),
        mesh.get("/v1/tasks/7").header("x-api-key", KEY.0),
        mesh.get("/v1/tasks/7")
            .bearer_auth(KEY.0)
            .header("tidemill-tenant", "evil")
            .header("tidemill-operator", "true"),
    ] {
        let (status, body) = seen(request).await;
        assert_eq!((status, &body["task"]["tenant"]), (200, &json!("acme")));
    }
    assert_eq!(mesh.lookups(), 1, "a known key is remembered");
}

#[tokio::test]
async fn no_key_and_an_unknown_key_are_refused() {
    let mesh = Mesh::keyed().await;
    let (body, headers) = refused(mesh.get("/v1/tasks/7"), 401, 16).await;
    assert!(body["message"].as_str().unwrap().contains("authorization: Bearer KEY"), "{body}");
    assert_eq!(headers["www-authenticate"], "Bearer");
    for _ in 0..3 {
        refused(mesh.get("/v1/tasks/7").bearer_auth("nobody's"), 401, 16).await;
    }
    assert_eq!(mesh.lookups(), 1, "an unknown key is remembered too");
    refused(mesh.get("/v1/tasks/7").header("authorization", "Basic eDp5"), 401, 16).await;
}

#[tokio::test]
async fn in_open_mode_a_given_key_must_be_known_and_counts() {
    let mesh = Mesh::open().await;
    refused(mesh.get("/v1/tasks/7").bearer_auth("nobody's"), 401, 16).await;
    let (_, body) = seen(mesh.get("/v1/tasks/7").bearer_auth(KEY.0)).await;
    assert_eq!(body["task"]["tenant"], "acme");
}

#[tokio::test]
async fn operators_services_are_for_operators() {
    let mesh = Mesh::keyed().await;
    refused(mesh.get("/v1/tenants").bearer_auth(KEY.0), 403, 7).await;
    assert_eq!(seen(mesh.get("/v1/tenants").bearer_auth(OPERATOR_KEY.0)).await.0, 200);
    assert_eq!(seen(Mesh::open().await.get("/v1/tenants")).await.0, 200);
}

#[tokio::test]
async fn the_figures_of_all_tenants_are_for_operators() {
    let mesh = Mesh::keyed().await;
    refused(mesh.get("/metrics"), 401, 16).await;
    refused(mesh.get("/metrics").bearer_auth(KEY.0), 403, 7).await;
    let page = mesh.get("/metrics").bearer_auth(OPERATOR_KEY.0).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    assert_eq!(Mesh::open().await.get("/metrics").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn web_pages_are_kept_out_of_open_mode() {
    let mesh = Mesh::open().await;
    refused(mesh.get("/v1/tasks").header("origin", "https://evil.example"), 403, 7).await;
    refused(mesh.get("/v1/tasks").header("host", "evil.example:80"), 403, 7).await;
    assert_eq!(seen(mesh.get("/v1/tasks").header("origin", "http://localhost:3000")).await.0, 200);
    let keyed = Mesh::keyed().await;
    let request = keyed.get("/v1/tasks").header("host", "mill.example").bearer_auth(KEY.0);
    assert_eq!(seen(request).await.0, 200);
}
