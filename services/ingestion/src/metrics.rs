//! The figures of ingestion: documents taken in, and what they matched.

use tidemill_chassis::telemetry::metrics::{Counter, KeyValue, meter};

use crate::pipeline::Stored;

/// The figures.
#[derive(Debug)]
pub(crate) struct Figures {
    documents: Counter<u64>,
    matches: Counter<u64>,
}

impl Figures {
    /// Counts into the process' instruments as they are now.
    pub(crate) fn new() -> Self {
        let meter = meter("tidemill.ingestion");
        let counter = |name, description| meter.u64_counter(name).with_description(description).build();
        Self {
            documents: counter("tidemill.ingest.documents", "Documents taken in, by whether they were new."),
            matches: counter("tidemill.ingest.matches", "Matches of new documents."),
        }
    }

    /// Counts what became of documents.
    pub(crate) fn stored(&self, stored: &[Stored]) {
        for (result, duplicate) in [("stored", false), ("duplicate", true)] {
            let count = stored.iter().filter(|one| one.duplicate == duplicate).count();
            if count > 0 {
                self.documents.add(u64::try_from(count).unwrap_or(0), &[KeyValue::new("result", result)]);
            }
        }
        self.matches.add(stored.iter().map(|one| one.new_matches).sum(), &[]);
    }
}
