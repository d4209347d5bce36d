//! Turns a panic in a handler into one failed call.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use http::Request;
use tidemill_kernel::{ErrorKind, Fault};
use tonic::body::Body;
use tracing::error;

use super::Answer;
use crate::FaultExt;

/// Answers INTERNAL when the call below panics.
pub fn catch(request: Request<Body>, next: &mut dyn FnMut(Request<Body>) -> Answer) -> Answer {
    let path = request.uri().path().to_owned();
    // Handlers begin when their future is first polled, so a panic can only come from there.
    let answer = AssertUnwindSafe(next(request)).catch_unwind();
    Box::pin(async move {
        answer.await.unwrap_or_else(|_| {
            error!(path, "a handler panicked");
            let fault =
                Fault::new(ErrorKind::Internal, "the service met a defect of its own; its log says more");
            Ok(fault.into_status().into_http())
        })
    })
}
