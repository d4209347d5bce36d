//! A wire whose calls fail when a test says so: before the other side hears of them, or after it has done its work.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use tidemill_chassis::{Wire, sleep};
use tokio::sync::Semaphore;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};

/// Where a call breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breaks {
    /// Nowhere.
    Not,
    /// On the way there.
    Before,
    /// On the way back.
    After,
    /// Nowhere, but it goes on only when it is released.
    Held,
}

/// The faults to come.
#[derive(Debug, Clone)]
pub(crate) struct Flaky(Arc<Mutex<Vec<(&'static str, Breaks)>>>, Arc<Semaphore>);

impl Default for Flaky {
    fn default() -> Self {
        Self(Arc::default(), Arc::new(Semaphore::new(0)))
    }
}

impl Flaky {
    /// Lets one call go on that is held, or will be.
    pub(crate) fn release(&self) {
        self.1.add_permits(1);
    }

    /// Waits until everything that was to befall has befallen.
    pub(crate) async fn until_none_is_left(&self) {
        while self.left() > 0 {
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// The next so many calls of this method break.
    pub(crate) fn fail(&self, method: &'static str, breaks: Breaks, times: usize) {
        self.0.lock().unwrap().extend(std::iter::repeat_n((method, breaks), times));
    }

    /// The next so many calls of this method are let through.
    pub(crate) fn pass(&self, method: &'static str, times: usize) {
        self.fail(method, Breaks::Not, times);
    }

    /// How many faults are still to come.
    pub(crate) fn left(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// The wire with these faults.
    pub(crate) fn around(&self, wire: Wire) -> Wire {
        Wire::new(FlakyWire { wire, faults: self.clone() })
    }

    fn next(&self, path: &str) -> Option<Breaks> {
        let mut faults = self.0.lock().unwrap();
        let index = faults.iter().position(|(method, _)| path.ends_with(method))?;
        Some(faults.remove(index).1)
    }
}

#[derive(Clone)]
struct FlakyWire {
    wire: Wire,
    faults: Flaky,
}

impl Service<http::Request<Body>> for FlakyWire {
    type Response = http::Response<Body>;
    type Error = <Wire as Service<http::Request<Body>>>::Error;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.wire.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let breaks = self.faults.next(request.uri().path()).unwrap_or(Breaks::Not);
        let (answer, gate) = (self.wire.call(request), Arc::clone(&self.faults.1));
        Box::pin(async move {
            if breaks == Breaks::Held
                && let Ok(permit) = gate.acquire().await
            {
                permit.forget();
                return answer.await;
            }
            if breaks != Breaks::Before {
                let answer = answer.await?;
                if breaks == Breaks::Not {
                    return Ok(answer);
                }
            }
            Ok(Status::unavailable("the line is cut").into_http())
        })
    }
}
