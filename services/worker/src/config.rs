//! How much a worker takes at once.

use serde::{Deserialize, Serialize};

use crate::Error;

/// A worker's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many tasks it runs at the same time; 1 or more.
    pub slots: u32,
}

impl Default for Config {
    /// Enough to keep two cores busy while results and leases are on their way.
    fn default() -> Self {
        Self { slots: 64 }
    }
}

impl Config {
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
        let fault = Config { slots: 0 }.check().unwrap_err().to_string();
        assert!(fault.contains("`slots` is 0") && fault.contains("set 1 or more"), "{fault}");
    }
}
