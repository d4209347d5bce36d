//! How much a worker takes at once.

use serde::{Deserialize, Serialize};

/// A worker's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many tasks it runs at the same time.
    pub slots: u32,
}

impl Default for Config {
    /// Enough to keep two cores busy while results and leases are on their way.
    fn default() -> Self {
        Self { slots: 64 }
    }
}
