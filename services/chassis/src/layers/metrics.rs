//! Counts and times every call by method and status: rate, errors, duration. Names follow OpenTelemetry's semantic
//! conventions for rpc.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Histogram, UpDownCounter};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use super::{Answer, Inner};
use crate::clock::Stopwatch;
use crate::telemetry::metrics::{SECONDS, meter};

/// Measures the calls of a part.
#[derive(Debug, Clone)]
pub struct MetricsLayer(Arc<Instruments>);

#[derive(Debug)]
struct Instruments {
    duration: Histogram<f64>,
    active: UpDownCounter<i64>,
}

impl Default for MetricsLayer {
    /// Counts into the process' instruments as they are now.
    fn default() -> Self {
        let meter = meter("tidemill.rpc");
        let duration = meter
            .f64_histogram("rpc.server.duration")
            .with_unit("s")
            .with_description("Time from a call to the head of its answer.")
            .with_boundaries(SECONDS.to_vec())
            .build();
        let active = meter
            .i64_up_down_counter("rpc.server.active_requests")
            .with_description("Calls that wait for the head of their answer.")
            .build();
        Self(Arc::new(Instruments { duration, active }))
    }
}

impl<S> Layer<S> for MetricsLayer {
    type Service = Measured<S>;

    fn layer(&self, inner: S) -> Measured<S> {
        Measured { instruments: Arc::clone(&self.0), inner }
    }
}

/// The service of [`MetricsLayer`].
#[derive(Debug, Clone)]
pub struct Measured<S> {
    instruments: Arc<Instruments>,
    inner: S,
}

impl<S: Inner> Service<Request<Body>> for Measured<S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        let uri = request.uri().clone();
        let call = Call::begin(Arc::clone(&self.instruments));
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            if let Ok(response) = &answer {
                call.end(uri.path(), code(response));
            }
            answer
        })
    }
}

fn code(response: &Response<Body>) -> Code {
    Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code())
}

/// A call under way; one that its caller drops ends too, and is not timed.
struct Call {
    instruments: Arc<Instruments>,
    begun: Stopwatch,
}

impl Call {
    fn begin(instruments: Arc<Instruments>) -> Self {
        instruments.active.add(1, &[]);
        Self { instruments, begun: Stopwatch::start() }
    }

    fn end(self, path: &str, code: Code) {
        let mut names = path.trim_start_matches('/').splitn(2, '/');
        // A method that is not there has whatever name the caller made up: such names are not kept.
        let (service, method) = match code {
            Code::Unimplemented => ("", "unknown"),
            _ => (names.next().unwrap_or_default(), names.next().unwrap_or_default()),
        };
        let attributes = [
            KeyValue::new("rpc.service", service.to_owned()),
            KeyValue::new("rpc.method", method.to_owned()),
            KeyValue::new("rpc.grpc.status_code", code as i64),
        ];
        self.instruments.duration.record(self.begun.elapsed().as_secs_f64(), &attributes);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.instruments.active.add(-1, &[]);
    }
}
