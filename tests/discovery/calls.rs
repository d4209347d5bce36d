//! Calls over a wire that follows Consul, while instances come and go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::Result;
use tidemill_chassis::Wire;
use tidemill_chassis::discovery::consul::ConsulConfig;
use tidemill_chassis::remote::{self, RemoteConfig};
use tokio::task::JoinHandle;
use tonic::Status;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::server::{Server, World};

/// Calls one after the other until it is told to end.
struct Caller {
    end: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    task: JoinHandle<Result<(), Status>>,
}

impl Caller {
    fn start(wire: Wire) -> Self {
        let (end, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let task = tokio::spawn({
            let (end, done) = (end.clone(), done.clone());
            async move {
                while !end.load(Ordering::Relaxed) {
                    check(&wire).await?;
                    done.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
                Ok(())
            }
        });
        Self { end, done, task }
    }

    /// Waits until so many more calls have been answered, or one has failed.
    async fn more(&self, calls: u64) {
        let goal = self.done.load(Ordering::Relaxed) + calls;
        while self.done.load(Ordering::Relaxed) < goal && !self.task.is_finished() {
            tokio::task::yield_now().await;
        }
    }

    async fn end(self) -> Result<u64> {
        self.end.store(true, Ordering::Relaxed);
        self.task.await??;
        Ok(self.done.load(Ordering::Relaxed))
    }
}

async fn check(wire: &Wire) -> Result<(), Status> {
    HealthClient::new(wire.clone()).check(HealthCheckRequest::default()).await.map(drop)
}

#[tokio::test]
async fn a_rolling_replacement_of_every_instance_fails_no_call_even_without_retries() -> Result<()> {
    let linger = |config| ConsulConfig { linger_ms: 300, ..config };
    let Some(world) = World::start_with(linger).await? else { return Ok(()) };
    let mut servers = vec![Server::start(&world.consul).await?, Server::start(&world.consul).await?];
    for server in &mut servers {
        server.registration.until_registered().await;
    }
    let caller = Caller::start(remote::following("echo", world.follow(), RemoteConfig::default()));
    for _ in 0..4 {
        caller.more(200).await;
        let mut next = Server::start(&world.consul).await?;
        next.registration.until_registered().await;
        servers.push(next);
        caller.more(200).await;
        servers.remove(0).leave().await?;
    }
    caller.more(200).await;
    println!("{} calls while four instances were replaced", caller.end().await?);
    Ok(())
}

#[tokio::test]
async fn a_restart_of_an_empty_consul_fails_no_call() -> Result<()> {
    let Some(mut world) = World::start().await? else { return Ok(()) };
    let mut servers = vec![Server::start(&world.consul).await?, Server::start(&world.consul).await?];
    for server in &mut servers {
        server.registration.until_registered().await;
    }
    let caller = Caller::start(remote::following("echo", world.follow(), RemoteConfig::default()));
    caller.more(100).await;
    world.agent.stop();
    caller.more(100).await;
    world.agent.restart().await?;
    let mut wanted: Vec<_> = servers.iter().map(|server| server.address.to_string()).collect();
    wanted.sort();
    let healed = || async { world.in_catalog().await.filter(|all| *all == wanted) };
    let limit = std::time::Duration::from_secs(20);
    tidemill_tests::harness::poll::until("both are registered again", limit, healed).await?;
    caller.more(100).await;
    println!("{} calls while Consul was restarted", caller.end().await?);
    Ok(())
}

#[tokio::test]
async fn one_instance_of_two_that_dies_costs_few_calls_and_they_say_which() -> Result<()> {
    let Some(world) = World::start().await? else { return Ok(()) };
    let (mut stays, mut dies) = (Server::start(&world.consul).await?, Server::start(&world.consul).await?);
    stays.registration.until_registered().await;
    dies.registration.until_registered().await;
    let wire = remote::following("echo", world.follow(), RemoteConfig::default());
    for _ in 0..50 {
        check(&wire).await?;
    }
    let address = dies.address.to_string();
    dies.die();
    let mut failed = Vec::new();
    for _ in 0..2_000 {
        failed.extend(check(&wire).await.err());
    }
    println!("{} of 2000 calls failed", failed.len());
    assert!(failed.len() <= 5, "{failed:?}");
    assert!(failed.iter().all(|status| status.message().contains(&address)), "{failed:?}");
    Ok(())
}
