//! Sessions: what a lock in the key-value store belongs to. `/v1/session`.

use std::time::Duration;

use reqwest::Method;
use serde::{Deserialize, Serialize};

use crate::wire::{duration, maybe_duration};
use crate::{Client, Error};

/// The calls about sessions.
#[derive(Debug, Clone, Copy)]
pub struct Sessions<'a>(pub(crate) &'a Client);

impl Sessions<'_> {
    /// Creates a session; its id.
    ///
    /// # Errors
    /// [`Error::Denied`] without `session:write`.
    pub async fn create(&self, spec: &SessionSpec) -> Result<String, Error> {
        let reply = self.0.call(Method::PUT, ["session", "create"]).json(spec)?.send().await?.ok()?;
        Ok(reply.json::<Id>()?.id)
    }

    /// Renews a session with a TTL; `None` when it is over, and with it every lock that it held.
    ///
    /// # Errors
    /// [`Error::Failed`] for an id that is no UUID.
    pub async fn renew(&self, id: &str) -> Result<Option<Session>, Error> {
        let reply = self.0.call(Method::PUT, ["session", "renew", id]).send().await?;
        let sessions: Option<Vec<Session>> = reply.found().map(|reply| reply.json()).transpose()?;
        Ok(sessions.and_then(|sessions| sessions.into_iter().next()))
    }

    /// Reads a session; `None` when it is over.
    ///
    /// # Errors
    /// [`Error::Failed`] for an id that is no UUID.
    pub async fn info(&self, id: &str) -> Result<Option<Session>, Error> {
        let reply = self.0.call(Method::GET, ["session", "info", id]).send().await?.ok()?;
        let sessions: Option<Vec<Session>> = reply.json()?;
        Ok(sessions.unwrap_or_default().into_iter().next())
    }

    /// Ends a session and frees its locks.
    ///
    /// # Errors
    /// [`Error::Denied`] without `session:write`.
    pub async fn destroy(&self, id: &str) -> Result<(), Error> {
        self.0.call(Method::PUT, ["session", "destroy", id]).send().await?.ok().map(drop)
    }
}

/// How a session is to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SessionSpec {
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Ends when it is not renewed for so long (Consul: 10 s to a day, and it may take twice as long).
    #[serde(rename = "TTL", skip_serializing_if = "Option::is_none", serialize_with = "maybe_duration")]
    pub ttl: Option<Duration>,
    /// How long a lock stays taken after its session ended without freeing it. Consul takes 15 s for zero.
    #[serde(skip_serializing_if = "Duration::is_zero", serialize_with = "duration")]
    pub lock_delay: Duration,
    /// What becomes of its keys.
    pub behavior: Behavior,
}

/// What becomes of the keys that a session holds when it ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Behavior {
    /// They stay, free.
    #[default]
    Release,
    /// They are deleted.
    Delete,
}

/// A session that lives.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Session {
    /// Its id, a UUID.
    #[serde(rename = "ID")]
    pub id: String,
    /// For people.
    #[serde(default)]
    pub name: String,
    /// The node that it belongs to.
    #[serde(default)]
    pub node: String,
    /// What becomes of its keys.
    #[serde(default)]
    pub behavior: Behavior,
    /// Its TTL as Go writes it; empty when it has none.
    #[serde(rename = "TTL", default)]
    pub ttl: String,
}

#[derive(Deserialize)]
struct Id {
    #[serde(rename = "ID")]
    id: String,
}
