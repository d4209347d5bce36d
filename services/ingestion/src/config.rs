//! What an operator can set.

use serde::{Deserialize, Serialize};

use crate::document::Limits;

/// Settings of the ingestion service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What one document may measure.
    pub document: Limits,
    /// The largest request taken in, in bytes: a document with its markup must fit.
    pub max_message_bytes: usize,
    /// How many documents one commit takes, 1 to 1,000.
    pub batch_documents: usize,
    /// After this many bytes a batch takes no further document.
    pub batch_bytes: usize,
    /// How many batches of one push stream are under way at once.
    pub batches_in_flight: usize,
    /// Of how many tenants the compiled queries are kept; those used longest ago are read again when needed.
    pub cached_tenants: usize,
    /// How many sources are collected at the same time.
    pub collectors: u32,
    /// Whether sources may read folders and files of this machine; turn it off where tenants are strangers.
    pub local_sources: bool,
    /// Whether feeds may be fetched from loopback, private and link-local addresses.
    pub private_feeds: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            document: Limits::default(),
            max_message_bytes: 16 << 20,
            batch_documents: 256,
            batch_bytes: 1 << 20,
            batches_in_flight: 2,
            cached_tenants: 1_024,
            collectors: 4,
            local_sources: true,
            private_feeds: false,
        }
    }
}
