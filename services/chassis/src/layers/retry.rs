//! Tries a call again that found its part away (UNAVAILABLE, nothing answered yet), if the method allows it.
//!
//! Invariants:
//! - Only methods that the policy names: unary and idempotent ones. Their body is kept, up to 64 KiB; a longer one goes
//!   through once, as it is.
//! - Retries are a share of the recent calls (the budget), so that they cannot feed an outage.
//! - No try begins after the context's deadline, and each carries what is left of it. A wait that the callee asks
//!   for (`RetryInfo`) is kept, unless it is longer than the longest backoff: then the caller shall decide.

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::task;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream;
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use rand::rngs::StdRng;
use tidemill_kernel::backoff::{Backoff, Jitter};
use tidemill_kernel::deadline::format_grpc_timeout;
use tidemill_kernel::retry_budget::{RetryBudget, RetryBudgetConfig};
use tidemill_kernel::{Clock, Timestamp};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service, ServiceExt};
use tracing::debug;

use super::{Answer, Inner, refuse};
use crate::balance::endpoints::Ending;
use crate::balance::judge;
use crate::context::TIMEOUT;
use crate::{Context, SystemClock, clock, fault, sleep};

/// The longest body, in bytes, that is kept for another try.
const KEPT: usize = 64 << 10;

/// Which calls are tried again, how often, and after which waits.
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    /// Whether the method at this gRPC path (`/package.Service/Method`) is unary and can be called twice with the
    /// effect of once. The body of such a call is read to its end before it is sent.
    pub idempotent: fn(&str) -> bool,
    /// How often a call is made at most, the first time included.
    pub attempts: u32,
    /// How long to wait between tries.
    pub backoff: Backoff,
    /// How many retries the traffic allows.
    pub budget: RetryBudgetConfig,
}

impl RetryPolicy {
    /// Three attempts, 10 ms and 20 ms apart at most, within the default budget.
    pub fn new(idempotent: fn(&str) -> bool) -> Self {
        let backoff =
            Backoff { base: Duration::from_millis(10), cap: Duration::from_secs(1), jitter: Jitter::Equal };
        Self { idempotent, attempts: 3, backoff, budget: RetryBudgetConfig::default() }
    }

    /// No call is tried again.
    pub fn never() -> Self {
        Self { attempts: 1, ..Self::new(|_| false) }
    }
}

/// The layer: all clones of the service below share one budget.
#[derive(Debug, Clone)]
pub struct RetryLayer(Arc<Shared>);

struct Shared {
    policy: RetryPolicy,
    state: Mutex<(RetryBudget, StdRng)>,
}

impl RetryLayer {
    /// A layer of this policy.
    pub fn new(policy: RetryPolicy) -> Self {
        let state = Mutex::new((RetryBudget::new(&policy.budget), clock::seeded_rng()));
        Self(Arc::new(Shared { policy, state }))
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Retry<S> {
        Retry { shared: Arc::clone(&self.0), inner }
    }
}

/// The service of [`RetryLayer`].
#[derive(Debug, Clone)]
pub struct Retry<S> {
    shared: Arc<Shared>,
    inner: S,
}

impl<S: Inner + Clone + Send + 'static> Service<Request<Body>> for Retry<S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> task::Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        let policy = &self.shared.policy;
        let too_long = request.body().size_hint().lower() > KEPT as u64;
        if policy.attempts < 2 || too_long || !(policy.idempotent)(request.uri().path()) {
            return Box::pin(self.inner.call(request));
        }
        let (shared, inner) = (Arc::clone(&self.shared), self.inner.clone());
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            match keep(body).await {
                Ok(Kept::Whole(bytes)) => shared.try_again(inner, parts, bytes).await,
                Ok(Kept::Part(body)) => inner.oneshot(Request::from_parts(parts, body)).await,
                Err(status) => refuse(status).await,
            }
        })
    }
}

impl Shared {
    /// Calls until it is answered or another try makes no sense.
    async fn try_again<S: Inner + Clone>(
        &self,
        inner: S,
        mut parts: Parts,
        body: Bytes,
    ) -> Result<Response<Body>, Infallible> {
        let deadline = parts.extensions.get::<Context>().and_then(|context| context.deadline);
        self.deposit();
        let mut attempt = 1;
        loop {
            let request = Request::from_parts(parts.clone(), Body::new(Full::new(body.clone())));
            let response = inner.clone().oneshot(request).await?;
            if judge(&response) != Ending::Failed {
                return Ok(response);
            }
            let Some(wait) = self.wait(attempt, &response, deadline) else { return Ok(response) };
            debug!(path = parts.uri.path(), attempt, ?wait, "trying again");
            sleep(wait).await;
            if let Some(deadline) = deadline {
                let left = deadline.since(SystemClock.now());
                if left.is_zero() {
                    return Ok(response);
                }
                if let Ok(left) = HeaderValue::try_from(format_grpc_timeout(left)) {
                    parts.headers.insert(TIMEOUT, left);
                }
            }
            attempt += 1;
        }
    }

    /// How long to wait before the next try; none if there is to be none.
    fn wait(&self, attempt: u32, response: &Response<Body>, deadline: Option<Timestamp>) -> Option<Duration> {
        if attempt >= self.policy.attempts {
            return None;
        }
        let asked = Status::from_header_map(response.headers())
            .and_then(|status| fault::from_status(&status).retry_after)
            .unwrap_or_default();
        let now = SystemClock.now();
        let (budget, rng) = &mut *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = self.policy.backoff.delay(attempt, rng).max(asked);
        let in_time = deadline.is_none_or(|deadline| wait < deadline.since(now));
        (asked <= self.policy.backoff.cap && in_time && budget.withdraw(now)).then_some(wait)
    }

    fn deposit(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0.deposit(SystemClock.now());
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// A body that was read.
enum Kept {
    /// To its end.
    Whole(Bytes),
    /// Up to the bound: what was read, and then the rest, as one body again.
    Part(Body),
}

/// Reads a body up to the bound. Fails when its sender does.
async fn keep(mut body: Body) -> Result<Kept, Status> {
    let mut kept = BytesMut::new();
    while let Some(frame) = body.frame().await {
        // gRPC requests have no trailers.
        let Ok(data) = frame?.into_data() else { continue };
        kept.extend_from_slice(&data);
        if kept.len() > KEPT {
            let first = stream::iter([Ok(Frame::data(kept.freeze()))]);
            let rest =
                stream::unfold(body, |mut body| async move { body.frame().await.map(|frame| (frame, body)) });
            let whole = StreamBody::new(futures::StreamExt::chain(first, rest));
            return Ok(Kept::Part(Body::new(whole)));
        }
    }
    Ok(Kept::Whole(kept.freeze()))
}

#[cfg(test)]
mod tests;
