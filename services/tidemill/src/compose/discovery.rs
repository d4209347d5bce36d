//! How the processes of a mesh find each other: wires to the parts of others, and the parts of this one made known.
//!
//! A part that is listed is where the list says; every other one is followed in Consul, where that is configured.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tidemill_chassis::Wire;
use tidemill_chassis::discovery::consul::{Consul, Registration, Service};
use tidemill_chassis::discovery::resolved::resolving;
use tidemill_chassis::discovery::{Address, Discovery, Follow, Instance};
use tidemill_chassis::remote::{self, RemoteConfig};
use tidemill_chassis::tls::Certificates;

use super::schedulers::Schedulers;
use super::{METHODS, Peers};
use crate::config::{Clients, Config};

/// How often the names of schedulers are looked up.
const LOOK_UP: Duration = Duration::from_secs(5);

/// Where the parts of other processes are.
pub(super) struct Elsewhere {
    fixed: Peers,
    consul: Option<Consul>,
    clients: Box<Clients>,
    certificates: Option<Certificates>,
}

impl Elsewhere {
    /// As it is configured, called with these certificates. Nothing is connected yet.
    pub(super) fn new(config: &Config, certificates: Option<Certificates>) -> Result<Self> {
        let (discovery, clients) = (&config.discovery, config.client.clone());
        let consul = discovery.consul.clone().map(Consul::new).transpose()?;
        Ok(Self { fixed: discovery.fixed.clone(), consul, clients, certificates })
    }

    /// The wire to a part. Connects at the first call, so that processes may start in any order.
    pub(super) fn wire(&self, name: &'static str) -> Result<Wire> {
        let config = RemoteConfig {
            tls: self.certificates.clone(),
            ..RemoteConfig::new(self.clients.of(name), METHODS)
        };
        let listed = self.fixed.addresses(name)?;
        match &self.consul {
            _ if !listed.is_empty() => Ok(remote::wire(name, &listed, config)?),
            Some(consul) => Ok(remote::following(name, consul.follow(name), config)),
            None => bail!(
                "{name} is needed here, but it is neither in this process nor listed: add it to the names after \
                 `serve`, say where it answers (--peer {name}=HOST:PORT), or let Consul tell (--consul URL)"
            ),
        }
    }

    /// The schedulers of other processes, each by itself, because a worker keeps a stream to every one; none where nobody
    /// says where they are.
    pub(super) fn every_scheduler(&self) -> Result<Option<tidemill_worker::Schedulers>> {
        const NAME: &str = "scheduling";
        let listed = match self.fixed.addresses("schedulers")? {
            each if !each.is_empty() => each,
            _ => self.fixed.addresses(NAME)?,
        };
        // An address without its name would not be that of a certificate.
        let may_split = self.certificates.as_ref().is_none_or(Certificates::has_server_name);
        let follow = match &self.consul {
            _ if !listed.is_empty() && may_split => resolving(listed, LOOK_UP),
            _ if !listed.is_empty() => Follow::always(listed.into_iter().map(Instance::at).collect()),
            Some(consul) => consul.follow(NAME),
            None => return Ok(None),
        };
        let config = RemoteConfig {
            tls: self.certificates.clone(),
            ..RemoteConfig::new(self.clients.of(NAME), METHODS)
        };
        let connect =
            move |address: &Address| remote::wire(NAME, std::slice::from_ref(address), config.clone()).ok();
        Ok(Some(tidemill_worker::Schedulers::following(follow, connect)))
    }

    /// The way to single schedulers.
    pub(super) fn schedulers(&self) -> Arc<Schedulers> {
        Schedulers::new(RemoteConfig {
            tls: self.certificates.clone(),
            ..RemoteConfig::new(self.clients.of("scheduling"), METHODS)
        })
    }

    /// Where other processes reach parts that are bound there; none if only their operator can tell.
    pub(super) async fn reached_at(&self, bound: SocketAddr) -> Option<String> {
        match &self.consul {
            Some(consul) => Some(consul.reached_at(bound).await?.to_string()),
            None => Some(bound.to_string()).filter(|_| !bound.ip().is_unspecified()),
        }
    }

    /// Makes the parts of this process known, which serve already: each by its name, where it is bound, and whether it
    /// speaks TLS there.
    pub(super) async fn register(
        &self,
        parts: impl Iterator<Item = (&'static str, SocketAddr, bool)>,
    ) -> Result<Vec<Registration>> {
        let Some(consul) = &self.consul else { return Ok(Vec::new()) };
        let mut registrations = Vec::new();
        for (name, bound, is_tls) in parts {
            let service = Service {
                name,
                bound,
                health: tidemill_proto::services_of(name).next(),
                version: env!("CARGO_PKG_VERSION"),
                is_tls,
            };
            registrations.push(consul.register(&service).await.with_context(|| format!("{name} in Consul"))?);
        }
        Ok(registrations)
    }
}

#[cfg(test)]
mod tests {
    use tidemill_chassis::discovery::consul::ConsulConfig;

    use super::*;

    #[tokio::test]
    async fn a_part_that_is_neither_listed_nor_in_consul_is_named() {
        let mut config = Config::default();
        config.discovery.fixed.set("storage=127.0.0.1:7401").unwrap();
        let elsewhere = Elsewhere::new(&config, None).unwrap();
        elsewhere.wire("storage").unwrap();
        let fault = elsewhere.wire("scheduling").unwrap_err().to_string();
        assert!(fault.contains("--peer scheduling=") && fault.contains("--consul"), "{fault}");
        config.discovery.consul = Some(ConsulConfig::default());
        Elsewhere::new(&config, None).unwrap().wire("scheduling").unwrap();
    }
}
