//! Answers as HTTP carries them.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use tonic::body::Body;

/// The media type of one JSON text.
pub(crate) const JSON: &str = "application/json";

/// An answer that is one JSON text.
pub(crate) fn json(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    whole(status, JSON, text)
}

/// An answer that is one plain text.
pub(crate) fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    whole(status, "text/plain; charset=utf-8", text)
}

/// An answer that is a page of this media type.
pub(crate) fn page(media_type: &'static str, text: String) -> Response<Body> {
    whole(StatusCode::OK, media_type, text)
}

/// An answer of this media type whose items come when they come.
pub(crate) fn streamed(media_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    // Neither stored nor held back by proxies on the way.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

fn whole(status: StatusCode, media_type: &'static str, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::new(text.into())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
