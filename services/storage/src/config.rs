//! What an operator can set.

use serde::{Deserialize, Serialize};

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
}

impl Default for Config {
    fn default() -> Self {
        Self { max_message_bytes: 64 << 20, export_page: 200, tenant_labels: 20 }
    }
}
