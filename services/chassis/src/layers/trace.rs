//! One span around every call at either end, and one log line for every failure that is ours. Attributes follow
//! OpenTelemetry's semantic conventions for rpc.

use http::{HeaderValue, Request, Response};
use tonic::body::Body;
use tonic::{Code, Status};
use tracing::field::Empty;
use tracing::{Instrument, Span, debug, error, info_span};

use super::Answer;
use crate::Context;
use crate::context::TRACE_PARENT;
use crate::telemetry::span;

/// Opens a server span for the call, lets what it calls carry that span on, and records the outcome.
pub fn observe(mut request: Request<Body>, next: &mut dyn FnMut(Request<Body>) -> Answer) -> Answer {
    let uri = request.uri().clone();
    let (service, method) = names(uri.path());
    let span = info_span!(
        "rpc",
        otel.name = uri.path().trim_start_matches('/'),
        otel.kind = "server",
        otel.status_code = Empty,
        rpc.system = "grpc",
        rpc.service = service,
        rpc.method = method,
        rpc.grpc.status_code = Empty,
        tidemill.tenant = Empty,
    );
    let mut trace = None;
    if let Some(context) = request.extensions_mut().get_mut::<Context>() {
        if let Some(tenant) = &context.tenant {
            span.record("tidemill.tenant", tenant.as_str());
        }
        match span::begin(&span, context.trace_parent.as_deref()) {
            Some(own) => context.trace_parent = Some(own),
            // The span tells the line of a failure its trace; without one the caller's is told.
            None => trace.clone_from(&context.trace_parent),
        }
    }
    let answer = {
        let _entered = span.enter();
        next(request)
    };
    let observed = async move {
        let answer = answer.await;
        if let Ok(response) = &answer {
            let status = outcome(response);
            if is_ours(status.code()) {
                Span::current().record("otel.status_code", "ERROR");
            }
            report(&status, uri.path(), trace.as_deref());
        }
        answer
    };
    Box::pin(observed.instrument(span))
}

/// Opens a client span for a call to another process, with all its tries, and lets the other side continue it.
pub fn call(mut request: Request<Body>, next: &mut dyn FnMut(Request<Body>) -> Answer) -> Answer {
    let path = request.uri().path();
    let (service, method) = names(path);
    let span = info_span!(
        "call",
        otel.name = path.trim_start_matches('/'),
        otel.kind = "client",
        otel.status_code = Empty,
        rpc.system = "grpc",
        rpc.service = service,
        rpc.method = method,
        rpc.grpc.status_code = Empty,
    );
    let context = request.extensions_mut().get_mut::<Context>();
    let parent = context.as_ref().and_then(|context| context.trace_parent.as_deref());
    let Some(own) = span::begin(&span, parent) else { return next(request) };
    if let Ok(value) = HeaderValue::from_str(&own) {
        request.headers_mut().insert(TRACE_PARENT, value);
    }
    if let Some(context) = request.extensions_mut().get_mut::<Context>() {
        context.trace_parent = Some(own);
    }
    let answer = {
        let _entered = span.enter();
        next(request)
    };
    let observed = async move {
        let answer = answer.await;
        if let Ok(response) = &answer
            && outcome(response).code() != Code::Ok
        {
            // To a caller every failure is one.
            Span::current().record("otel.status_code", "ERROR");
        }
        answer
    };
    Box::pin(observed.instrument(span))
}

/// Service and method of `/package.Service/Method`.
pub(super) fn names(path: &str) -> (&str, &str) {
    path.trim_start_matches('/').split_once('/').unwrap_or_default()
}

/// How a call ended; a stream that has begun counts as well begun. Recorded in the present span.
fn outcome(response: &Response<Body>) -> Status {
    let status = Status::from_header_map(response.headers()).unwrap_or_else(|| Status::ok(""));
    Span::current().record("rpc.grpc.status_code", i32::from(status.code()));
    status
}

/// Whether a server is at fault where it answers so, as the semantic conventions for gRPC have it, but for a method that
/// is not there: probes ask parts of this process for their health, which only ports have.
fn is_ours(code: Code) -> bool {
    use Code::{DataLoss, DeadlineExceeded, Internal, Unavailable, Unknown};
    matches!(code, Unknown | DeadlineExceeded | Internal | Unavailable | DataLoss)
}

/// Logs defects of ours as errors, other refusals at debug level.
fn report(status: &Status, path: &str, trace_id: Option<&str>) {
    let trace_id = trace_id.and_then(span::trace_id);
    match status.code() {
        Code::Ok => {}
        Code::Internal | Code::Unknown | Code::DataLoss => {
            error!(path, message = status.message(), trace_id, "call failed");
        }
        code => debug!(path, ?code, message = status.message(), trace_id, "call refused"),
    }
}
