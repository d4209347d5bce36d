//! Tries a call again that found its part away (UNAVAILABLE, nothing answered yet) or overloaded (RESOURCE_EXHAUSTED with
//! a time to come back), and sends one that takes long a second time ([`hedge`]), if the method allows it.
//!
//! Invariants:
//! - Only methods that the policy names: unary and idempotent ones. Their body is kept, up to 64 KiB; a longer one goes
//!   through once, as it is.
//! - Retries and hedges together are a share of the recent calls (the budget), so that they cannot feed an outage.
//! - No try begins after the context's deadline, and each carries what is left of it. A wait that the callee asks
//!   for (`RetryInfo`) is kept, with the backoff's jitter on top, so that those who were refused together do not come
//!   back together; unless it is longer than the longest backoff: then the caller shall decide.
//! - A further try goes to another endpoint, if there is one.

mod body;
pub mod hedge;

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use http_body::Body as _;
use http_body_util::Full;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use rand::rngs::StdRng;
use tidemill_kernel::backoff::{Backoff, Jitter};
use tidemill_kernel::deadline::format_grpc_timeout;
use tidemill_kernel::retry_budget::{RetryBudget, RetryBudgetConfig};
use tidemill_kernel::{Clock, Timestamp};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service, ServiceExt};
use tracing::debug;

use self::body::{KEPT, Kept, keep};
use self::hedge::{HedgePolicy, Seen};
use super::{Answer, Inner, refuse};
use crate::balance::endpoints::Ending;
use crate::balance::{Tried, judge};
use crate::context::TIMEOUT;
use crate::telemetry::metrics::meter;
use crate::{Context, SystemClock, clock, fault, sleep};

/// Which calls are tried again, how often, and after which waits.
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    /// Whether the method at this gRPC path (`/package.Service/Method`) is unary and can be called twice with the
    /// effect of once. The body of such a call is read to its end before it is sent.
    pub idempotent: fn(&str) -> bool,
    /// How often a call is made at most, the first time included; hedges come on top.
    pub attempts: u32,
    /// How long to wait between tries.
    pub backoff: Backoff,
    /// How many retries and hedges the traffic allows.
    pub budget: RetryBudgetConfig,
    /// Which calls are sent a second time while the first is under way; none: no call is.
    pub hedge: Option<HedgePolicy>,
}

impl RetryPolicy {
    /// Three attempts, 10 ms and 20 ms apart at most, within the default budget; no hedges.
    pub fn new(idempotent: fn(&str) -> bool) -> Self {
        let backoff =
            Backoff { base: Duration::from_millis(10), cap: Duration::from_secs(1), jitter: Jitter::Equal };
        Self { idempotent, attempts: 3, backoff, budget: RetryBudgetConfig::default(), hedge: None }
    }

    /// No call is tried again.
    pub fn never() -> Self {
        Self { attempts: 1, ..Self::new(|_| false) }
    }

    /// How often a call of this method is made at most.
    fn attempts(&self, path: &str) -> u32 {
        if (self.idempotent)(path) { self.attempts } else { 1 }
    }
}

/// The layer: all clones of the service below share one budget.
#[derive(Debug, Clone)]
pub struct RetryLayer(Arc<Shared>);

struct Shared {
    part: [KeyValue; 1],
    policy: RetryPolicy,
    state: Mutex<(RetryBudget, StdRng)>,
    /// How long calls took that may be hedged.
    seen: Seen,
    retries: Counter<u64>,
    hedges: Counter<u64>,
}

