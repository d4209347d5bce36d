//! The agent: registering and deregistering, what it knows of an instance, TTL reports, maintenance, its identity.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::{Deserialize, Serialize};

use crate::wire::nullable;
use crate::{CheckStatus, Client, Error, Registration};

/// The calls of the agent: `/v1/agent`.
#[derive(Debug, Clone, Copy)]
pub struct Agent<'a>(pub(crate) &'a Client);

impl Agent<'_> {
    /// Registers an instance; checks of a former registration under its id that are not in this one are removed.
    ///
    /// # Errors
    /// [`Error::Denied`] without `service:write`, [`Error::Refused`] for values that break Consul's rules.
    pub async fn register(&self, registration: &Registration) -> Result<(), Error> {
        let call = self.0.call(Method::PUT, ["agent", "service", "register"]);
        call.query("replace-existing-checks", "true").json(registration)?.send().await?.ok().map(drop)
    }

    /// Removes an instance. Whether it was there cannot be told: old agents say yes always, new ones do not.
    ///
    /// # Errors
    /// [`Error::Denied`] without `service:write`.
    pub async fn deregister(&self, id: &str) -> Result<(), Error> {
        self.0.call(Method::PUT, ["agent", "service", "deregister", id]).send().await.map(drop)
    }

    /// What the agent knows of an instance; `None` when it knows none of this id.
    ///
    /// # Errors
    /// [`Error::Denied`] without `service:read`.
    pub async fn service(&self, id: &str) -> Result<Option<AgentService>, Error> {
        let reply = self.0.call(Method::GET, ["agent", "service", id]).send().await?;
        reply.found().map(|reply| reply.json()).transpose()
    }

    /// Reports the state of a TTL check (`service:ID` is the id of an instance's only check).
    ///
    /// # Errors
    /// [`Error::Failed`] or [`Error::Refused`] (by version) when there is no such check.
    pub async fn report(&self, check: &str, status: CheckStatus, output: &str) -> Result<(), Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Report<'a> {
            status: CheckStatus,
            output: &'a str,
        }
        let call = self.0.call(Method::PUT, ["agent", "check", "update", check]);
        call.json(&Report { status, output })?.send().await?.ok().map(drop)
    }

    /// Takes an instance out of what is found as healthy, or back in.
    ///
    /// # Errors
    /// [`Error::Refused`] when the agent does not know it.
    pub async fn maintenance(&self, id: &str, enable: bool, reason: &str) -> Result<(), Error> {
        let call = self.0.call(Method::PUT, ["agent", "service", "maintenance", id]);
        let enable = if enable { "true" } else { "false" };
        call.query("enable", enable).query("reason", reason).send().await?.ok().map(drop)
    }

    /// Who the agent is: for checks of a set-up.
    ///
    /// # Errors
    /// [`Error::Denied`] without `agent:read`.
    pub async fn identity(&self) -> Result<Identity, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Whole {
            config: Identity,
        }
        let reply = self.0.call(Method::GET, ["agent", "self"]).send().await?.ok()?;
        Ok(reply.json::<Whole>()?.config)
    }
}

/// An instance as its agent knows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AgentService {
    /// Its id.
    #[serde(rename = "ID")]
    pub id: String,
    /// The service's name.
    #[serde(rename = "Service")]
    pub name: String,
    /// Host name or IP address; empty for the node's.
    #[serde(default)]
    pub address: String,
    /// Where it listens.
    pub port: u16,
    /// Its tags.
    #[serde(default, deserialize_with = "nullable")]
    pub tags: Vec<String>,
    /// Its metadata.
    #[serde(default, deserialize_with = "nullable")]
    pub meta: BTreeMap<String, String>,
}

/// Who an agent is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Identity {
    /// Its node's name.
    #[serde(rename = "NodeName")]
    pub node: String,
    /// Its datacenter.
    pub datacenter: String,
    /// Consul's version.
    pub version: String,
    /// Whether it is a server.
    #[serde(default)]
    pub server: bool,
}
