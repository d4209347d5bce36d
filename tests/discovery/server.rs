//! A service of the mesh for these tests: gRPC health on a free port, registered like any part.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use http::Request;
use hyper::body::Incoming;
use tidemill_chassis::discovery::consul::registration::{Registration, Service};
use tidemill_chassis::discovery::consul::{Consul, ConsulConfig};
use tidemill_chassis::discovery::{Address, Discovery, Follow};
use tidemill_chassis::{Switchboard, meta, server};
use tidemill_tests::harness::consul::Agent;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::ServiceExt;

use crate::stage::config;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// One instance of `echo`.
pub(crate) struct Server {
    pub(crate) address: Address,
    pub(crate) registration: Registration,
    stop: CancellationToken,
    task: JoinHandle<()>,
    _host: Host,
}

impl Server {
    /// Starts it and registers it.
    pub(crate) async fn start(consul: &Consul) -> Result<Self> {
        Self::start_at(consul, LOOPBACK).await
    }

    /// The same on this address.
    pub(crate) async fn start_at(consul: &Consul, listen: SocketAddr) -> Result<Self> {
        let host = Host::start()?;
        let listener = host.spawn(server::bind(listen)).await??;
        let bound = listener.local_addr()?;
        let (wire, _) = meta::wire(&[], tidemill_proto::DESCRIPTORS).await.map_err(anyhow::Error::msg)?;
        let board = Switchboard::new(meta::SERVICES.map(|name| (name.to_owned(), wire.clone())));
        let service = board.map_request(|request: Request<Incoming>| request.map(Body::new));
        let stop = CancellationToken::new();
        let task = host.spawn(server::serve(listener, service, stop.clone()));
        let service = Service { name: "echo", bound, health: None, version: "1.2.3", is_tls: false };
        let registration = consul.register(&service).await?;
        Ok(Self { address: registration.address().clone(), registration, stop, task, _host: host })
    }

    /// Leaves the catalog, then drains.
    pub(crate) async fn leave(self) -> Result<()> {
        self.registration.leave().await;
        self.stop.cancel();
        Ok(self.task.await?)
    }

    /// Ends at once, with its port, its connections and its registration's keeper; the entry stays.
    pub(crate) fn die(self) {
        drop(self);
    }
}

/// What a process is to a server: with it everything ends.
struct Host(Option<Runtime>);

impl Host {
    fn start() -> Result<Self> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        Ok(Self(Some(builder.worker_threads(1).enable_all().build()?)))
    }

    fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        match &self.0 {
            Some(runtime) => runtime.spawn(future),
            None => tokio::spawn(future),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Waiting for it is not allowed in async code.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// A real agent with discovery by it; the test is skipped aloud without Consul.
pub(crate) struct World {
    pub(crate) agent: Agent,
    pub(crate) consul: Consul,
    _home: tempfile::TempDir,
}

impl World {
    pub(crate) async fn start() -> Result<Option<Self>> {
        Self::start_with(|config| config).await
    }

    pub(crate) async fn start_with(
        settings: impl FnOnce(ConsulConfig) -> ConsulConfig,
    ) -> Result<Option<Self>> {
        let home = tempfile::tempdir()?;
        let Some(agent) = Agent::start(home.path()).await? else { return Ok(None) };
        let consul = Consul::new(settings(config(&agent)))?;
        Ok(Some(Self { agent, consul, _home: home }))
    }

    pub(crate) fn follow(&self) -> Follow {
        self.consul.follow("echo")
    }

    /// The addresses that the agent itself has as passing, sorted.
    pub(crate) async fn in_catalog(&self) -> Option<Vec<String>> {
        let query = tidemill_consul::HealthQuery::passing();
        let entries = self.consul.client().health().service("tidemill-echo", &query, None).await.ok()?.value;
        let mut found: Vec<_> =
            entries.iter().map(|entry| format!("{}:{}", entry.host(), entry.service.port)).collect();
        found.sort();
        Some(found)
    }
}

/// Waits until exactly these are told; how long that took.
pub(crate) async fn until(follow: &mut Follow, wanted: &[&Address]) -> Result<Duration> {
    let begun = std::time::Instant::now();
    let mut wanted = wanted.to_vec();
    wanted.sort();
    let told = async {
        let is_it = |follow: &Follow| {
            follow
                .current()
                .is_some_and(|all| all.iter().map(|instance| &instance.address).eq(wanted.iter().copied()))
        };
        while !is_it(follow) {
            if !follow.changed().await {
                return false;
            }
        }
        true
    };
    let told = tokio::time::timeout(Duration::from_secs(20), told).await;
    anyhow::ensure!(told.with_context(|| format!("waited for {wanted:?}"))?, "the discovery has ended");
    Ok(begun.elapsed())
}
