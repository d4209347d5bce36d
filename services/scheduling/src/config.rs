//! How the scheduler shares and how long a lease lasts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The scheduler's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long a lease lasts without a heartbeat, in milliseconds.
    pub lease_ms: u64,
    /// How many waiting tasks of one queue are kept in memory.
    pub window: usize,
    /// How many tasks of one tenant may run at once; none for no bound.
    pub tenant_concurrency: Option<u32>,
}

impl Default for Config {
    /// A lost worker is noticed within ten seconds; a queue in memory takes about 200 KiB.
    fn default() -> Self {
        Self { lease_ms: 10_000, window: 1_024, tenant_concurrency: None }
    }
}

impl Config {
    /// How long a lease lasts.
    pub fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms.max(100))
    }
}
