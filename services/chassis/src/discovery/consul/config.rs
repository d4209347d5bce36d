//! The settings of discovery by Consul: `[discovery.consul]`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidemill_consul::{Config, Tls};

use super::Error;

/// How Consul is reached, and how services of ours stand in it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsulConfig {
    /// Where the agent is: `http://host:port` or `https://host:port`.
    pub address: String,
    /// The ACL token. Never written out again.
    #[serde(skip_serializing)]
    pub token: Option<String>,
    /// The datacenter that is asked; the agent's own when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datacenter: Option<String>,
    /// The namespace, a feature of Consul Enterprise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Who signed the agent's certificate (PEM); the machine's own list of authorities when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// The certificate that the agent is shown (PEM), where it asks for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_file: Option<PathBuf>,
    /// The key of that certificate (PEM).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// What stands before the name of every service of ours: meshes that share a Consul have different ones.
    pub service_prefix: String,
    /// Further tags of every service that is registered.
    pub tags: Vec<String>,
    /// The zone that this process runs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The share of calls that the services of this process take, relative to other instances' (policy `weighted`).
    pub weight: u32,
    /// Where others reach the services of this process: `host`, or `host:port` where ports are mapped. Found out when
    /// unset: the address that is listened on, or else the one that this machine has towards the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertise: Option<String>,
    /// How often the agent asks a service for its health, in milliseconds; Consul takes less than 1000 for 1000.
    pub check_interval_ms: u64,
    /// How long that answer may take, in milliseconds.
    pub check_timeout_ms: u64,
    /// Removes an instance that has been critical for so long, in milliseconds; a minute at least.
    pub deregister_after_ms: u64,
    /// How often a service makes sure that its agent still knows it, in milliseconds.
    pub heal_interval_ms: u64,
    /// How long instances go on being used, in milliseconds, that Consul has forgotten rather than lost: all at once,
    /// or over an outage of its own.
    pub grace_ms: u64,
    /// How long a service that has left still takes calls before it drains, in milliseconds: clients learn meanwhile.
    pub linger_ms: u64,
    /// How long a blocking query waits for news, in milliseconds.
    pub wait_ms: u64,
    /// How long the agent may take for an answer, in milliseconds.
    pub timeout_ms: u64,
}

impl Default for ConsulConfig {
    /// The agent of this machine, asked without a token over plain HTTP.
    fn default() -> Self {
        Self {
            address: "http://127.0.0.1:8500".to_owned(),
            token: None,
            datacenter: None,
            namespace: None,
            ca_file: None,
            cert_file: None,
            key_file: None,
            service_prefix: "tidemill-".to_owned(),
            tags: Vec::new(),
            zone: None,
            weight: 1,
            advertise: None,
            check_interval_ms: 1_000,
            check_timeout_ms: 1_000,
            deregister_after_ms: 60_000,
            heal_interval_ms: 1_000,
            grace_ms: 15_000,
            linger_ms: 200,
            wait_ms: 30_000,
            timeout_ms: 5_000,
        }
    }
}

impl ConsulConfig {
    /// Every setting that cannot work, by its key.
    ///
    /// # Errors
    /// [`Error::Config`] with all of them.
    pub fn check(&self) -> Result<(), Error> {
        let mut faults = Vec::new();
        let mut refuse = |key: &str, rule: &str| faults.push(format!("discovery.consul.{key}: {rule}"));
        let bounds = [
            ("check_interval_ms", self.check_interval_ms, 1, 3_600_000),
            ("check_timeout_ms", self.check_timeout_ms, 1, 3_600_000),
            ("deregister_after_ms", self.deregister_after_ms, 60_000, 30 * 86_400_000),
            ("heal_interval_ms", self.heal_interval_ms, 10, 3_600_000),
            ("grace_ms", self.grace_ms, 0, 3_600_000),
            ("linger_ms", self.linger_ms, 0, 60_000),
            ("wait_ms", self.wait_ms, 10, 600_000),
            ("timeout_ms", self.timeout_ms, 10, 600_000),
        ];
        for (key, value, least, most) in bounds {
            if !(least..=most).contains(&value) {
                refuse(key, &format!("{value} is out of bounds: expected {least} to {most}"));
            }
        }
        if !(1..=1_000).contains(&self.weight) {
            refuse("weight", &format!("{} is out of bounds: expected 1 to 1000", self.weight));
        }
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if !self.service_prefix.chars().all(is_word) {
            refuse("service_prefix", "expected letters, digits and `-`, which are what names in DNS have");
        }
        if self.zone.as_deref().is_some_and(str::is_empty) {
            refuse("zone", "it is empty: name the zone, or leave it out");
        }
        if self.advertise.as_deref().is_some_and(|text| super::advertise::parse(text, 1).is_err()) {
            refuse("advertise", "expected a host, or host:port with a port from 1 to 65535");
        }
        if faults.is_empty() { Ok(()) } else { Err(Error::Config(faults)) }
    }

    /// The settings of the client.
    pub fn client(&self) -> Config {
        let tls = Tls {
            ca_file: self.ca_file.clone(),
            cert_file: self.cert_file.clone(),
            key_file: self.key_file.clone(),
        };
        Config {
            address: self.address.clone(),
            token: self.token.clone(),
            datacenter: self.datacenter.clone(),
            namespace: self.namespace.clone(),
            tls,
            timeout: Duration::from_millis(self.timeout_ms),
        }
    }

    pub(super) fn wait(&self) -> Duration {
        Duration::from_millis(self.wait_ms)
    }

    pub(super) fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms)
    }

    pub(super) fn linger(&self) -> Duration {
        Duration::from_millis(self.linger_ms)
    }
}

impl fmt::Debug for ConsulConfig {
    /// As it is written out: without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsulConfig")
            .field("client", &self.client())
            .field("service_prefix", &self.service_prefix)
            .field("tags", &self.tags)
            .field("zone", &self.zone)
            .field("advertise", &self.advertise)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_work_and_every_fault_is_told_at_once() {
        ConsulConfig::default().check().unwrap();
        let wrong = ConsulConfig {
            check_interval_ms: 0,
            deregister_after_ms: 1_000,
            weight: 0,
            service_prefix: "my mesh/".to_owned(),
            zone: Some(String::new()),
            advertise: Some("http://a:1".to_owned()),
            ..ConsulConfig::default()
        };
        let text = wrong.check().unwrap_err().to_string();
        for key in
            ["weight", "check_interval_ms", "deregister_after_ms", "service_prefix", "zone", "advertise"]
        {
            assert!(text.contains(&format!("discovery.consul.{key}: ")), "{key} in {text}");
        }
    }

    #[test]
    fn a_table_is_read_strictly_and_written_without_the_token() {
        let read: ConsulConfig =
            toml::from_str("address = \"https://consul:8501\"\ntoken = \"sesame\"\ntags = [\"blue\"]\n")
                .unwrap();
        assert_eq!((read.token.as_deref(), read.tags.len()), (Some("sesame"), 1));
        let written = toml::to_string(&read).unwrap();
        assert!(!written.contains("sesame") && !format!("{read:?}").contains("sesame"));
        assert_eq!(toml::from_str::<ConsulConfig>(&written).unwrap(), ConsulConfig { token: None, ..read });
        assert!(toml::from_str::<ConsulConfig>("adress = \"a\"").is_err());
    }
}
