//! The pages beside the gRPC services of a port: `GET /metrics` and `GET /healthz`.

use std::convert::Infallible;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response};
use tonic::body::Body;
use tower::Service;

use crate::telemetry::metrics;

/// The media type of Prometheus' text format.
pub const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers the pages, and everything else by the service below.
#[derive(Debug, Clone)]
pub struct Pages<S>(S);

impl<S> Pages<S> {
    /// Pages beside this service.
    pub fn beside(service: S) -> Self {
        Self(service)
    }
}

impl<S, B> Service<Request<B>> for Pages<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let page = match (request.method(), request.uri().path()) {
            (&Method::GET, "/metrics") => text(PROMETHEUS, metrics::page()),
            (&Method::GET, "/healthz") => text("text/plain; charset=utf-8", "ok\n".to_owned()),
            _ => return Box::pin(self.0.call(request)),
        };
        Box::pin(std::future::ready(Ok(page)))
    }
}

fn text(media_type: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::new(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;
    use crate::Switchboard;

    #[tokio::test]
    async fn pages_stand_beside_the_services() {
        let get = |path: &str| Request::builder().uri(path).body(Body::empty()).unwrap();
        let Ok(page) = Pages::beside(Switchboard::default()).oneshot(get("/healthz")).await;
        assert_eq!(page.into_body().collect().await.unwrap().to_bytes(), "ok\n");
        let Ok(page) = Pages::beside(Switchboard::default()).oneshot(get("/metrics")).await;
        assert_eq!(page.headers()[CONTENT_TYPE], PROMETHEUS);
        let Ok(call) = Pages::beside(Switchboard::default()).oneshot(get("/a.B/C")).await;
        assert!(tonic::Status::from_header_map(call.headers()).is_some());
    }
}
