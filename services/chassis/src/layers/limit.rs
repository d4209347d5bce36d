//! Bounds how many calls a part answers at once and refuses the rest at once, with a time to come back.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use tidemill_kernel::{ErrorKind, Fault};
use tokio::sync::Semaphore;
use tonic::body::Body;
use tower::{Layer, Service};

use super::{Answer, Inner, refuse};
use crate::FaultExt;

/// What a server's stack bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerLimits {
    /// How many calls may be waiting for the head of their answer at once.
    pub concurrency: usize,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self { concurrency: 1_024 }
    }
}

/// Refuses calls over the bound.
#[derive(Debug, Clone)]
pub struct LimitLayer(Arc<Semaphore>);

impl LimitLayer {
    /// All clones of the service below share one bound.
    pub fn new(limits: ServerLimits) -> Self {
        Self(Arc::new(Semaphore::new(limits.concurrency.min(Semaphore::MAX_PERMITS))))
    }
}

impl<S> Layer<S> for LimitLayer {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Limited<S> {
        Limited { slots: Arc::clone(&self.0), inner }
    }
}

/// The service of [`LimitLayer`].
#[derive(Debug, Clone)]
pub struct Limited<S> {
    slots: Arc<Semaphore>,
    inner: S,
}

impl<S: Inner> Service<Request<Body>> for Limited<S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            let fault =
                Fault::new(ErrorKind::Exhausted, "the service has all the calls it can answer at once");
            return refuse(fault.retry_after(Duration::from_millis(100)).into_status());
        };
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            drop(slot);
            answer
        })
    }
}
