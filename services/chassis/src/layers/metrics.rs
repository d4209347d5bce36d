//! Counts and times every call by method and status, at either end: rate, errors, duration. Names follow OpenTelemetry's
//! semantic conventions for rpc. Attributes are made once for each method, not for each call.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};

use http::{Request, Response};
use opentelemetry::metrics::{Histogram, UpDownCounter};
use opentelemetry::{KeyValue, StringValue};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use super::{Answer, Inner, trace};
use crate::clock::Stopwatch;
use crate::telemetry::metrics::{SECONDS, meter};

/// How many methods are told apart; the contracts have fewer.
const METHODS: usize = 1_000;

/// Measures the calls of a part, or those to one.
#[derive(Debug, Clone)]
pub struct MetricsLayer(Arc<Instruments>);

#[derive(Debug)]
struct Instruments {
    duration: Histogram<f64>,
    active: Option<UpDownCounter<i64>>,
    methods: RwLock<HashMap<Box<str>, Method>>,
}

/// Service and method, as attributes.
type Method = [StringValue; 2];

impl MetricsLayer {
    /// Measures calls that are answered here. Counts into the process' instruments as they are now.
    pub fn of_server() -> Self {
        let active = meter("tidemill.rpc")
            .i64_up_down_counter("rpc.server.active_requests")
            .with_description("Calls that wait for the head of their answer.")
            .build();
        Self::new("rpc.server.duration", "Time from a call to the head of its answer.", Some(active))
    }

    /// Measures calls that another process answers, with all their tries.
    pub fn of_client() -> Self {
        let description = "Time from a call to another process to the head of its answer, with all tries.";
        Self::new("rpc.client.duration", description, None)
    }

    fn new(name: &'static str, description: &'static str, active: Option<UpDownCounter<i64>>) -> Self {
        let duration = meter("tidemill.rpc")
            .f64_histogram(name)
            .with_unit("s")
            .with_description(description)
            .with_boundaries(SECONDS.to_vec())
            .build();
        Self(Arc::new(Instruments { duration, active, methods: RwLock::default() }))
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

impl Instruments {
    /// The attributes of a method. One that is not there has whatever name the caller made up: such names are not kept.
    fn method(&self, path: &str, code: Code) -> Method {
        if code == Code::Unimplemented {
            return ["".into(), "unknown".into()];
        }
        if let Some(known) = self.methods.read().unwrap_or_else(PoisonError::into_inner).get(path) {
            return known.clone();
        }
        let mut methods = self.methods.write().unwrap_or_else(PoisonError::into_inner);
        if methods.len() >= METHODS {
            return ["".into(), "unknown".into()];
        }
        let (service, method) = trace::names(path);
        let shared = |name: &str| StringValue::from(Arc::<str>::from(name));
        methods.entry(path.into()).or_insert_with(|| [shared(service), shared(method)]).clone()
    }
}

/// A call under way; one that its caller drops ends too, and is not timed.
struct Call {
    instruments: Arc<Instruments>,
    begun: Stopwatch,
}

impl Call {
    fn begin(instruments: Arc<Instruments>) -> Self {
        if let Some(active) = &instruments.active {
            active.add(1, &[]);
        }
        Self { instruments, begun: Stopwatch::start() }
    }

    fn end(self, path: &str, code: Code) {
        let [service, method] = self.instruments.method(path, code);
        let attributes = [
            KeyValue::new("rpc.service", service),
            KeyValue::new("rpc.method", method),
            KeyValue::new("rpc.grpc.status_code", code as i64),
        ];
        self.instruments.duration.record(self.begun.elapsed().as_secs_f64(), &attributes);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(active) = &self.instruments.active {
            active.add(-1, &[]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_callers_make_up_are_not_kept() {
        let layer = MetricsLayer::of_server();
        let known = layer.0.method("/a.B/C", Code::Ok);
        assert_eq!(known, [StringValue::from("a.B"), StringValue::from("C")]);
        assert_eq!(layer.0.method("/a.B/Nonsense", Code::Unimplemented)[1], StringValue::from("unknown"));
        for number in 0..2 * METHODS {
            layer.0.method(&format!("/a.B/C{number}"), Code::Ok);
        }
        assert_eq!(layer.0.methods.read().unwrap().len(), METHODS);
        assert_eq!(layer.0.method("/a.B/C", Code::Ok), known, "what is known stays");
    }
}
