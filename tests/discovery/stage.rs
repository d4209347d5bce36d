//! The suite of the port, run against a real agent; and what it leaves to the adapter.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;
use tidemill_chassis::discovery::conformance::Stage;
use tidemill_chassis::discovery::consul::{Consul, ConsulConfig};
use tidemill_chassis::discovery::{Discovery, Instance};
use tidemill_consul::{Registration, Weights};
use tidemill_tests::harness::consul::Agent;

tidemill_chassis::discovery_suite!(async { catalog().await.unwrap() });

/// A catalog that the test writes itself.
struct Catalog {
    consul: Arc<Consul>,
    _agent: Agent,
    registered: BTreeSet<String>,
}

async fn catalog() -> Result<Option<(Catalog, TempDir)>> {
    let home = tempfile::tempdir()?;
    let Some(agent) = Agent::start(home.path()).await? else { return Ok(None) };
    let consul = Arc::new(Consul::new(config(&agent))?);
    Ok(Some((Catalog { consul, _agent: agent, registered: BTreeSet::new() }, home)))
}

/// The settings for this agent, with short times.
pub(crate) fn config(agent: &Agent) -> ConsulConfig {
    ConsulConfig { address: agent.url(), linger_ms: 0, heal_interval_ms: 100, ..ConsulConfig::default() }
}

impl Stage for Catalog {
    fn discovery(&self) -> Arc<dyn Discovery> {
        self.consul.clone()
    }

    async fn publish(&mut self, service: &'static str, instances: &[Instance]) {
        let agent = self.consul.client().agent();
        let ids: BTreeSet<_> = instances.iter().map(|instance| id(service, instance)).collect();
        for instance in instances {
            agent.register(&entry(service, instance)).await.unwrap();
        }
        let of_service = format!("{service} ");
        let gone: Vec<_> = self.registered.iter().filter(|id| id.starts_with(&of_service)).cloned().collect();
        for id in gone.iter().filter(|id| !ids.contains(*id)) {
            agent.deregister(id).await.unwrap();
            self.registered.remove(id);
        }
        self.registered.extend(ids);
    }
}

fn id(service: &str, instance: &Instance) -> String {
    format!("{service} {}", instance.address)
}

/// The entry that stands for an instance.
fn entry(service: &str, instance: &Instance) -> Registration {
    let text = instance.address.to_string();
    let (host, port) = text.rsplit_once(':').unwrap_or_default();
    let name = format!("tidemill-{service}");
    let mut entry = Registration::new(id(service, instance), name, host, port.parse().unwrap_or_default());
    entry.meta = instance.meta.clone();
    entry.weights = Weights { passing: instance.weight, warning: 1 };
    entry
}

#[tokio::test]
async fn the_last_instance_is_used_for_the_grace_time_after_it_left() -> Result<()> {
    let home = tempfile::tempdir()?;
    let Some(agent) = Agent::start(home.path()).await? else { return Ok(()) };
    let consul = Consul::new(ConsulConfig { grace_ms: 1_000, ..config(&agent) })?;
    let instance = Instance::at("127.0.0.1:7".parse()?);
    consul.client().agent().register(&entry("echo", &instance)).await?;
    let mut follow = consul.follow("echo");
    while follow.current().is_none_or(|all| all.is_empty()) {
        assert!(follow.changed().await);
    }
    let begun = std::time::Instant::now();
    consul.client().agent().deregister(&id("echo", &instance)).await?;
    tokio::time::timeout(Duration::from_secs(10), follow.changed()).await?;
    assert!(follow.current().is_some_and(|all| all.is_empty()), "{follow:?}");
    assert!(begun.elapsed() >= Duration::from_millis(1_000), "it was given up too soon");
    Ok(())
}

#[tokio::test]
async fn nobody_follows_a_service_that_nobody_asks_for_any_more() -> Result<()> {
    let home = tempfile::tempdir()?;
    let Some(agent) = Agent::start(home.path()).await? else { return Ok(()) };
    let consul = Consul::new(config(&agent))?;
    let before = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let mut follow = consul.follow("echo");
    assert!(follow.known().await);
    drop(follow);
    let ended = || async {
        let alive = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        (alive <= before).then_some(())
    };
    // What is left may be connections that wait to be used again.
    drop(consul);
    tidemill_tests::harness::poll::until("the loop ends", Duration::from_secs(10), ended).await
}
