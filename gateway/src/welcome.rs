//! What `GET /` says: what this is, and how to find out more.

use bytes::Bytes;
use serde_json::json;
use tidemill_proto::Route;

/// The text, as JSON that a person can read.
pub(crate) fn text(routes: &[Route]) -> Bytes {
    let lines = routes.iter().map(|route| format!("{} {}", route.verb, route.template));
    let welcome = json!({
        "name": "tidemill",
        "version": env!("CARGO_PKG_VERSION"),
        "routes": lines.collect::<Vec<_>>(),
        "grpc": "the same port speaks gRPC with reflection: grpcurl -plaintext HOST:PORT list",
        "health": "/healthz",
        "ready": "/readyz",
        "openapi": "/openapi.json",
    });
    format!("{welcome:#}\n").into()
}
