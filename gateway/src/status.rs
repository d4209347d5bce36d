//! A gRPC status as HTTP says it: `google.rpc.Status` in JSON with whatever details it carries, and `Retry-After`.
//!
//! Details are foreign messages packed into `Any`, so they are read by reflection; one of an unknown type is left out.

use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Value, json};
use tonic::Status;
use tonic::body::Body;
use tonic_types::StatusExt;

use crate::error::Error;
use crate::reply;

/// The messages of `google.rpc`, and those of Google's well-known types that they use.
static DETAILS: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let mut pool = DescriptorPool::global();
    if let Err(fault) = pool.decode_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET) {
        tracing::error!(%fault, "the descriptors of google.rpc cannot be read: errors go without details");
    }
    pool
});

/// The whole answer to a request that failed.
pub(crate) fn response(error: Error) -> Response<Body> {
    let code = StatusCode::from_u16(error.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let allow = match &error {
        Error::Method { allow, .. } => HeaderValue::from_str(allow).ok(),
        _ => None,
    };
    let upgrade = matches!(error, Error::Protocol(_));
    let status = error.into_status();
    let mut response = reply::json(code, Bytes::from(json(&status).to_string()));
    let headers = response.headers_mut();
    if let Some(allow) = allow {
        headers.insert(header::ALLOW, allow);
    }
    if upgrade {
        headers.insert(header::UPGRADE, HeaderValue::from_static("h2c"));
    }
    if code == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(seconds) = retry_after(&status) {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// `google.rpc.Status` as JSON.
pub(crate) fn json(status: &Status) -> Value {
    json!({ "code": i32::from(status.code()), "message": status.message(), "details": details(status) })
}

/// The details that can be read.
fn details(status: &Status) -> Vec<Value> {
    let Ok(packed) = tonic_types::pb::Status::decode(status.details()) else { return Vec::new() };
    packed.details.iter().filter_map(|any| detail(&any.type_url, &any.value)).collect()
}

fn detail(type_url: &str, value: &[u8]) -> Option<Value> {
    let name = type_url.rsplit('/').next()?;
    let message = DynamicMessage::decode(DETAILS.get_message_by_name(name)?, value).ok()?;
    let Value::Object(mut object) = serde_json::to_value(&message).ok()? else { return None };
    object.insert("@type".to_owned(), type_url.into());
    Some(Value::Object(object))
}

/// Whole seconds, rounded up: coming back early would be in vain.
fn retry_after(status: &Status) -> Option<u64> {
    let wait = status.get_details_retry_info()?.retry_delay?;
    Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tidemill_chassis::FaultExt;
    use tidemill_kernel::{ErrorKind, Fault};

    use super::*;

    #[test]
    fn details_are_written_out_with_their_types() {
        let fault = Fault::invalid("name", "is empty").retry_after(Duration::from_millis(1_500));
        let seen = json(&fault.into_status());
        assert_eq!((&seen["code"], &seen["message"]), (&3.into(), &"name: is empty".into()));
        let by_type = |name: &str| {
            let url = format!("type.googleapis.com/google.rpc.{name}");
            seen["details"].as_array().unwrap().iter().find(|detail| detail["@type"] == url).unwrap()
        };
        assert_eq!(by_type("ErrorInfo")["reason"], "INVALID");
        assert_eq!(by_type("ErrorInfo")["domain"], "tidemill");
        assert_eq!(by_type("BadRequest")["fieldViolations"][0]["field"], "name");
        assert_eq!(by_type("RetryInfo")["retryDelay"], "1.500s");
    }

    #[test]
    fn a_status_without_details_and_one_with_garbage_are_both_plain() {
        let garbage = Status::with_details(tonic::Code::NotFound, "gone", Bytes::from_static(b"\xff\xff"));
        for status in [Status::not_found("gone"), garbage] {
            assert_eq!(json(&status), json!({"code": 5, "message": "gone", "details": []}));
        }
    }

    #[test]
    fn an_overload_says_when_to_come_back() {
        let status =
            Fault::new(ErrorKind::Exhausted, "busy").retry_after(Duration::from_millis(100)).into_status();
        let answer = response(status.into());
        assert_eq!(answer.status(), 429);
        assert_eq!(answer.headers()["retry-after"], "1");
    }

    #[test]
    fn a_wrong_method_is_answered_with_the_right_ones() {
        let error = Error::Method { path: "/v1/x".into(), method: "PUT".into(), allow: "GET, HEAD".into() };
        let answer = response(error);
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["allow"]),
            (405, &HeaderValue::from_static("GET, HEAD"))
        );
    }
}
