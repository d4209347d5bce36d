//! The server layers, over a service made for the test.

use std::future::{pending, ready};
use std::time::Duration;

use tonic::server::NamedService;
use tonic::{Code, Status};
use tower::ServiceExt;

use super::*;
use crate::context::{TENANT, TIMEOUT};
use crate::fault;

/// A service whose methods hang, panic or answer.
#[derive(Clone)]
struct Odd;

impl NamedService for Odd {
    const NAME: &'static str = "test.Odd";
}

impl Service<Request<Body>> for Odd {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        match request.uri().path() {
            "/test.Odd/Hang" => Box::pin(pending()),
            "/test.Odd/Panic" => Box::pin(async { panic!("the vase fell") }),
            _ => Box::pin(ready(Ok(Status::new(Code::Ok, "").into_http()))),
        }
    }
}

fn odd(concurrency: usize) -> Wire {
    odd_with(
        ServerLimits { concurrency, least_concurrency: 1, ..ServerLimits::default() },
        Methods::default(),
    )
}

fn odd_with(limits: ServerLimits, methods: Methods) -> Wire {
    server_stack("odd", Routes::new(Odd), limits, methods)
}

async fn call(wire: Wire, method: &str, header: Option<(&'static str, &str)>) -> Status {
    let mut request = Request::builder().method("POST").uri(format!("/test.Odd/{method}"));
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    let response = wire.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    Status::from_header_map(response.headers()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_callers_deadline_ends_a_call_within_the_process() {
    let begun = tokio::time::Instant::now();
    let status = call(odd(1), "Hang", Some((TIMEOUT, "5S"))).await;
    assert_eq!(status.code(), Code::DeadlineExceeded);
    let waited = begun.elapsed();
    assert!(Duration::from_secs(4) < waited && waited < Duration::from_secs(6), "{waited:?}");
    assert_eq!(call(odd(1), "Answer", Some((TIMEOUT, "0S"))).await.code(), Code::DeadlineExceeded);
    assert_eq!(call(odd(1), "Answer", Some((TIMEOUT, "5S"))).await.code(), Code::Ok);
}

#[tokio::test]
async fn a_panic_is_one_failed_call() {
    let wire = odd(1);
    let status = call(wire.clone(), "Panic", None).await;
    assert_eq!(status.code(), Code::Internal);
    assert!(!status.message().contains("vase"), "the panic's text stays inside");
    assert_eq!(call(wire, "Answer", None).await.code(), Code::Ok, "its slot is free again");
}

#[tokio::test]
async fn a_call_over_the_bound_is_told_when_to_come_back() {
    let wire = odd(1);
    let mut hanging = Box::pin(call(wire.clone(), "Hang", None));
    assert!(futures::poll!(&mut hanging).is_pending());
    let status = call(wire.clone(), "Answer", None).await;
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(fault::from_status(&status).retry_after.is_some_and(|wait| !wait.is_zero()));
    drop(hanging);
    assert_eq!(call(wire, "Answer", None).await.code(), Code::Ok, "an abandoned call frees its slot");
}

#[tokio::test]
async fn slow_calls_lower_the_bound_and_streams_do_not_count_as_slow() {
    let limits = ServerLimits {
        concurrency: 4,
        least_concurrency: 1,
        latency_target_ms: 1,
        ..ServerLimits::default()
    };
    for (streaming, left) in [(false, 3), (true, 4)] {
        let wire = odd_with(
            limits,
            Methods { streaming: if streaming { |_| true } else { |_| false }, ..Methods::default() },
        );
        let mut slow: Vec<_> = (0..4).map(|_| Box::pin(call(wire.clone(), "Hang", None))).collect();
        for call in &mut slow {
            assert!(futures::poll!(call).is_pending());
        }
        crate::sleep(Duration::from_millis(5)).await;
        drop(slow);
        let mut next: Vec<_> = (0..4).map(|_| Box::pin(call(wire.clone(), "Hang", None))).collect();
        let mut taken = 0;
        for call in &mut next {
            taken += usize::from(futures::poll!(call).is_pending());
        }
        assert_eq!(taken, left, "streaming: {streaming}");
    }
}

#[test]
fn limits_that_cannot_work_are_named() {
    ServerLimits::default().check().unwrap();
    let fault =
        ServerLimits { concurrency: 0, least_concurrency: 2, retry_after_ms: 0, latency_target_ms: 0 }
            .check();
    let fault = fault.unwrap_err();
    for key in ["limits.concurrency", "limits.least_concurrency", "limits.retry_after_ms"] {
        assert!(fault.contains(&format!("{key}: ")), "{fault}");
    }
}

#[tokio::test]
async fn a_malformed_tenant_is_refused_with_its_field() {
    let status = call(odd(1), "Answer", Some((TENANT, "No Such"))).await;
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(fault::from_status(&status).violations[0].field, TENANT);
}
