//! What an operator can set.

use std::time::Duration;

use serde::{Deserialize, Serialize};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Settings of the storage service. Which database stands behind it is the composer's to choose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The largest request taken in, in bytes: a full batch of documents with their bodies must fit.
    pub max_message_bytes: usize,
    /// How many results an export reads at once; it holds no more than these in memory. 1 to 1,000.
    pub export_page: u32,
    /// How many tenants, the busiest, have their tasks counted under their own names; the others share `other`.
    pub tenant_labels: usize,
    /// For how many days finished tasks are kept, unless they say otherwise.
    pub keep_tasks_days: u32,
    /// For how many days idempotency keys of tasks are remembered, unless their tasks say otherwise; at least until these have
    /// ended.
    pub keep_keys_days: u32,
}

impl Config {
    /// How long finished tasks are kept.
    pub fn keep_tasks(&self) -> Duration {
        DAY * self.keep_tasks_days
    }

    /// How long keys are remembered.
    pub fn keep_keys(&self) -> Duration {
        DAY * self.keep_keys_days
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_message_bytes: 64 << 20,
            export_page: 200,
            tenant_labels: 20,
            keep_tasks_days: 30,
            keep_keys_days: 7,
        }
    }
}
