//! The instances of a service with their health: `GET /v1/health/service/NAME`.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use serde::{Deserialize, Serialize};

use crate::wire::nullable;
use crate::{CheckStatus, Client, Error, Indexed, ServiceWatch, Wait};

/// The calls about health: `/v1/health`.
#[derive(Debug, Clone, Copy)]
pub struct Health<'a>(pub(crate) &'a Client);

/// Which instances are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthQuery {
    /// Only those whose every check passes.
    pub passing: bool,
    /// Only those with all of these tags.
    pub tags: Vec<String>,
    /// A filter expression in Consul's language, for example `Service.Meta.zone == "a"`.
    pub filter: Option<String>,
    /// Any server may answer, a moment behind the leader, also while there is no leader.
    pub stale: bool,
}

impl HealthQuery {
    /// Instances whose every check passes.
    pub fn passing() -> Self {
        Self { passing: true, ..Self::default() }
    }
}

impl Health<'_> {
    /// The instances of a service; with a [`Wait`], once there is news. A service that nobody registered has none.
    ///
    /// Consul leaves out what the token may not read, without a word: an empty answer may be a missing `service:read`
    /// or `node:read`.
    ///
    /// # Errors
    /// [`Error::Failed`] without a leader, unless the query is stale.
    pub async fn service(
        &self,
        name: &str,
        query: &HealthQuery,
        wait: Option<Wait>,
    ) -> Result<Indexed<Vec<ServiceEntry>>, Error> {
        let mut call = self.0.call(Method::GET, ["health", "service", name]).wait(wait);
        if query.passing {
            call = call.query("passing", "true");
        }
        if query.stale {
            call = call.query("stale", "");
        }
        for tag in &query.tags {
            call = call.query("tag", tag);
        }
        call.maybe_query("filter", query.filter.as_deref()).send().await?.ok()?.indexed()
    }

    /// Follows the instances of a service; each blocking query waits at most `wait`.
    pub fn watch(&self, name: impl Into<String>, query: HealthQuery, wait: Duration) -> ServiceWatch {
        ServiceWatch::new(self.0.clone(), name.into(), query, wait)
    }
}

/// One instance with its node and its checks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ServiceEntry {
    /// The node of its agent.
    pub node: Node,
    /// The instance.
    pub service: Service,
    /// The checks of the instance and of its node.
    #[serde(default, deserialize_with = "nullable")]
    pub checks: Vec<CheckState>,
}

impl ServiceEntry {
    /// Where it can be reached: its own address, or else its node's. No port, no brackets.
    pub fn host(&self) -> &str {
        if self.service.address.is_empty() { &self.node.address } else { &self.service.address }
    }

    /// The worst of its checks; passing when it has none.
    pub fn status(&self) -> CheckStatus {
        self.checks.iter().map(|check| check.status).max().unwrap_or(CheckStatus::Passing)
    }
}

/// The node of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Node {
    /// Its name.
    #[serde(rename = "Node")]
    pub name: String,
    /// Its address.
    pub address: String,
    /// Its datacenter.
    #[serde(default)]
    pub datacenter: String,
    /// Its metadata.
    #[serde(default, deserialize_with = "nullable")]
    pub meta: BTreeMap<String, String>,
}

/// An instance as the catalog has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Service {
    /// Its id, unique on its agent.
    #[serde(rename = "ID")]
    pub id: String,
    /// The service's name.
    #[serde(rename = "Service")]
    pub name: String,
    /// Host name or IP address; empty for the node's.
    #[serde(default)]
    pub address: String,
    /// Where it listens.
    #[serde(default)]
    pub port: u16,
    /// Its tags.
    #[serde(default, deserialize_with = "nullable")]
    pub tags: Vec<String>,
    /// Its metadata.
    #[serde(default, deserialize_with = "nullable")]
    pub meta: BTreeMap<String, String>,
    /// Its share of the load.
    #[serde(default)]
    pub weights: Weights,
}

/// An instance's share of the load, by its health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Weights {
    /// While it passes.
    pub passing: u32,
    /// While it warns.
    pub warning: u32,
}

impl Default for Weights {
    fn default() -> Self {
        Self { passing: 1, warning: 1 }
    }
}

/// The state of one check.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CheckState {
    /// Its id.
    #[serde(rename = "CheckID")]
    pub id: String,
    /// For people.
    #[serde(default)]
    pub name: String,
    /// How it stands.
    pub status: CheckStatus,
    /// What it last said.
    #[serde(default)]
    pub output: String,
    /// The instance it belongs to; empty for its node.
    #[serde(rename = "ServiceID", default)]
    pub service_id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_with_nulls_and_with_fields_of_later_versions() {
        let text = r#"{"Node": {"ID": "x", "Node": "n1", "Address": "10.0.0.1", "Meta": null, "PeerName": ""},
            "Service": {"ID": "a", "Service": "echo", "Tags": null, "Address": "", "Port": 7, "Meta": null,
                "Weights": {"Passing": 10, "Warning": 2}, "Proxy": {"Mode": ""}},
            "Checks": [{"CheckID": "serfHealth", "Status": "passing", "Output": "", "Definition": {}},
                {"CheckID": "service:a", "Status": "warning", "ServiceID": "a"}]}"#;
        let entry: ServiceEntry = serde_json::from_str(text).unwrap();
        assert_eq!((entry.host(), entry.service.port, entry.status()), ("10.0.0.1", 7, CheckStatus::Warning));
        assert_eq!(entry.service.weights.passing, 10);
    }
}
