//! What an operator can set.

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::document::Limits;

/// The most documents of one commit.
const MAX_BATCH: usize = 1_000;

/// Settings of the ingestion service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What one document may measure.
    pub document: Limits,
    /// The largest request taken in, in bytes: a document with its markup must fit. This and every number below is 1 or
    /// more.
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
    /// Whether operators may make sources of folders and files of this machine.
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

impl Config {
    /// Refuses what cannot work, all of it at once.
    ///
    /// # Errors
    /// [`Error::Config`] names each key and what would be right.
    pub fn check(&self) -> Result<(), Error> {
        let numbers = [
            ("document.max_body", self.document.max_body),
            ("document.max_markup", self.document.max_markup),
            ("document.max_title", self.document.max_title),
            ("document.max_name", self.document.max_name),
            ("max_message_bytes", self.max_message_bytes),
            ("batch_documents", self.batch_documents),
            ("batch_bytes", self.batch_bytes),
            ("batches_in_flight", self.batches_in_flight),
            ("cached_tenants", self.cached_tenants),
            ("collectors", usize::try_from(self.collectors).unwrap_or(usize::MAX)),
        ];
        let zeros = numbers.into_iter().filter(|(_, number)| *number == 0);
        let mut faults: Vec<_> = zeros.map(|(key, _)| format!("`{key}` is 0: set 1 or more")).collect();
        if self.batch_documents > MAX_BATCH {
            let given = self.batch_documents;
            faults.push(format!("`batch_documents` is {given}: one commit takes at most {MAX_BATCH}"));
        }
        if faults.is_empty() { Ok(()) } else { Err(Error::Config(faults)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_named_all_at_once() {
        assert!(Config::default().check().is_ok());
        let document = Limits { max_body: 0, max_markup: 0, max_title: 0, max_name: 0 };
        let config = Config {
            document,
            max_message_bytes: 0,
            batch_documents: 1_001,
            batch_bytes: 0,
            batches_in_flight: 0,
            cached_tenants: 0,
            collectors: 0,
            ..Config::default()
        };
        let fault = config.check().unwrap_err();
        assert_eq!(fault.kind(), tidemill_kernel::ErrorKind::Invalid);
        let text = fault.to_string();
        assert!(text.starts_with("[ingestion] `document.max_body` is 0: set 1 or more; "), "{text}");
        assert_eq!(text.matches("is 0: set 1 or more").count(), 9, "{text}");
        assert!(text.contains("`batch_documents` is 1001: one commit takes at most 1000"), "{text}");
        assert!(Config { batch_documents: 0, ..Config::default() }.check().is_err());
    }
}
