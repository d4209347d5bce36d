//! The gateway as one tower service: tells gRPC from HTTP, finds the route, asks who calls, and answers.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::task::{Context as Poller, Poll};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use tidemill_chassis::Switchboard;
use tidemill_chassis::context::TRACE_PARENT;
use tidemill_chassis::telemetry::span;
use tidemill_chassis::tls::Peer;
use tidemill_kernel::Clock;
use tonic::body::Body;
use tower::Service;
use tracing::field::Empty;
use tracing::{Instrument, Span, info_span};

use crate::access::Catalogue;
use crate::auth::{Authenticator, Caller};
use crate::config::{Auth, Config};
use crate::drain::Drain;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::metrics::{self, Figures};
use crate::router::Router;
use crate::trace::Traces;
use crate::{origin, passthrough, rest, status};

/// The route of all calls that are passed through; their services tell them apart.
const GRPC: &str = "grpc";

/// Answers HTTP requests, whether they carry JSON or gRPC. Cheap to clone.
#[derive(Clone)]
pub struct Gateway(Arc<Shared>);

/// What every request needs.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) switchboard: Switchboard,
    pub(crate) router: Router<Arc<Endpoint>>,
    pub(crate) catalogue: Catalogue,
    pub(crate) authenticator: Authenticator,
    pub(crate) traces: Traces,
    pub(crate) drain: Drain,
    pub(crate) figures: Figures,
    /// The answer to `GET /`.
    pub(crate) welcome: Bytes,
    /// The answer to `GET /openapi.json`.
    pub(crate) openapi: Bytes,
}

impl Shared {
    /// Who sent these headers.
    pub(crate) async fn caller(&self, headers: &HeaderMap, trace_parent: &str) -> Result<Caller, Error> {
        self.authenticator.caller(headers, &*self.clock, trace_parent).await
    }

    /// In open mode, refuses what a foreign web page may have sent.
    pub(crate) fn check_origin(&self, request: &Request<Body>) -> Result<(), Error> {
        match self.config.auth {
            Auth::Open => origin::check(request.headers(), request.uri(), &self.config.hosts),
            Auth::Key => Ok(()),
        }
    }
}

impl Gateway {
    pub(crate) fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("config", &self.0.config).finish_non_exhaustive()
    }
}

impl<B> Service<Request<B>> for Gateway
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Poller<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        let request = request.map(Body::new);
        Box::pin(async move { Ok(answer(shared, request).await) })
    }
}

/// Answers one request within a span of its own, which goes on what the caller traces.
async fn answer(shared: Arc<Shared>, request: Request<Body>) -> Response<Body> {
    let asked = shared.figures.begin();
    let (given, is_grpc) = (shared.traces.given(request.headers()), passthrough::is_grpc(request.headers()));
    let (method, is_tls) = (metrics::method(request.method()), request.extensions().get::<Peer>().is_some());
    let span = info_span!(
        "http",
        otel.name = method,
        otel.kind = "server",
        otel.status_code = Empty,
        error.type = Empty,
        http.request.method = method,
        http.route = Empty,
        http.response.status_code = Empty,
        url.path = request.uri().path(),
        url.scheme = if is_tls { "https" } else { "http" },
        tidemill.tenant = Empty,
    );
    let own = span::begin(&span, given.as_deref());
    let trace_parent = own.or(given).unwrap_or_else(|| shared.traces.fresh());
    let route = OnceLock::new();
    let response = guarded(&shared, request, is_grpc, &trace_parent, &route).instrument(span.clone()).await;
    let (route, status) = (route.get().copied().unwrap_or_default(), response.status());
    asked.answered(method, route, status);
    if !span.is_disabled() {
        tell(&span, method, route, status);
    }
    response
}

/// Tells a span how its request went.
fn tell(span: &Span, method: &str, route: &str, status: StatusCode) {
    if !route.is_empty() {
        span::rename(span, format!("{method} {route}"));
        span.record("http.route", route);
    }
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("error.type", status.as_str());
        span.record("otel.status_code", "ERROR");
    }
}

/// The answer; a defect in it is one failed request. Which route it took is laid into `route`.
async fn guarded(
    shared: &Arc<Shared>,
    request: Request<Body>,
    is_grpc: bool,
    trace_parent: &str,
    route: &OnceLock<&'static str>,
) -> Response<Body> {
    let answer = async {
        if is_grpc {
            let _ = route.set(GRPC);
            let is_endless = shared.drain.is_endless(request.uri().path());
            let answer = passthrough::forward(shared, request, trace_parent);
            return if is_endless { shared.drain.bound(answer).await } else { answer.await };
        }
        rest::answer(shared, request, trace_parent, route).await.unwrap_or_else(status::response)
    };
    let mut response = AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!(trace_parent, "a request made the gateway panic");
        let error = Error::Defect("its log says more".to_owned());
        if is_grpc { error.into_status().into_http() } else { status::response(error) }
    });
    if let Ok(value) = HeaderValue::from_str(trace_parent) {
        response.headers_mut().insert(TRACE_PARENT, value);
    }
    if !is_grpc {
        response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    response
}
