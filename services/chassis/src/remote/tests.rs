//! The remote wire over loopback sockets.

mod connections;
mod hops;
mod proxy;

use std::net::{Ipv4Addr, SocketAddr};

use http::Request;
use hyper::body::Incoming;
use tidemill_kernel::TenantName;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::server::HealthReporter;
use tower::ServiceExt;

use super::*;
use crate::discovery::Discovery;
use crate::discovery::fixed::Fixed;
use crate::layers::{Methods, ServerLimits, server_stack};
use crate::{Context, Switchboard, fault, server};

const HEALTH: &str = "grpc.health.v1.Health";
const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A server of the health service on a free port, until the guard is dropped.
async fn healthy() -> (Address, DropGuard) {
    let (address, guard, _) = reporting().await;
    (address, guard)
}

/// The same with the hand that changes its health.
async fn reporting() -> (Address, DropGuard, HealthReporter) {
    let listener = server::bind(LOOPBACK).await.unwrap();
    let address = address(&listener);
    let (reporter, health) = tonic_health::server::health_reporter();
    let wire = server_stack("echo", Routes::new(health), ServerLimits::default(), Methods::default());
    let service = Switchboard::new([(HEALTH.to_owned(), wire)])
        .map_request(|request: Request<Incoming>| request.map(Body::new));
    let stop = CancellationToken::new();
    tokio::spawn(server::serve(listener, service, stop.clone()));
    (address, stop.drop_guard(), reporter)
}

fn address(listener: &TcpListener) -> Address {
    listener.local_addr().unwrap().to_string().parse().unwrap()
}

/// An address at which nobody listens.
async fn dead() -> Address {
    address(&server::bind(LOOPBACK).await.unwrap())
}

async fn check(wire: &Wire, context: &Context) -> Result<(), Status> {
    let request = context.request(HealthCheckRequest::default());
    HealthClient::new(wire.clone()).check(request).await.map(drop)
}

fn retrying() -> RemoteConfig {
    RemoteConfig { retry: RetryPolicy::new(|path| path.ends_with("/Check")), ..RemoteConfig::default() }
}

#[tokio::test]
async fn calls_reach_every_address() {
    let (one, first) = healthy().await;
    let (other, _second) = healthy().await;
    let wire = wire("echo", &[one, other], retrying()).unwrap();
    let context = Context::for_tenant("acme".parse::<TenantName>().unwrap());
    for _ in 0..50 {
        check(&wire, &context).await.unwrap();
    }
    drop(first);
    for _ in 0..50 {
        check(&wire, &context).await.unwrap();
    }
}

#[tokio::test]
async fn a_dead_address_among_two_costs_no_call_that_may_be_retried_and_at_most_one_other() {
    let (alive, _guard) = healthy().await;
    let addresses = [dead().await, alive];
    let wire = wire("echo", &addresses, retrying()).unwrap();
    for _ in 0..50 {
        check(&wire, &Context::default()).await.unwrap();
    }
    let wire = super::wire("echo", &addresses, RemoteConfig::default()).unwrap();
    let mut failed = 0;
    for _ in 0..50 {
        failed += usize::from(check(&wire, &Context::default()).await.is_err());
    }
    assert!(failed <= 1, "{failed} calls failed");
}

#[tokio::test]
async fn when_every_address_is_dead_the_part_is_named_and_then_the_time_to_come_back() {
    let address = dead().await;
    let wire = wire("echo", std::slice::from_ref(&address), RemoteConfig::default()).unwrap();
    for _ in 0..5 {
        let status = check(&wire, &Context::default()).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        let message = status.message();
        assert!(message.contains(&format!("the echo service at {address}")), "{message}");
        assert!(fault::from_status(&status).retry_after.is_none());
    }
    let status = check(&wire, &Context::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(fault::from_status(&status).retry_after.is_some());
}

#[tokio::test]
async fn the_deadline_ends_a_call_to_a_peer_that_never_answers() {
    let silent = server::bind(LOOPBACK).await.unwrap();
    let wire = wire("echo", &[address(&silent)], RemoteConfig::default()).unwrap();
    let mut request = tonic::Request::new(HealthCheckRequest::default());
    request.set_timeout(Duration::from_millis(50));
    let status = HealthClient::new(wire).check(request).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn connections_send_small_writes_at_once() {
    let endpoint = endpoint("echo", &dead().await, &RemoteConfig::default()).unwrap();
    assert!(endpoint.get_tcp_nodelay());
    assert_eq!(endpoint.get_connect_timeout(), Some(Duration::from_secs(5)));
}

#[tokio::test]
async fn a_part_without_an_address_is_a_fault_of_the_configuration() {
    let fault = wire("echo", &[], RemoteConfig::default()).unwrap_err();
    assert_eq!(fault.kind(), ErrorKind::Invalid);
    assert!(fault.to_string().contains("echo"));
}

fn instances(addresses: &[&Address]) -> Vec<Instance> {
    addresses.iter().map(|address| Instance::at((*address).clone())).collect()
}

#[tokio::test]
async fn calls_follow_the_instances_that_join_and_leave() {
    let ((one, first), (other, _second)) = (healthy().await, healthy().await);
    let discovery = Fixed::default();
    let wire = following("echo", discovery.follow("echo"), RemoteConfig::default());
    let status = check(&wire, &Context::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("the echo service has no instance"), "{}", status.message());
    discovery.set("echo", instances(&[&one]));
    check(&wire, &Context::default()).await.unwrap();
    discovery.set("echo", instances(&[&one, &other]));
    for _ in 0..20 {
        check(&wire, &Context::default()).await.unwrap();
    }
    // It leaves first and stops then: no call finds it dead.
    discovery.set("echo", instances(&[&other]));
    drop(first);
    for _ in 0..20 {
        check(&wire, &Context::default()).await.unwrap();
    }
}

#[tokio::test]
async fn a_call_to_an_instance_that_leaves_goes_on_to_its_end() {
    let (one, _first, reporter) = reporting().await;
    let (other, _second) = healthy().await;
    let discovery = Fixed::new([("echo".to_owned(), vec![one])]);
    let wire = following("echo", discovery.follow("echo"), RemoteConfig::default());
    let mut client = HealthClient::new(wire.clone());
    let mut watch = client.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status, 1);
    discovery.set("echo", instances(&[&other]));
    // The first call after that drops the connection of the one that left.
    for _ in 0..5 {
        check(&wire, &Context::default()).await.unwrap();
    }
    reporter.set_service_status("", ServingStatus::NotServing).await;
    assert_eq!(watch.message().await.unwrap().unwrap().status, 2);
}

#[tokio::test]
async fn a_call_waits_for_the_first_word_of_discovery_and_not_for_ever() {
    let (address, _guard) = healthy().await;
    let (sender, receiver) = tokio::sync::watch::channel(None);
    let wire = following("echo", Follow::new(receiver), RemoteConfig::default());
    let context = Context::default();
    let (answer, ()) = tokio::join!(check(&wire, &context), async {
        tokio::task::yield_now().await;
        sender.send_replace(Some(instances(&[&address]).into()));
    });
    answer.unwrap();
    let (_silent, receiver) = tokio::sync::watch::channel(None);
    let config = RemoteConfig { connect_timeout: Duration::from_millis(20), ..RemoteConfig::default() };
    let status = check(&following("echo", Follow::new(receiver), config), &context).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("not known where the echo service is"), "{}", status.message());
}
