//! The wire to a part in other processes: one lazily made HTTP/2 connection an address, balanced, behind the client's
//! layers. Nothing is connected before the first call, so processes may start in any order.

use std::time::Duration;

use tidemill_kernel::ErrorKind;
use tidemill_kernel::breaker::BreakerConfig;
use tonic::transport::Endpoint;

use crate::Wire;
use crate::balance::Balance;
use crate::discovery::fixed::Address;
use crate::layers::client_stack;
use crate::layers::retry::RetryPolicy;

/// The wire to the part `name` at these addresses. Must be called within a tokio runtime.
pub fn wire(name: &'static str, addresses: &[Address], config: RemoteConfig) -> Result<Wire, Error> {
    if addresses.is_empty() {
        return Err(Error::NoAddress { name });
    }
    let mut connections = Vec::with_capacity(addresses.len());
    for address in addresses {
        connections.push((address.clone(), endpoint(name, address, &config)?.connect_lazy()));
    }
    Ok(client_stack(Balance::new(name, connections, &config.breaker), config.retry))
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
}

impl Default for RemoteConfig {
    /// No retries; an address that failed five times in a row rests for half a second; 5 s to connect.
    fn default() -> Self {
        Self {
            retry: RetryPolicy::never(),
            breaker: BreakerConfig { pause: Duration::from_millis(500), ..BreakerConfig::default() },
            connect_timeout: Duration::from_secs(5),
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
