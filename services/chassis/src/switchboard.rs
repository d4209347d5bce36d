//! Finds the wire for a gRPC path `/package.Service/Method` by its service, and answers UNIMPLEMENTED when there is
//! none. Servers and the gateway stand on the same one.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use tidemill_kernel::{ErrorKind, Fault};
use tonic::body::Body;
use tower::{BoxError, Service, ServiceExt};

use crate::{FaultExt, Wire};

/// Wires by the full name of the gRPC service. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Switchboard(Arc<HashMap<String, Wire>>);

impl Switchboard {
    /// A switchboard of these services.
    pub fn new(wires: impl IntoIterator<Item = (String, Wire)>) -> Self {
        Self(Arc::new(wires.into_iter().collect()))
    }

    /// The wire to a service.
    pub fn wire(&self, service: &str) -> Option<&Wire> {
        self.0.get(service)
    }
}

impl<B> Service<Request<B>> for Switchboard
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = request.uri().path().split('/').nth(1).unwrap_or_default();
        let Some(wire) = self.0.get(service).cloned() else {
            let fault = Fault::new(ErrorKind::Unsupported, format!("there is no service `{service}` here"));
            return Box::pin(std::future::ready(Ok(fault.into_status().into_http())));
        };
        Box::pin(async move {
            Ok(wire.oneshot(request.map(Body::new)).await.unwrap_or_else(|fault| {
                Fault::new(ErrorKind::Unavailable, fault.to_string()).into_status().into_http()
            }))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_unknown_service_is_named() {
        let request = Request::builder().uri("/no.Such/Call").body(Body::empty()).unwrap();
        let Ok(response) = Switchboard::default().oneshot(request).await;
        let status = tonic::Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), tonic::Code::Unimplemented);
        assert!(status.message().contains("no.Such"));
    }
}
