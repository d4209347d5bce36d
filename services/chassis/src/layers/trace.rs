//! One span around every call, and one log line for every failure that is ours.

use http::{Request, Response};
use tonic::body::Body;
use tonic::{Code, Status};
use tracing::{Instrument, debug, debug_span, error};

use super::Answer;
use crate::Context;

/// Opens the span `rpc` with method and tenant, and logs the outcome.
pub fn observe(request: Request<Body>, next: &mut dyn FnMut(Request<Body>) -> Answer) -> Answer {
    let path = request.uri().path().to_owned();
    let context = request.extensions().get::<Context>();
    let tenant = context.and_then(|context| context.tenant.as_ref()).map(ToString::to_string);
    let span = debug_span!("rpc", rpc.method = path, tenant);
    let answer = {
        let _entered = span.enter();
        next(request)
    };
    let log = async move {
        let answer = answer.await;
        if let Ok(response) = &answer {
            report(response, &path);
        }
        answer
    };
    Box::pin(log.instrument(span))
}

/// Logs a failed call: our faults as errors, the caller's at debug level.
fn report(response: &Response<Body>, path: &str) {
    let Some(status) = Status::from_header_map(response.headers()) else { return };
    match status.code() {
        Code::Ok => {}
        Code::Internal | Code::Unknown | Code::DataLoss => {
            error!(path, message = status.message(), "call failed")
        }
        code => debug!(path, ?code, message = status.message(), "call refused"),
    }
}
