//! What a service tells its agent about itself: the body of `PUT /v1/agent/service/register`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Weights;
use crate::wire::{duration, maybe_duration};

/// One instance of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Registration {
    /// Unique on its agent; registering it again replaces the former registration.
    #[serde(rename = "ID")]
    pub id: String,
    /// The service's name, by which it is found.
    pub name: String,
    /// A host name or an IP address, without brackets; that of the agent's node when empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// Where it listens.
    pub port: u16,
    /// Free words that queries can ask for.
    pub tags: Vec<String>,
    /// Free pairs: keys of letters, digits, `-` and `_`, at most 64 of them.
    pub meta: BTreeMap<String, String>,
    /// Its share of the load, as DNS answers and clients of ours see it.
    pub weights: Weights,
    /// Whether the tags may be overridden through the catalog.
    pub enable_tag_override: bool,
    /// How the agent finds out about its health; none means always healthy.
    pub checks: Vec<Check>,
}

impl Registration {
    /// An instance without tags, metadata or checks.
    pub fn new(
        id: impl Into<String>,
        name: impl Into<String>,
        address: impl Into<String>,
        port: u16,
    ) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            address: address.into(),
            port,
            tags: Vec::new(),
            meta: BTreeMap::new(),
            weights: Weights::default(),
            enable_tag_override: false,
            checks: Vec::new(),
        }
    }

    /// With one more check.
    #[must_use]
    pub fn check(mut self, check: Check) -> Self {
        self.checks.push(check);
        self
    }

    /// With one more tag.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// With one more pair of metadata.
    #[must_use]
    pub fn meta(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.meta.insert(key.into(), value.into());
        self
    }
}

/// How the agent finds out whether an instance is healthy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Check {
    /// Unique on its agent; `service:ID` for the only check of a service when unset.
    #[serde(rename = "CheckID", skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What is done to find out.
    #[serde(flatten)]
    pub probe: Probe,
    /// What holds until the first result. Consul starts with critical; an instance that registers once it serves can
    /// say passing, and is found at once instead of after the first probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<CheckStatus>,
    /// Removes an instance that has been critical for so long (Consul: a minute at least, looked at every 30 s).
    #[serde(
        rename = "DeregisterCriticalServiceAfter",
        skip_serializing_if = "Option::is_none",
        serialize_with = "maybe_duration"
    )]
    pub deregister_after: Option<Duration>,
}

/// What is done to find out. Consul takes intervals below a second for a second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Probe {
    /// Asks `grpc.health.v1.Health/Check`.
    #[serde(rename_all = "PascalCase")]
    Grpc {
        /// `host:port`, or `host:port/service` for the health of one service.
        #[serde(rename = "GRPC")]
        target: String,
        /// Whether over TLS.
        #[serde(rename = "GRPCUseTLS")]
        use_tls: bool,
        /// Whether any certificate will do.
        #[serde(rename = "TLSSkipVerify")]
        skip_verify: bool,
        /// How often.
        #[serde(serialize_with = "duration")]
        interval: Duration,
        /// How long an answer may take.
        #[serde(serialize_with = "duration")]
        timeout: Duration,
    },
    /// Fetches a page: 2xx is passing, 429 a warning, all else critical.
    #[serde(rename_all = "PascalCase")]
    Http {
        /// The page.
        #[serde(rename = "HTTP")]
        url: String,
        /// Whether any certificate will do.
        #[serde(rename = "TLSSkipVerify")]
        skip_verify: bool,
        /// How often.
        #[serde(serialize_with = "duration")]
        interval: Duration,
        /// How long an answer may take.
        #[serde(serialize_with = "duration")]
        timeout: Duration,
    },
    /// Connects.
    #[serde(rename_all = "PascalCase")]
    Tcp {
        /// `host:port`.
        #[serde(rename = "TCP")]
        target: String,
        /// How often.
        #[serde(serialize_with = "duration")]
        interval: Duration,
        /// How long connecting may take.
        #[serde(serialize_with = "duration")]
        timeout: Duration,
    },
    /// Waits for the instance's own reports ([`Agent::report`](crate::Agent::report)).
    Ttl {
        /// Critical when none comes for so long.
        #[serde(rename = "TTL", serialize_with = "duration")]
        period: Duration,
    },
}

impl Check {
    /// A check of this kind, with Consul's defaults.
    pub fn new(probe: Probe) -> Self {
        Self { id: None, name: String::new(), probe, status: None, deregister_after: None }
    }

    /// Asks the standard gRPC health service at `host:port` or `host:port/service`, without TLS.
    pub fn grpc(target: impl Into<String>, interval: Duration) -> Self {
        let (target, timeout) = (target.into(), interval);
        Self::new(Probe::Grpc { target, use_tls: false, skip_verify: false, interval, timeout })
    }

    /// Waits for reports.
    pub fn ttl(period: Duration) -> Self {
        Self::new(Probe::Ttl { period })
    }

    /// Holding this until the first result.
    #[must_use]
    pub fn starting(mut self, status: CheckStatus) -> Self {
        self.status = Some(status);
        self
    }

    /// Removing an instance that has been critical for so long.
    #[must_use]
    pub fn deregister_after(mut self, period: Duration) -> Self {
        self.deregister_after = Some(period);
        self
    }
}

/// The state of a check, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// Healthy.
    Passing,
    /// Serves, but not well.
    Warning,
    /// Does not serve; also every state that is not known here.
    #[serde(other)]
    Critical,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_registration_has_consuls_field_names() {
        let check = Check::grpc("10.0.0.7:7400/echo.v1.Echo", Duration::from_millis(1_500))
            .starting(CheckStatus::Passing)
            .deregister_after(Duration::from_secs(60));
        let registration = Registration::new("echo-1", "echo", "10.0.0.7", 7400)
            .tag("version=1")
            .meta("zone", "a")
            .check(check)
            .check(Check::ttl(Duration::from_secs(10)));
        let expected = json!({
            "ID": "echo-1", "Name": "echo", "Address": "10.0.0.7", "Port": 7400,
            "Tags": ["version=1"], "Meta": {"zone": "a"}, "Weights": {"Passing": 1, "Warning": 1},
            "EnableTagOverride": false,
            "Checks": [
                {
                    "GRPC": "10.0.0.7:7400/echo.v1.Echo", "GRPCUseTLS": false, "TLSSkipVerify": false,
                    "Interval": "1500ms", "Timeout": "1500ms", "Status": "passing",
                    "DeregisterCriticalServiceAfter": "60000ms",
                },
                {"TTL": "10000ms"},
            ],
        });
        assert_eq!(serde_json::to_value(&registration).unwrap(), expected);
    }

    #[test]
    fn a_state_that_is_not_known_is_the_worst() {
        assert_eq!(serde_json::from_str::<CheckStatus>("\"maintenance\"").unwrap(), CheckStatus::Critical);
        assert!(CheckStatus::Passing < CheckStatus::Warning && CheckStatus::Warning < CheckStatus::Critical);
    }
}
