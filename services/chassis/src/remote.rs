//! The wire to a part in other processes: one lazily made HTTP/2 connection an instance, balanced, behind the client's
//! layers. Nothing is connected before the first call, so processes may start in any order.

use std::time::Duration;

use tidemill_kernel::ErrorKind;
use tidemill_kernel::breaker::BreakerConfig;
use tonic::transport::Endpoint;
use tracing::warn;

use crate::Wire;
use crate::balance::Balance;
use crate::discovery::{Address, Follow, Instance};
use crate::layers::client_stack;
use crate::layers::retry::RetryPolicy;
use crate::tls::{Certificates, Connector};

/// The wire to the part `name` at these addresses. Must be called within a tokio runtime.
pub fn wire(name: &'static str, addresses: &[Address], config: RemoteConfig) -> Result<Wire, Error> {
    if addresses.is_empty() {
        return Err(Error::NoAddress { name });
    }
    for address in addresses {
        endpoint(name, address, &config)?;
    }
    let instances = addresses.iter().cloned().map(Instance::at).collect();
    Ok(following(name, Follow::always(instances), config))
}

/// The wire to the part `name` at the instances that discovery tells, as they join and leave. Calls wait for its first
/// word as long as for a connection. Must be called within a tokio runtime.
pub fn following(name: &'static str, follow: Follow, config: RemoteConfig) -> Wire {
    let (breaker, patience, retry) = (config.breaker.clone(), config.connect_timeout, config.retry.clone());
    let connect = move |address: &Address| match endpoint(name, address, &config) {
        Ok(endpoint) => Some(match &config.tls {
            Some(certificates) => endpoint.connect_with_connector_lazy(Connector::new(certificates.clone())),
            None => endpoint.connect_lazy(),
        }),
        Err(fault) => {
            warn!(%fault, "an instance is left out");
            None
        }
    };
    client_stack(Balance::new(name, follow, connect, breaker, patience), retry)
}

/// How another part is reached.
#[derive(Debug, Clone)]
pub struct RemoteConfig {
    /// Which calls are tried again, and how often.
    pub retry: RetryPolicy,
    /// When an address is left alone for a while.
    pub breaker: BreakerConfig,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// The certificates for connections over TLS; without them they are plain.
    pub tls: Option<Certificates>,
}

impl Default for RemoteConfig {
    /// No retries; an address that failed five times in a row rests for half a second; 5 s to connect.
    fn default() -> Self {
        Self {
            retry: RetryPolicy::never(),
            breaker: BreakerConfig { pause: Duration::from_millis(500), ..BreakerConfig::default() },
            connect_timeout: Duration::from_secs(5),
            tls: None,
        }
    }
}

/// The wire cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The list of addresses is empty.
    #[error(
        "no address is set for the {name} service: list at least one host:port, or compose it into this process"
    )]
    NoAddress {
        /// The part.
        name: &'static str,
    },
    /// The address cannot be part of a URI.
    #[error("the address {address} of the {name} service cannot be used: {source}; expected host:port")]
    Address {
        /// The part.
        name: &'static str,
        /// The address.
        address: Address,
        /// What is wrong with it.
        source: tonic::transport::Error,
    },
}

impl Error {
    /// Always [`ErrorKind::Invalid`]: a matter of configuration.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoAddress { .. } | Self::Address { .. } => ErrorKind::Invalid,
        }
    }
}

/// The settings of one connection: the counterpart of those in `server`.
fn endpoint(name: &'static str, address: &Address, config: &RemoteConfig) -> Result<Endpoint, Error> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|source| Error::Address {
        name,
        address: address.clone(),
        source,
    })?;
    Ok(endpoint
        .tcp_nodelay(true)
        .connect_timeout(config.connect_timeout)
        // A peer that vanished without a word is noticed while calls wait for it.
        .http2_keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10))
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20))
}

#[cfg(test)]
mod tests;
