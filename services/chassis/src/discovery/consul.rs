//! Discovery by Consul: the instances of a service as its catalog has them, followed by blocking queries; and the
//! registration of one's own.
//!
//! - While Consul is away, what was known last goes on being used; `known.rs` tells what is believed when it is back.
//! - Consul's faults never fail a call: they are logged, once for each outage, and the question is asked again after a
//!   backoff with jitter.

mod advertise;
pub mod config;
mod follow;
mod known;
pub mod registration;

use std::net::SocketAddr;
use std::sync::Arc;

use tidemill_consul::{Client, HealthQuery};
use tidemill_kernel::ErrorKind;
use tokio::sync::watch;

pub use config::ConsulConfig;
pub use registration::{Registration, Service};

use self::known::Known;
use super::{Address, Discovery, Follow};

/// Discovery by the agent of a configuration. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Consul {
    client: Client,
    config: Arc<ConsulConfig>,
}

impl Consul {
    /// Checks the configuration and reads its files; connects to nobody yet, so that processes may start in any order.
    ///
    /// # Errors
    /// Every setting that cannot work, at once.
    pub fn new(config: ConsulConfig) -> Result<Self, Error> {
        config.check()?;
        let client = Client::new(&config.client())?;
        Ok(Self { client, config: Arc::new(config) })
    }

    /// The client underneath, for checks of a set-up.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Where others reach what this process listens to, as [`Self::register`] would say; none if that cannot be told.
    pub async fn reached_at(&self, bound: SocketAddr) -> Option<Address> {
        let config = &self.config;
        let (host, port) = advertise::find(config.advertise.as_deref(), bound, &config.address).await.ok()?;
        Address::of(&host, port).ok()
    }

    /// Registers a service of this process and keeps it registered until [`Registration::leave`]. Returns before Consul
    /// has answered: a process does not wait for Consul to start.
    ///
    /// # Errors
    /// When no address can be told under which others reach it.
    pub async fn register(&self, service: &Service<'_>) -> Result<Registration, Error> {
        Registration::begin(self, service).await
    }

    /// The name in Consul of a service of ours.
    fn name_of(&self, service: &str) -> String {
        format!("{}{service}", self.config.service_prefix)
    }
}

impl Discovery for Consul {
    fn follow(&self, service: &str) -> Follow {
        let (sender, receiver) = watch::channel(None);
        let name = self.name_of(service);
        let watch = self.client.health().watch(name.clone(), HealthQuery::passing(), self.config.wait());
        let known = Known::new(self.config.grace());
        tokio::spawn(follow::Following::new(name, watch, known, sender).run());
        Follow::new(receiver)
    }
}

/// Consul cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Settings that cannot work.
    #[error("{}", .0.join("; "))]
    Config(Vec<String>),
    /// The client refuses its settings.
    #[error("discovery.consul: {0}")]
    Client(#[from] tidemill_consul::Error),
    /// It cannot be told where others reach a service.
    #[error(
        "cannot tell where others reach {service}: {reason}; set discovery.consul.advertise to a host or host:port"
    )]
    Advertise {
        /// The service.
        service: String,
        /// Why not.
        reason: String,
    },
}

impl Error {
    /// Always [`ErrorKind::Invalid`]: a matter of configuration.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Config(_) | Self::Client(_) | Self::Advertise { .. } => ErrorKind::Invalid,
        }
    }
}
