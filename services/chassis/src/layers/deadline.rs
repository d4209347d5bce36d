//! Ends a call at the caller's deadline. A call whose deadline has passed is not begun. A stream's deadline ends with
//! its head: its items are bounded by who reads them.

use http::Request;
use tidemill_kernel::{Clock, ErrorKind, Fault};
use tonic::body::Body;

use super::{Answer, refuse};
use crate::{Context, FaultExt, SystemClock, sleep};

/// Answers DEADLINE_EXCEEDED when the context's deadline comes before the answer.
pub fn enforce(request: Request<Body>, next: &mut dyn FnMut(Request<Body>) -> Answer) -> Answer {
    let Some(deadline) = request.extensions().get::<Context>().and_then(|context| context.deadline) else {
        return next(request);
    };
    let left = deadline.since(SystemClock.now());
    let late =
        || Fault::new(ErrorKind::Timeout, "the caller's deadline passed before the answer").into_status();
    if left.is_zero() {
        return refuse(late());
    }
    let answer = next(request);
    Box::pin(async move {
        tokio::select! {
            answer = answer => answer,
            () = sleep(left) => Ok(late().into_http()),
        }
    })
}
