//! The names of all services (`/v1/catalog`) and the state of the cluster (`/v1/status`).

use std::collections::BTreeMap;

use reqwest::Method;

use crate::{Client, Error, Indexed, Wait};

/// The calls of the catalog. Registering belongs to the agent, which would undo what it does not know of.
#[derive(Debug, Clone, Copy)]
pub struct Catalog<'a>(pub(crate) &'a Client);

impl Catalog<'_> {
    /// The names of all services with the tags of all their instances.
    ///
    /// # Errors
    /// [`Error::Failed`] without a leader.
    pub async fn services(
        &self,
        wait: Option<Wait>,
    ) -> Result<Indexed<BTreeMap<String, Vec<String>>>, Error> {
        self.0.call(Method::GET, ["catalog", "services"]).wait(wait).send().await?.ok()?.indexed()
    }
}

/// The calls about the cluster.
#[derive(Debug, Clone, Copy)]
pub struct Status<'a>(pub(crate) &'a Client);

impl Status<'_> {
    /// `host:port` of the leader; `None` while there is none.
    ///
    /// # Errors
    /// When the agent does not answer.
    pub async fn leader(&self) -> Result<Option<String>, Error> {
        let leader: String = self.0.call(Method::GET, ["status", "leader"]).send().await?.ok()?.json()?;
        Ok(Some(leader).filter(|leader| !leader.is_empty()))
    }
}
