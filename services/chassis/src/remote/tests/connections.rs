//! How connections end: silent ones, old ones; and that calls are none the worse.

use std::convert::Infallible;

use http::Response;
use tower::service_fn;

use super::proxy::Proxy;
use super::*;
use crate::remote::KeepAlive;
use crate::server::{Connections, Transport};

fn asking_every(interval: Duration) -> RemoteConfig {
    let keep_alive = Some(KeepAlive { interval, timeout: interval, while_idle: true });
    RemoteConfig { keep_alive, ..RemoteConfig::default() }
}

#[tokio::test]
async fn a_peer_that_falls_silent_is_noticed_and_left() {
    let (server, _guard) = healthy().await;
    let proxy = Proxy::before(&server).await;
    let wire =
        wire("echo", std::slice::from_ref(&proxy.address), asking_every(Duration::from_millis(50))).unwrap();
    check(&wire, &Context::default()).await.unwrap();
    proxy.silence();
    // There is no deadline: only the unanswered ping can end this call.
    let status = check(&wire, &Context::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    check(&wire, &Context::default()).await.unwrap();
    assert_eq!(proxy.connections(), 2);
}

/// A server whose connections live so long.
async fn aging(max_age_ms: u64, max_age_grace_ms: u64) -> (Address, DropGuard) {
    let listener = server::bind(LOOPBACK).await.unwrap();
    let address = address(&listener);
    let (reporter, health) = tonic_health::server::health_reporter();
    let wire = server_stack("echo", Routes::new(health), ServerLimits::default(), Methods::default());
    let service = Switchboard::new([(HEALTH.to_owned(), wire)])
        .map_request(|request: Request<Incoming>| request.map(Body::new));
    let connections = Connections { max_age_ms, max_age_grace_ms, ..Connections::default() };
    let (transport, stop) = (Transport { connections, ..Transport::default() }, CancellationToken::new());
    let stopped = stop.clone();
    tokio::spawn(async move {
        // The health's statuses live as long as the server.
        let _reporter = reporter;
        server::serve_over(listener, transport, service, stopped).await;
    });
    (address, stop.drop_guard())
}

#[tokio::test]
async fn old_connections_are_replaced_and_no_call_fails_of_it() {
    let (server, _guard) = aging(20, 10_000).await;
    let proxy = Proxy::before(&server).await;
    let wire = wire("echo", std::slice::from_ref(&proxy.address), RemoteConfig::default()).unwrap();
    let mut calls = 0;
    while proxy.connections() < 10 {
        check(&wire, &Context::default()).await.unwrap();
        calls += 1;
    }
    assert!(calls >= 9, "{calls} calls over ten connections");
}

#[tokio::test]
async fn a_stream_outlives_its_connection_by_the_grace_and_no_longer() {
    let (server, _guard) = aging(20, 50).await;
    let wire = wire("echo", &[server], RemoteConfig::default()).unwrap();
    let watch = HealthClient::new(wire.clone()).watch(HealthCheckRequest::default()).await.unwrap();
    let mut watch = watch.into_inner();
    assert!(watch.message().await.unwrap().is_some());
    let status = watch.message().await.unwrap_err();
    assert!(!matches!(status.code(), Code::Ok | Code::DeadlineExceeded), "{status}");
    check(&wire, &Context::default()).await.unwrap();
}

#[tokio::test]
async fn how_endpoints_stand_is_among_the_figures() {
    let nobody: Option<opentelemetry_otlp::MetricExporter> = None;
    let resource = opentelemetry_sdk::Resource::builder_empty().build();
    let _provider = crate::telemetry::metrics::start(resource, nobody).unwrap();
    let (alive, _guard) = healthy().await;
    let wire = wire("figures", &[alive, dead().await], retrying()).unwrap();
    for _ in 0..50 {
        check(&wire, &Context::default()).await.unwrap();
    }
    let page = crate::telemetry::metrics::page();
    let row = |name: &str, labels: &[&str]| {
        let is_it = |line: &&str| line.starts_with(name) && labels.iter().all(|label| line.contains(label));
        let line = page.lines().find(is_it).unwrap_or_else(|| panic!("{name} {labels:?} in {page}"));
        line.rsplit(' ').next().unwrap().to_owned()
    };
    assert_eq!(row("tidemill_client_endpoints{", &["part=\"figures\"", "state=\"closed\""]), "2");
    assert_eq!(row("tidemill_client_endpoints{", &["part=\"figures\"", "state=\"ejected\""]), "0");
    assert_eq!(
        row("tidemill_client_retries_total{", &["part=\"figures\""]),
        "1",
        "the dead one cost one try"
    );
    assert_eq!(row("tidemill_server_concurrency_limit{", &["part=\"echo\""]), "1024");
}

/// A service over this function of the request, until the guard is dropped.
pub(super) async fn serving<F, Fut>(answer: F) -> (Address, DropGuard)
where
    F: Fn(Request<Body>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Response<Body>> + Send + 'static,
{
    let listener = server::bind(LOOPBACK).await.unwrap();
    let address = address(&listener);
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = answer.clone();
        async move { Ok::<_, Infallible>(answer(request.map(Body::new)).await) }
    });
    let stop = CancellationToken::new();
    tokio::spawn(server::serve(listener, service, stop.clone()));
    (address, stop.drop_guard())
}