impl RetryLayer {
    /// A layer of this policy, for calls to the part of this name.
    pub fn new(part: &'static str, policy: RetryPolicy) -> Self {
        let meter = meter("tidemill.client");
        let counter = |name, meaning| meter.u64_counter(name).with_description(meaning).build();
        let retries = counter("tidemill.client.retries", "Calls to a part made once more after a failure.");
        let hedges = counter(
            "tidemill.client.hedges",
            "Calls to a part sent a second time while the first took long.",
        );
        let state = Mutex::new((RetryBudget::new(&policy.budget), clock::seeded_rng()));
        let part = [KeyValue::new("part", part)];
        Self(Arc::new(Shared { part, policy, state, seen: Seen::default(), retries, hedges }))
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

impl<S: Inner + Clone + Send + Sync + 'static> Service<Request<Body>> for Retry<S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> task::Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        let (policy, path) = (&self.shared.policy, request.uri().path());
        let hedges = policy.hedge.as_ref().is_some_and(|hedge| (hedge.safe)(path));
        let too_long = request.body().size_hint().lower() > KEPT as u64;
        if too_long || (policy.attempts(path) < 2 && !hedges) {
            return Box::pin(self.inner.call(request));
        }
        let (shared, inner) = (Arc::clone(&self.shared), self.inner.clone());
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            match keep(body).await {
                Ok(Kept::Whole(body)) => {
                    let deadline = parts.extensions.get::<Context>().and_then(|context| context.deadline);
                    parts.extensions.insert(Tried::default());
                    Call { shared, inner, parts, body, deadline }.until_answered().await
                }
                Ok(Kept::Part(body)) => inner.oneshot(Request::from_parts(parts, body)).await,
                Err(status) => refuse(status).await,
            }
        })
    }
}

/// A call that can be made more than once.
struct Call<S> {
    shared: Arc<Shared>,
    inner: S,
    parts: Parts,
    body: Bytes,
    deadline: Option<Timestamp>,
}

impl<S: Inner + Clone> Call<S> {
    /// Calls until it is answered or another try makes no sense.
    async fn until_answered(self) -> Result<Response<Body>, Infallible> {
        self.shared.lock().0.deposit(SystemClock.now());
        let mut attempt = 1;
        loop {
            let response = self.once_or_hedged(attempt > 1).await?;
            let Some(wait) = self.wait(attempt, &response) else { return Ok(response) };
            debug!(path = self.parts.uri.path(), attempt, ?wait, "trying again");
            sleep(wait).await;
            if self.deadline.is_some_and(|deadline| SystemClock.now() >= deadline) {
                return Ok(response);
            }
            self.shared.retries.add(1, &self.shared.part);
            attempt += 1;
        }
    }

    /// Sends it; a further time with what is left of its deadline.
    async fn send(&self, again: bool) -> Result<Response<Body>, Infallible> {
        let mut parts = self.parts.clone();
        if again && let Some(deadline) = self.deadline {
            let left = format_grpc_timeout(deadline.since(SystemClock.now()));
            if let Ok(left) = HeaderValue::try_from(left) {
                parts.headers.insert(TIMEOUT, left);
            }
        }
        let request = Request::from_parts(parts, Body::new(Full::new(self.body.clone())));
        self.inner.clone().oneshot(request).await
    }

    /// How long to wait before the next try; none if there is to be none.
    fn wait(&self, attempt: u32, response: &Response<Body>) -> Option<Duration> {
        let policy = &self.shared.policy;
        if attempt >= policy.attempts(self.parts.uri.path()) {
            return None;
        }
        let asked = match judge(response) {
            Ending::Failed => asked(response).unwrap_or_default(),
            // Without a time to come back it is a quota, which another try would only run into again.
            Ending::Overloaded => asked(response)?,
            _ => return None,
        };
        let now = SystemClock.now();
        let (budget, rng) = &mut *self.shared.lock();
        let wait = asked + policy.backoff.delay(attempt, rng);
        let in_time = self.deadline.is_none_or(|deadline| wait < deadline.since(now));
        (asked <= policy.backoff.cap && in_time && budget.withdraw(now)).then_some(wait)
    }
}

/// When the callee asks to be called again.
fn asked(response: &Response<Body>) -> Option<Duration> {
    fault::from_status(&Status::from_header_map(response.headers())?).retry_after
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, (RetryBudget, StdRng)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("policy", &self.policy).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
