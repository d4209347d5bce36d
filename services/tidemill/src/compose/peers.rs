//! The parts of other processes by a fixed list of addresses.

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use tidemill_chassis::discovery::{Address, fixed};

/// Addresses (`host:port`) by part. A part with several is balanced over them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Peers {
    /// Where storage answers.
    pub(crate) storage: Vec<String>,
    /// Where scheduling answers.
    pub(crate) scheduling: Vec<String>,
    /// Where each scheduler answers, for workers, which keep a stream to every one: a name that stands for several addresses is
    /// each of them. As `scheduling` where nothing is listed.
    pub(crate) schedulers: Vec<String>,
    /// Where ingestion answers.
    pub(crate) ingestion: Vec<String>,
    /// Where analysis answers.
    pub(crate) analysis: Vec<String>,
}

impl Peers {
    /// The addresses that are listed for a part; none if it is not listed.
    pub(super) fn addresses(&self, name: &'static str) -> Result<Vec<Address>> {
        match self.list(name) {
            [] => Ok(Vec::new()),
            listed => fixed::read(listed).with_context(|| format!("the addresses of {name}")),
        }
    }

    /// Sets the addresses of a part from `NAME=HOST:PORT[,HOST:PORT...]`.
    pub(crate) fn set(&mut self, text: &str) -> Result<()> {
        let Some((name, addresses)) = text.split_once('=') else {
            bail!("--peer {text}: expected NAME=HOST:PORT, as in storage=127.0.0.1:7401");
        };
        let list = match name {
            "storage" => &mut self.storage,
            "scheduling" => &mut self.scheduling,
            "schedulers" => &mut self.schedulers,
            "ingestion" => &mut self.ingestion,
            "analysis" => &mut self.analysis,
            _ => bail!("--peer {text}: `{name}` is no part; storage, scheduling, ingestion and analysis are"),
        };
        *list = addresses.split(',').map(|address| address.trim().to_owned()).collect();
        fixed::read(list).with_context(|| format!("--peer {text}"))?;
        Ok(())
    }

    fn list(&self, name: &str) -> &[String] {
        match name {
            "storage" => &self.storage,
            "scheduling" => &self.scheduling,
            "schedulers" => &self.schedulers,
            "ingestion" => &self.ingestion,
            "analysis" => &self.analysis,
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_a_name_and_addresses() {
        let mut peers = Peers::default();
        peers.set("storage=127.0.0.1:7401, other:7402").unwrap();
        assert_eq!(peers.list("storage"), ["127.0.0.1:7401", "other:7402"]);
        for (wrong, told) in [("storage", "NAME=HOST:PORT"), ("stor=a:1", "no part"), ("storage=a", "port")] {
            let fault = format!("{:#}", peers.set(wrong).unwrap_err());
            assert!(fault.contains(told), "{wrong}: {fault}");
        }
    }
}
