//! A wire whose calls fail when a test says so: before the other side hears of them, or after it has done its work.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use tidemill_chassis::Wire;
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
}

/// The faults to come.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flaky(Arc<Mutex<Vec<(&'static str, Breaks)>>>);

impl Flaky {
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
        let answer = self.wire.call(request);
        Box::pin(async move {
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
