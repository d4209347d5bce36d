//! Who may call a port that asks for certificates.

use std::convert::Infallible;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Method, Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::Service;

/// What is known of the other end of a connection; an extension of every request that came by TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Whether it showed a certificate of the port's authority.
    pub is_known: bool,
}

/// Refuses callers without a certificate, except where they ask for health.
#[derive(Debug, Clone)]
pub struct Guard<S>(S);

impl<S> Guard<S> {
    /// In front of this service.
    pub fn before(service: S) -> Self {
        Self(service)
    }
}

impl<S, B> Service<Request<B>> for Guard<S>
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
        let is_known = request.extensions().get::<Peer>().is_some_and(|peer| peer.is_known);
        if is_known || is_health(request.method(), request.uri().path()) {
            return Box::pin(self.0.call(request));
        }
        let status = Status::unauthenticated(
            "this port is for holders of a certificate of the mesh: show one (tls.mesh), or call the gateway",
        );
        Box::pin(std::future::ready(Ok(status.into_http())))
    }
}

fn is_health(method: &Method, path: &str) -> bool {
    path.starts_with("/grpc.health.v1.Health/") || (method == Method::GET && path == "/healthz")
}
