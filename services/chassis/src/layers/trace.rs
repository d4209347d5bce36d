//! One span around every call, and one log line for every failure that is ours. Attributes follow OpenTelemetry's
//! semantic conventions for rpc.

use http::{Request, Response};
use tonic::body::Body;
use tonic::{Code, Status};
use tracing::field::Empty;
use tracing::{Instrument, Span, debug, error, info_span};

use super::Answer;
use crate::Context;
use crate::telemetry::span;

/// Opens a server span for the call, lets what it calls carry that span on, and records the outcome.
pub fn observe(mut request: Request<Body>, next: &mut dyn FnMut(Request<Body>) -> Answer) -> Answer {
    let uri = request.uri().clone();
    let span = info_span!(
        "rpc",
        otel.name = uri.path().trim_start_matches('/'),
        otel.kind = "server",
        otel.status_code = Empty,
        rpc.system = "grpc",
        rpc.grpc.status_code = Empty,
        tidemill.tenant = Empty,
    );
    if let Some(context) = request.extensions_mut().get_mut::<Context>() {
        if let Some(tenant) = &context.tenant {
            span.record("tidemill.tenant", tenant.as_str());
        }
        if let Some(own) = span::begin(&span, context.trace_parent.as_deref()) {
            context.trace_parent = Some(own);
        }
    }
    let answer = {
        let _entered = span.enter();
        next(request)
    };
    let observed = async move {
        let answer = answer.await;
        if let Ok(response) = &answer {
            report(response, uri.path());
        }
        answer
    };
    Box::pin(observed.instrument(span))
}

/// Records how a call ended: our faults are logged as errors, the caller's at debug level. A stream that has begun
/// counts as well begun.
fn report(response: &Response<Body>, path: &str) {
    let Some(status) = Status::from_header_map(response.headers()) else {
        Span::current().record("rpc.grpc.status_code", Code::Ok as i32);
        return;
    };
    Span::current().record("rpc.grpc.status_code", status.code() as i32);
    match status.code() {
        Code::Ok => {}
        Code::Internal | Code::Unknown | Code::DataLoss => {
            Span::current().record("otel.status_code", "ERROR");
            error!(path, message = status.message(), "call failed");
        }
        code => debug!(path, ?code, message = status.message(), "call refused"),
    }
}
