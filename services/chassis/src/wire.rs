//! A wire: how a part reaches another one. One boxed service of HTTP requests, so that a generated client is the same
//! type whether the other part is in this process or behind a socket.

use std::convert::Infallible;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Request, Response};
use tonic::body::Body;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service, ServiceExt};

/// The way to another part. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Wire(BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>);

impl Wire {
    /// A wire over any service of HTTP requests.
    pub fn new<S>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
    {
        Self(BoxCloneSyncService::new(service.map_err(Into::into)))
    }

    /// A wire whose every call fails with UNAVAILABLE: a part that is not composed and has no address.
    pub fn absent(part: &'static str) -> Self {
        Self::new(tower::service_fn(move |_| async move {
            let message =
                format!("the {part} service is not part of this process and no address is set for it");
            Ok::<_, Infallible>(tonic::Status::unavailable(message).into_http())
        }))
    }
}

impl Service<Request<Body>> for Wire {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.0.call(request)
    }
}
