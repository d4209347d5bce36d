//! How much a worker takes at once, and what tells it from others.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Error;

/// A worker's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many tasks it runs at the same time; 1 or more.
    pub slots: u32,
    /// How much memory the tasks that it runs at the same time may declare together, in MiB; none for no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u64>,
    /// The zone that it runs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// What tasks may ask for or prefer: `gpu = "a100"`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Default for Config {
    /// Enough to keep two cores busy while results and leases are on their way.
    fn default() -> Self {
        Self { slots: 64, memory_mib: None, zone: None, labels: BTreeMap::new() }
    }
}

impl Config {
    /// The default with so many slots.
    pub fn with_slots(slots: u32) -> Self {
        Self { slots, ..Self::default() }
    }

    /// Refuses what cannot work.
    ///
    /// # Errors
    /// [`Error`] names the key and what would be right.
    pub fn check(&self) -> Result<(), Error> {
        if self.slots == 0 { Err(Error::NoSlots) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_without_slots_is_refused_with_the_mend() {
        assert!(Config::default().check().is_ok());
        let fault = Config::with_slots(0).check().unwrap_err().to_string();
        assert!(fault.contains("`slots` is 0") && fault.contains("set 1 or more"), "{fault}");
    }
}
