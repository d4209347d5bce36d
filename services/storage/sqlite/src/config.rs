//! How the store is kept.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How the store is kept. The default keeps every acknowledged write through a loss of power.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SqliteConfig {
    /// The data folder; made if its parent is there. One process at a time may have it open.
    pub path: PathBuf,
    /// When a write counts as done.
    pub synchronous: Synchronous,
    /// How many reads run at once.
    pub readers: u32,
    /// Memory for cached pages of each connection, in bytes; the writer takes four times as much. The system's own cache
    /// stands behind it, so that more made no difference to what a file of 280,000 documents took.
    pub cache_bytes: u32,
    /// How much of the file readers map into memory, in bytes; 0 for none.
    pub map_bytes: u64,
    /// The largest size of the database file, in bytes; none for what the disk has.
    pub max_bytes: Option<u64>,
    /// Whether the database is brought up to date when the store is opened; else `tidemill migrate` does it, and a
    /// database that is not is refused.
    pub migrate: bool,
}

impl Default for SqliteConfig {
    fn default() -> Self {
        Self {
            path: PathBuf::from("tidemill-data"),
            synchronous: Synchronous::Full,
            readers: 4,
            cache_bytes: 4 << 20,
            map_bytes: 0,
            max_bytes: None,
            migrate: true,
        }
    }
}

/// When a write counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Synchronous {
    /// When it is on the disk: nothing acknowledged is lost when the power fails.
    #[default]
    Full,
    /// When the system has it: a crash of the process loses nothing, a loss of power may lose the last moments.
    Normal,
}

impl Synchronous {
    /// The word of the pragma.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Normal => "normal",
        }
    }
}
