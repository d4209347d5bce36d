//! Where the agent is, and how it is spoken to.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How a [`Client`](crate::Client) reaches its agent.
#[derive(Clone, PartialEq, Eq)]
pub struct Config {
    /// `http://host:port` or `https://host:port`; without a scheme it is HTTP, or HTTPS when [`Config::tls`] has a CA.
    pub address: String,
    /// The ACL token, sent as `X-Consul-Token`.
    pub token: Option<String>,
    /// The datacenter that is asked; the agent's own when unset.
    pub datacenter: Option<String>,
    /// The namespace (a feature of Consul Enterprise: others refuse it).
    pub namespace: Option<String>,
    /// Certificates, for HTTPS.
    pub tls: Tls,
    /// How long any answer may take, beyond the wait of a blocking query.
    pub timeout: Duration,
}

/// Certificates in PEM files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Who signed the agent's certificate; the machine's own list of authorities when unset.
    pub ca_file: Option<PathBuf>,
    /// The client's certificate chain, for agents that ask for one.
    pub cert_file: Option<PathBuf>,
    /// The key of that certificate.
    pub key_file: Option<PathBuf>,
}

impl Config {
    /// The agent at this address, with defaults for the rest.
    pub fn at(address: impl Into<String>) -> Self {
        Self { address: address.into(), ..Self::default() }
    }
}

impl Default for Config {
    /// The agent of this machine over plain HTTP; 5 s for an answer.
    fn default() -> Self {
        Self {
            address: "http://127.0.0.1:8500".to_owned(),
            token: None,
            datacenter: None,
            namespace: None,
            tls: Tls::default(),
            timeout: Duration::from_secs(5),
        }
    }
}

impl fmt::Debug for Config {
    /// Everything but the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("address", &self.address)
            .field("has_token", &self.token.is_some())
            .field("datacenter", &self.datacenter)
            .field("namespace", &self.namespace)
            .field("tls", &self.tls)
            .field("timeout", &self.timeout)
            .finish()
    }
}
