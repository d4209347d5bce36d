//! When a call is tried again, and when it is not.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::stream;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tidemill_kernel::{ErrorKind, Fault};
use tower::service_fn;

use super::*;
use crate::FaultExt;

const READ: &str = "/test.Shelf/Read";
const WRITE: &str = "/test.Shelf/Write";

/// A callee that is away for its first calls, then answers with the body it got.
#[derive(Clone, Default)]
struct Flaky {
    away: usize,
    asks_for: Option<Duration>,
    overloaded: bool,
    calls: Arc<AtomicUsize>,
    timeouts: Arc<Mutex<Vec<String>>>,
}

impl Flaky {
    fn away(calls: usize) -> Self {
        Self { away: calls, ..Self::default() }
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    async fn answer(self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        if let Some(timeout) = request.headers().get(TIMEOUT) {
            self.timeouts.lock().unwrap().push(timeout.to_str().unwrap().to_owned());
        }
        let body = request.into_body().collect().await.unwrap().to_bytes();
        if self.calls.fetch_add(1, Ordering::SeqCst) < self.away {
            let kind = if self.overloaded { ErrorKind::Exhausted } else { ErrorKind::Unavailable };
            let mut fault = Fault::new(kind, "away");
            fault.retry_after = self.asks_for;
            return Ok(fault.into_status().into_http());
        }
        Ok(Response::new(Body::new(Full::new(body))))
    }
}

/// Calls through the layer; `Ok` is the body that came back.
async fn call(
    policy: RetryPolicy,
    flaky: &Flaky,
    path: &str,
    body: &[u8],
    deadline: Option<Duration>,
) -> Result<Bytes, Status> {
    let below = flaky.clone();
    let service = RetryLayer::new("shelf", policy)
        .layer(service_fn(move |request| Box::pin(below.clone().answer(request))));
    // A stream without a known length, as a generated client sends it.
    let frames = body.chunks(10_000).map(|chunk| Ok::<_, Status>(Frame::data(Bytes::copy_from_slice(chunk))));
    let body = Body::new(StreamBody::new(stream::iter(frames.collect::<Vec<_>>())));
    let mut request = Request::builder().uri(path).body(body).unwrap();
    if let Some(left) = deadline {
        let deadline = Some(SystemClock.now() + left);
        request.extensions_mut().insert(Context { deadline, ..Context::default() });
        request.headers_mut().insert(TIMEOUT, "99999999S".parse().unwrap());
    }
    let Ok(response) = service.oneshot(request).await;
    match Status::from_header_map(response.headers()) {
        Some(status) => Err(status),
        None => Ok(response.into_body().collect().await.unwrap().to_bytes()),
    }
}

fn reads() -> RetryPolicy {
    RetryPolicy::new(|path| path == READ)
}

#[tokio::test(start_paused = true)]
async fn an_idempotent_call_is_tried_again_with_its_whole_body() {
    let (flaky, body) = (Flaky::away(2), vec![7; KEPT]);
    assert_eq!(call(reads(), &flaky, READ, &body, None).await.unwrap(), body);
    assert_eq!(flaky.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_made_no_more_often_than_the_policy_says() {
    let flaky = Flaky::away(9);
    assert_eq!(call(reads(), &flaky, READ, b"", None).await.unwrap_err().message(), "away");
    assert_eq!(flaky.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn other_methods_and_long_bodies_go_through_once() {
    let flaky = Flaky::away(1);
    assert!(call(reads(), &flaky, WRITE, b"x", None).await.is_err());
    assert_eq!(flaky.calls(), 1);
    let (flaky, body) = (Flaky::away(1), vec![7; KEPT + 1]);
    assert!(call(reads(), &flaky, READ, &body, None).await.is_err());
    assert_eq!(flaky.calls(), 1);
    assert_eq!(call(reads(), &flaky, READ, &body, None).await.unwrap(), body, "a long body arrives whole");
}

#[tokio::test(start_paused = true)]
async fn an_empty_budget_allows_no_retry() {
    let budget = RetryBudgetConfig { percent: 0, minimum_per_second: 0, window: Duration::from_secs(10) };
    let flaky = Flaky::away(1);
    assert!(call(RetryPolicy { budget, ..reads() }, &flaky, READ, b"", None).await.is_err());
    assert_eq!(flaky.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn no_try_is_made_that_would_begin_after_the_deadline() {
    let slow = Backoff { base: Duration::from_secs(30), cap: Duration::from_secs(30), jitter: Jitter::None };
    let policy = RetryPolicy { backoff: slow, ..reads() };
    let flaky = Flaky::away(1);
    assert!(call(policy.clone(), &flaky, READ, b"", Some(Duration::from_secs(20))).await.is_err());
    assert_eq!(flaky.calls(), 1);
    let flaky = Flaky::away(1);
    call(policy, &flaky, READ, b"", Some(Duration::from_secs(3_600))).await.unwrap();
    let timeouts = flaky.timeouts.lock().unwrap();
    assert_eq!(timeouts[0], "99999999S");
    assert_ne!(timeouts[1], "99999999S", "the second try carries what is left");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_the_callee_asks_for_is_kept_unless_it_is_long() {
    let flaky = Flaky { asks_for: Some(Duration::from_millis(900)), ..Flaky::away(1) };
    let begun = tokio::time::Instant::now();
    call(reads(), &flaky, READ, b"", None).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(900));
    let flaky = Flaky { asks_for: Some(Duration::from_secs(5)), ..Flaky::away(1) };
    assert!(call(reads(), &flaky, READ, b"", None).await.is_err());
    assert_eq!(flaky.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_overloaded_callee_is_tried_again_when_it_says_when_and_a_quota_is_not() {
    let overloaded = Flaky { overloaded: true, ..Flaky::away(1) };
    assert!(call(reads(), &overloaded, READ, b"", None).await.is_err());
    assert_eq!(overloaded.calls(), 1, "it did not say when");
    let overloaded = Flaky { overloaded: true, asks_for: Some(Duration::from_millis(100)), ..Flaky::away(1) };
    let begun = tokio::time::Instant::now();
    call(reads(), &overloaded, READ, b"", None).await.unwrap();
    let waited = begun.elapsed();
    assert!(
        Duration::from_millis(100) < waited && waited < Duration::from_millis(120),
        "with jitter: {waited:?}"
    );
    let overloaded = Flaky { overloaded: true, asks_for: Some(Duration::from_millis(100)), ..Flaky::away(1) };
    assert!(call(reads(), &overloaded, WRITE, b"", None).await.is_err());
    assert_eq!(overloaded.calls(), 1);
}
