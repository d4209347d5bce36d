//! When a call is sent twice, and which of the two answers counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Request;
use tidemill_kernel::retry_budget::RetryBudgetConfig;
use tidemill_kernel::{ErrorKind, Fault};
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};

use super::*;
use crate::FaultExt;
use crate::layers::retry::{RetryLayer, RetryPolicy};

const READ: &str = "/test.Shelf/Read";

/// What a callee does with each call in turn: how long it takes, and whether it fails then. The last one for all others.
type Script = &'static [(u64, bool)];

/// Counts calls that came, and those that ended without being cancelled.
#[derive(Clone, Default)]
struct Count {
    came: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
}

async fn answer(script: Script, count: Count) -> Result<Response<Body>, Infallible> {
    let turn = count.came.fetch_add(1, Ordering::SeqCst).min(script.len() - 1);
    let (millis, fails) = script[turn];
    sleep(Duration::from_millis(millis)).await;
    count.ended.fetch_add(1, Ordering::SeqCst);
    if fails {
        return Ok(Fault::new(ErrorKind::Unavailable, "away").into_status().into_http());
    }
    Ok(Response::builder().header("turn", turn).body(Body::empty()).unwrap())
}

/// A client of a callee that follows a script; both are told what comes and ends.
struct Shelf {
    service: crate::Wire,
    count: Count,
}

impl Shelf {
    fn new(policy: RetryPolicy, script: Script) -> Self {
        let count = Count::default();
        let counted = count.clone();
        let service = service_fn(move |_| Box::pin(answer(script, counted.clone())));
        Self { service: crate::Wire::new(RetryLayer::new("shelf", policy).layer(service)), count }
    }

    /// Calls; returns the answer's turn and how many milliseconds it took.
    async fn call(&self, path: &str) -> (Option<usize>, u128) {
        let begun = Instant::now();
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let response = self.service.clone().oneshot(request).await.unwrap();
        let turn = response.headers().get("turn").map(|turn| turn.to_str().unwrap().parse().unwrap());
        (turn, begun.elapsed().as_millis())
    }

    fn counts(&self) -> (usize, usize) {
        (self.count.came.load(Ordering::SeqCst), self.count.ended.load(Ordering::SeqCst))
    }
}

fn after(delay: Delay) -> RetryPolicy {
    let hedge = Some(HedgePolicy { safe: |path| path == READ, delay });
    RetryPolicy { hedge, ..RetryPolicy::never() }
}

const TEN: Delay = Delay::Fixed(Duration::from_millis(10));

#[tokio::test(start_paused = true)]
async fn a_slow_call_is_sent_a_second_time_and_the_loser_is_cancelled() {
    let shelf = Shelf::new(after(TEN), &[(1_000, false), (3, false)]);
    assert_eq!(shelf.call(READ).await, (Some(1), 13));
    sleep(Duration::from_secs(10)).await;
    assert_eq!(shelf.counts(), (2, 1), "the first never came to its end");
}

#[tokio::test(start_paused = true)]
async fn a_quick_call_and_one_that_changes_something_are_sent_once() {
    let shelf = Shelf::new(after(TEN), &[(9, false)]);
    assert_eq!(shelf.call(READ).await, (Some(0), 9));
    assert_eq!(shelf.counts(), (1, 1));
    let shelf = Shelf::new(after(TEN), &[(50, false)]);
    assert_eq!(shelf.call("/test.Shelf/Write").await, (Some(0), 50));
    assert_eq!(shelf.counts(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_first_may_still_win_and_a_failure_does_not() {
    let shelf = Shelf::new(after(TEN), &[(15, false), (50, false)]);
    assert_eq!(shelf.call(READ).await, (Some(0), 15));
    let shelf = Shelf::new(after(TEN), &[(40, false), (1, true)]);
    assert_eq!(shelf.call(READ).await, (Some(0), 40), "the quick failure of the second is waited out");
    let shelf = Shelf::new(after(TEN), &[(20, true), (30, false)]);
    assert_eq!(shelf.call(READ).await, (Some(1), 40));
}

#[tokio::test(start_paused = true)]
async fn an_empty_budget_allows_no_hedge() {
    let budget = RetryBudgetConfig { percent: 0, minimum_per_second: 0, window: Duration::from_secs(10) };
    let shelf = Shelf::new(RetryPolicy { budget, ..after(TEN) }, &[(30, false), (1, false)]);
    assert_eq!(shelf.call(READ).await, (Some(0), 30));
    assert_eq!(shelf.counts(), (1, 1));
}

/// Real time: latencies are measured with the real clock.
#[tokio::test]
async fn a_quantile_hedges_only_what_is_slower_than_usual_and_only_once_it_is_known() {
    const SCRIPT: [(u64, bool); 102] = {
        let mut script = [(0, false); 102];
        // Slow before enough is known, and slow once it is.
        (script[0], script[100]) = ((60, false), (60_000, false));
        script
    };
    let delay = Delay::Quantile { quantile: 0.5, least: Duration::from_millis(1) };
    let shelf = Shelf::new(after(delay), &SCRIPT);
    for turn in 0..100 {
        assert_eq!(shelf.call(READ).await.0, Some(turn), "none of these is hedged");
    }
    assert_eq!(shelf.call(READ).await.0, Some(101));
    assert_eq!(shelf.counts(), (102, 101));
}
