//! A service of this process in Consul: registered once its port is taken, kept registered, and out of the catalog
//! before it drains.
//!
//! Invariants:
//! - It is registered as passing: it serves already, and Consul's first probe comes only after a random part of the
//!   interval. From then on the agent's probes of `grpc.health.v1` decide.
//! - Consul may forget: the service asks its agent every second or so whether it is known, and registers again if not.
//! - After [`Registration::leave`] nothing registers it again.
//!
//! The id is made of name, host and port, so that a process that is killed and started again on its port takes its own
//! place instead of standing beside a dead self.

use std::net::SocketAddr;
use std::time::Duration;

use tidemill_consul::{AgentService, Check, CheckStatus, Client, Probe, Weights};
use tidemill_kernel::backoff::{Backoff, Jitter};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{info, warn};

use super::{Consul, Error, advertise};
use crate::clock::seeded_rng;
use crate::discovery::Address;
use crate::sleep;

/// After a failed try to register.
const BACKOFF: Backoff =
    Backoff { base: Duration::from_millis(200), cap: Duration::from_secs(3), jitter: Jitter::Equal };
/// How long leaving may take.
const LEAVE: Duration = Duration::from_secs(2);

/// What is registered.
#[derive(Debug, Clone, Copy)]
pub struct Service<'a> {
    /// Its name in the mesh, for example `storage`.
    pub name: &'a str,
    /// Where it listens; its port has been taken already.
    pub bound: SocketAddr,
    /// The gRPC service whose health is the service's; the whole server's when unset.
    pub health: Option<&'a str>,
    /// The program's version.
    pub version: &'a str,
    /// Whether the port speaks TLS.
    pub is_tls: bool,
}

/// A service that is kept registered. Dropped without [`Registration::leave`], it stays in the catalog until its check
/// fails, and nobody registers it again.
#[derive(Debug)]
pub struct Registration {
    client: Client,
    id: String,
    address: Address,
    linger: Duration,
    /// Ends the keeper, also when the registration is dropped.
    stop: DropGuard,
    keeper: JoinHandle<()>,
    is_registered: watch::Receiver<bool>,
}

impl Registration {
    pub(super) async fn begin(consul: &Consul, service: &Service<'_>) -> Result<Self, Error> {
        let config = &consul.config;
        let fault = |reason| Error::Advertise { service: service.name.to_owned(), reason };
        let found = advertise::find(config.advertise.as_deref(), service.bound, &config.address).await;
        let (host, port) = found.map_err(fault)?;
        let address = Address::of(&host, port).map_err(|reason| fault(reason.to_string()))?;
        let wanted = describe(consul, service, &host, port, &address);
        let (stop, (sender, is_registered)) = (CancellationToken::new(), watch::channel(false));
        let id = wanted.id.clone();
        let keeper = Keeper {
            client: consul.client.clone(),
            wanted,
            interval: Duration::from_millis(config.heal_interval_ms),
            is_registered: sender,
        };
        let keeper = tokio::spawn(keeper.run(stop.clone()));
        let (client, linger) = (consul.client.clone(), config.linger());
        Ok(Self { client, id, address, linger, stop: stop.drop_guard(), keeper, is_registered })
    }

    /// Where others reach it.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Its id in Consul.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Waits until the agent knows it.
    pub async fn until_registered(&mut self) {
        // The sender ends only with the registration itself.
        let _ = self.is_registered.wait_for(|is_registered| *is_registered).await;
    }

    /// Takes it out of the catalog and gives clients a moment to learn of it. The service drains after that.
    pub async fn leave(mut self) {
        drop(self.stop);
        // A registration under way would come after the deregistration.
        if tokio::time::timeout(LEAVE, &mut self.keeper).await.is_err() {
            self.keeper.abort();
        }
        let agent = self.client.agent();
        match tokio::time::timeout(LEAVE, agent.deregister(&self.id)).await {
            Ok(Ok(())) => info!(id = self.id, "left Consul's catalog"),
            Ok(Err(fault)) => {
                warn!(id = self.id, %fault, "cannot leave Consul's catalog: its check will fail")
            }
            Err(_) => warn!(id = self.id, "Consul is slow: left its catalog to the check that will fail"),
        }
        sleep(self.linger).await;
    }

    /// Takes several out at the same time.
    pub async fn leave_all(registrations: Vec<Self>) {
        futures::future::join_all(registrations.into_iter().map(Self::leave)).await;
    }
}

