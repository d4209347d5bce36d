//! The wire to a part in other processes: one lazily made HTTP/2 connection an instance, balanced, behind the client's
//! layers. Nothing is connected before the first call, so processes may start in any order.

use std::time::Duration;

use tidemill_kernel::ErrorKind;
use tonic::transport::Endpoint;
use tracing::warn;

use crate::Wire;
use crate::balance::Balance;
use crate::balance::endpoints::Rules;
use crate::client::ClientConfig;
use crate::discovery::{Address, Follow, Instance};
use crate::layers::retry::RetryPolicy;
use crate::layers::{Methods, client_stack};
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
    let (rules, patience, retry) = (config.rules.clone(), config.connect_timeout, config.retry.clone());
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
    client_stack(name, Balance::new(name, follow, connect, rules, patience), retry)
}

/// How another part is reached.
#[derive(Debug, Clone)]
pub struct RemoteConfig {
    /// Which calls are tried again or sent twice, and how often.
    pub retry: RetryPolicy,
    /// How calls are spread, and when an address is left alone for a while.
    pub rules: Rules,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// The certificates for connections over TLS; without them they are plain.
    pub tls: Option<Certificates>,
    /// How a peer that has fallen silent is noticed; none: only by the deadlines of calls.
    pub keep_alive: Option<KeepAlive>,
}

/// Pings on a connection (RFC 9113, section 6.7): one that is not answered ends the connection and its calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepAlive {
    /// How long after the last one a ping is sent.
    pub interval: Duration,
    /// How long its answer may take.
    pub timeout: Duration,
    /// Whether also while no call is under way, so that the next call finds no dead connection.
    pub while_idle: bool,
}

impl RemoteConfig {
    /// As the configuration has it, for methods of which the contracts say this; without TLS.
    pub fn new(config: &ClientConfig, methods: Methods) -> Self {
        Self {
            retry: config.retry_policy(methods),
            rules: config.rules(),
            connect_timeout: Duration::from_millis(config.connect_timeout_ms),
            keep_alive: config.keep_alive(),
            tls: None,
        }
    }
}

impl Default for RemoteConfig {
    /// The default configuration, without retries: nothing is known of the methods.
    fn default() -> Self {
        Self::new(&ClientConfig::default(), Methods::default())
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
    let endpoint = endpoint
        .tcp_nodelay(true)
        .connect_timeout(config.connect_timeout)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20);
    Ok(match config.keep_alive {
        None => endpoint,
        Some(KeepAlive { interval, timeout, while_idle }) => endpoint
            .http2_keep_alive_interval(interval)
            .keep_alive_timeout(timeout)
            .keep_alive_while_idle(while_idle),
    })
}

#[cfg(test)]
mod tests;
