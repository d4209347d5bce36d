//! The stacks: what every call passes, outermost first, each layer with its reason.

pub mod context;
pub mod deadline;
pub mod limit;
pub mod methods;
pub mod metrics;
pub mod panic;
pub mod retry;
pub mod trace;

use std::convert::Infallible;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Request, Response};
use tonic::body::Body;
use tonic::service::Routes;
use tower::{Layer, Service, ServiceBuilder};

pub use limit::ServerLimits;
pub use methods::Methods;
use retry::{RetryLayer, RetryPolicy};

use crate::Wire;

/// The server's stack around the routes of the part `name`.
pub fn server_stack(name: &'static str, routes: Routes, limits: ServerLimits, methods: Methods) -> Wire {
    let stack = ServiceBuilder::new()
        // The caller's tenant, deadline and trace, read once, for everything below.
        .layer(Around(context::enter))
        // One span a call; faults of ours logged as errors, the caller's mistakes are not.
        .layer(Around(trace::observe))
        // Rate, errors and duration by method; what is refused below counts too.
        .layer(metrics::MetricsLayer::of_server())
        // An overloaded part says so in microseconds instead of queueing calls that nobody waits for any more.
        .layer(limit::LimitLayer::new(name, limits, methods))
        // The caller's deadline ends the call here too: an in-process call has no transport that would.
        .layer(Around(deadline::enforce))
        // A defect in one call is one failed call.
        .layer(Around(panic::catch));
    Wire::new(stack.service(routes.prepare()))
}

/// The client's stack around the balanced connections to the part `name`.
pub fn client_stack<S>(name: &'static str, balanced: S, retry: RetryPolicy) -> Wire
where
    S: Inner + Clone + Send + Sync + 'static,
{
    let stack = ServiceBuilder::new()
        // The deadline that the call carries, read once, for everything below.
        .layer(Around(context::enter))
        // One span a call, which the other side continues.
        .layer(Around(trace::call))
        // What the way costs, and how often it fails, as the caller sees it.
        .layer(metrics::MetricsLayer::of_client())
        // The deadline covers what the transport's own does not: connecting, and the waits between tries.
        .layer(Around(deadline::enforce))
        // One instance that is away or slow is not a failed or slow call where calling twice does no harm.
        .layer(RetryLayer::new(name, retry));
    // Below: balance, a breaker an address, the connections. Every fault of theirs is a status already.
    Wire::new(stack.service(balanced))
}

/// What a layer does around a call: given the request and the service below, it makes the answer.
pub(crate) type Answer = BoxFuture<'static, Result<Response<Body>, Infallible>>;

/// A service of gRPC requests below a layer: it answers always, failures as statuses.
pub trait Inner:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
{
}

impl<S> Inner for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
{
}

/// A layer that is one function of the request and the call below it.
#[derive(Debug, Clone, Copy)]
pub struct Around<F>(F);

/// The service of [`Around`].
#[derive(Debug, Clone)]
pub struct AroundService<F, S> {
    around: F,
    inner: S,
}

impl<F: Clone, S> Layer<S> for Around<F> {
    type Service = AroundService<F, S>;

    fn layer(&self, inner: S) -> Self::Service {
        AroundService { around: self.0.clone(), inner }
    }
}

impl<F, S> Service<Request<Body>> for AroundService<F, S>
where
    S: Inner,
    F: Fn(Request<Body>, &mut dyn FnMut(Request<Body>) -> Answer) -> Answer,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        let inner = &mut self.inner;
        (self.around)(request, &mut |request| Box::pin(inner.call(request)))
    }
}

/// An answer that is this status.
pub(crate) fn refuse(status: tonic::Status) -> Answer {
    Box::pin(std::future::ready(Ok(status.into_http())))
}

#[cfg(test)]
mod tests;
