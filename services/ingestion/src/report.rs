//! What a collection tells its tenant: counts, and the first things that were left out, each with its reason.

use serde::Serialize;

use crate::pipeline::Stored;

/// How many skipped things are named; the others are counted.
const NAMED: usize = 100;
/// The longest text of a skipped thing, in bytes: a hundred of them fit into a task's result.
const CLIP: usize = 512;

/// The result of a `collect` task.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    /// New documents.
    pub(crate) stored: u64,
    /// Documents that the tenant had already.
    pub(crate) duplicates: u64,
    /// New matches.
    pub(crate) matches: u64,
    /// The first of those that were left out.
    pub(crate) skipped: Vec<Skipped>,
    /// How many were left out.
    pub(crate) skipped_total: u64,
    /// Whether the source says that nothing changed.
    pub(crate) not_modified: bool,
}

/// A file or entry that was left out.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Skipped {
    what: String,
    why: String,
}

impl Skipped {
    /// This was left out for this reason.
    pub(crate) fn new(mut what: String, mut why: String) -> Self {
        what.truncate(what.floor_char_boundary(CLIP));
        why.truncate(why.floor_char_boundary(CLIP));
        Self { what, why }
    }
}

impl Report {
    /// Counts what was stored.
    pub(crate) fn count(&mut self, stored: &[Stored]) {
        for stored in stored {
            *(if stored.duplicate { &mut self.duplicates } else { &mut self.stored }) += 1;
            self.matches += stored.new_matches;
        }
    }

    /// Counts what was left out, and names it while there is room.
    pub(crate) fn skip(&mut self, skipped: Skipped) {
        self.skipped_total += 1;
        if self.skipped.len() < NAMED {
            self.skipped.push(skipped);
        }
    }

    /// As JSON.
    pub(crate) fn encode(&self) -> String {
        // Texts and numbers only: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_a_thousand_long_faults_fits_into_a_task() {
        let mut report = Report::default();
        (0..1_000).for_each(|_| report.skip(Skipped::new("ä".repeat(9_000), "ü".repeat(9_000))));
        assert_eq!((report.skipped.len(), report.skipped_total), (100, 1_000));
        assert!(report.encode().len() < 200 << 10);
    }
}