/// The entry in Consul.
fn describe(
    consul: &Consul,
    service: &Service<'_>,
    host: &str,
    port: u16,
    address: &Address,
) -> tidemill_consul::Registration {
    let config = &consul.config;
    let name = consul.name_of(service.name);
    let target = match service.health {
        Some(health) => format!("{address}/{health}"),
        None => address.to_string(),
    };
    let probe = Probe::Grpc {
        target,
        use_tls: service.is_tls,
        // The agent has no list of authorities for services; it only asks for health.
        skip_verify: service.is_tls,
        interval: Duration::from_millis(config.check_interval_ms),
        timeout: Duration::from_millis(config.check_timeout_ms),
    };
    let check = Check::new(probe)
        .starting(CheckStatus::Passing)
        .deregister_after(Duration::from_millis(config.deregister_after_ms));
    let mut entry = tidemill_consul::Registration::new(format!("{name}-{host}-{port}"), name, host, port)
        .check(check)
        .tag(format!("version={}", service.version))
        .meta("version", service.version)
        .meta("part", service.name);
    entry.weights = Weights { passing: config.weight, ..Weights::default() };
    if let Some(zone) = &config.zone {
        entry = entry.tag(format!("zone={zone}")).meta("zone", zone);
    }
    entry.tags.extend(config.tags.iter().cloned());
    entry
}

/// Keeps an entry registered.
struct Keeper {
    client: Client,
    wanted: tidemill_consul::Registration,
    interval: Duration,
    is_registered: watch::Sender<bool>,
}

impl Keeper {
    async fn run(self, stop: CancellationToken) {
        let (mut rng, mut failures, id) = (seeded_rng(), 0_u32, self.wanted.id.as_str());
        loop {
            let pause = match self.keep().await {
                Ok(is_new) => {
                    if is_new {
                        info!(id, "registered in Consul");
                    }
                    failures = 0;
                    self.is_registered.send_replace(true);
                    self.interval
                }
                Err(fault) => {
                    if failures == 0 {
                        warn!(id, %fault, "cannot register in Consul: will try again");
                    }
                    failures = failures.saturating_add(1);
                    BACKOFF.delay(failures, &mut rng)
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
            }
        }
    }

    /// Registers the entry unless the agent has it as it should be; returns whether it did.
    async fn keep(&self) -> Result<bool, tidemill_consul::Error> {
        let agent = self.client.agent();
        if *self.is_registered.borrow() {
            if agent.service(&self.wanted.id).await?.is_some_and(|known| is_as(&self.wanted, &known)) {
                return Ok(false);
            }
        } else {
            // What a former process of this id left goes first: Consul would hand its failing check's state on.
            agent.deregister(&self.wanted.id).await?;
        }
        agent.register(&self.wanted).await?;
        Ok(true)
    }
}

/// Whether the agent knows an entry as it is wanted.
fn is_as(wanted: &tidemill_consul::Registration, known: &AgentService) -> bool {
    (&wanted.name, &wanted.address, wanted.port, &wanted.tags, &wanted.meta)
        == (&known.name, &known.address, known.port, &known.tags, &known.meta)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::consul::ConsulConfig;

    #[test]
    fn an_entry_has_an_id_of_its_place_and_tells_version_and_zone() {
        let config = ConsulConfig {
            zone: Some("a".to_owned()),
            tags: vec!["blue".to_owned()],
            weight: 3,
            ..ConsulConfig::default()
        };
        let consul = Consul::new(config).unwrap();
        let bound = SocketAddr::from(([127, 0, 0, 1], 7));
        let health = Some("echo.v1.Echo");
        let service = Service { name: "echo", bound, health, version: "1.2.3", is_tls: false };
        let address = Address::of("::1", 7).unwrap();
        let entry = describe(&consul, &service, "::1", 7, &address);
        assert_eq!((entry.id.as_str(), entry.name.as_str()), ("tidemill-echo-::1-7", "tidemill-echo"));
        assert_eq!(entry.weights.passing, 3);
        assert_eq!(entry.tags, ["version=1.2.3", "zone=a", "blue"]);
        assert_eq!(entry.meta.get("zone").map(String::as_str), Some("a"));
        assert!(
            matches!(&entry.checks[0].probe, Probe::Grpc { target, .. } if target == "[::1]:7/echo.v1.Echo")
        );
    }
}
