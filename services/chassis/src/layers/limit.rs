//! Bounds how many calls a part answers at once and refuses the rest at once, with a time to come back: what a caller
//! would otherwise wait for in a queue, he is told in microseconds.
//!
//! The bound is an adaptive limit (`tidemill_kernel::concurrency`) below a fixed ceiling. A call holds its place until the
//! head of its answer is there: streams, which may live long, hold theirs only to begin, and never count as slow.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use serde::{Deserialize, Serialize};
use tidemill_kernel::concurrency::{AdaptiveLimit, LimitConfig, Sample, Slot};
use tidemill_kernel::{Clock, ErrorKind, Fault};
use tonic::Code;
use tonic::body::Body;
use tower::{Layer, Service};

use super::{Answer, Inner, Methods, refuse};
use crate::telemetry::metrics::meter;
use crate::{FaultExt, SystemClock};

/// What a server's stack bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerLimits {
    /// How many calls of a part may be waiting for the head of their answer at most.
    pub concurrency: usize,
    /// How far that falls at most while calls take longer than the target.
    pub least_concurrency: usize,
    /// How long a call may take, in milliseconds, before the part counts as overloaded; 0: it never does. It only matters
    /// while at least half of the present bound is in use.
    pub latency_target_ms: u64,
    /// After how many milliseconds a refused caller is asked to come back.
    pub retry_after_ms: u64,
}

impl Default for ServerLimits {
    /// 1,024 calls, and no fewer than 64 however slow; a second a call; back after 100 ms.
    fn default() -> Self {
        Self { concurrency: 1_024, least_concurrency: 64, latency_target_ms: 1_000, retry_after_ms: 100 }
    }
}

impl ServerLimits {
    /// Every setting that cannot work, by its key.
    ///
    /// # Errors
    /// One text for all of them.
    pub fn check(&self) -> Result<(), String> {
        let mut faults = Vec::new();
        if self.concurrency == 0 {
            faults.push("limits.concurrency: 0 would refuse every call: expected 1 or more");
        }
        if self.least_concurrency == 0 || self.least_concurrency > self.concurrency.max(1) {
            faults.push("limits.least_concurrency: expected 1 or more, and no more than limits.concurrency");
        }
        if !(1..=60_000).contains(&self.retry_after_ms) {
            faults.push("limits.retry_after_ms: expected 1 to 60000");
        }
        if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
    }

    fn limit(&self) -> LimitConfig {
        let target = (self.latency_target_ms > 0).then(|| Duration::from_millis(self.latency_target_ms));
        LimitConfig { floor: self.least_concurrency, ceiling: self.concurrency, target }
    }
}

/// Refuses calls over the bound. All clones of the service below share one.
#[derive(Debug, Clone)]
pub struct LimitLayer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    part: &'static str,
    streaming: fn(&str) -> bool,
    retry_after: Duration,
    limit: Mutex<AdaptiveLimit>,
    shed: Counter<u64>,
}

impl LimitLayer {
    /// The bound of the part of this name.
    pub fn new(part: &'static str, limits: ServerLimits, methods: Methods) -> Self {
        let meter = meter("tidemill.server");
        let shed = meter
            .u64_counter("tidemill.server.shed")
            .with_description("Calls refused at once because the part has all that it can answer.")
            .build();
        let limit = Mutex::new(AdaptiveLimit::new(limits.limit()));
        let retry_after = Duration::from_millis(limits.retry_after_ms);
        let shared = Arc::new(Shared { part, streaming: methods.streaming, retry_after, limit, shed });
        let weak = Arc::downgrade(&shared);
        let _limit = meter
            .u64_observable_gauge("tidemill.server.concurrency_limit")
            .with_description(
                "How many calls of a part may be under way at once, as found from how long they take.",
            )
            .with_callback(move |gauge| {
                if let Some(shared) = weak.upgrade() {
                    let limit = shared.lock().limit() as u64;
                    gauge.observe(limit, &[KeyValue::new("part", shared.part)]);
                }
            })
            .build();
        Self(shared)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, AdaptiveLimit> {
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Layer<S> for LimitLayer {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Limited<S> {
        Limited { shared: Arc::clone(&self.0), inner }
    }
}

/// The service of [`LimitLayer`].
#[derive(Debug, Clone)]
pub struct Limited<S> {
    shared: Arc<Shared>,
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
        let shared = &self.shared;
        let Some(slot) = shared.lock().enter(SystemClock.now()) else {
            shared.shed.add(1, &[KeyValue::new("part", shared.part)]);
            let message = format!("the {} service has all the calls it can answer at once", shared.part);
            let fault = Fault::new(ErrorKind::Exhausted, message);
            return refuse(fault.retry_after(shared.retry_after).into_status());
        };
        let streams = (shared.streaming)(request.uri().path());
        let mut held = Held { shared: Arc::clone(shared), slot: Some(slot), streams };
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            if let Ok(response) = &answer {
                held.leave(sample(response));
            }
            answer
        })
    }
}

/// Answers that cost the service no work of its own say nothing good about it.
fn sample(response: &Response<Body>) -> Sample {
    let code = response.headers().get("grpc-status").map(|value| Code::from_bytes(value.as_bytes()));
    match code {
        Some(Code::ResourceExhausted | Code::Unavailable | Code::DeadlineExceeded) => Sample::Ended,
        _ => Sample::Answered,
    }
}

/// The place of a call; one whose caller gives up is given back too.
struct Held {
    shared: Arc<Shared>,
    slot: Option<Slot>,
    streams: bool,
}

impl Held {
    fn leave(&mut self, sample: Sample) {
        if let Some(slot) = self.slot.take() {
            let sample = if self.streams { Sample::Ignored } else { sample };
            self.shared.lock().leave(slot, SystemClock.now(), sample);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.leave(Sample::Ended);
    }
}
