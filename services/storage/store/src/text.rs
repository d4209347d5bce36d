//! Text as every database can hold it: U+0000 is replaced by U+FFFD.
//!
//! PostgreSQL's `text` refuses U+0000 and SQLite's JSON functions end at it. What senders push is not theirs to know,
//! so each adapter cleans a batch before it stores it; one bad character must not refuse a thousand documents.

use crate::content::{Analysis, Document};
use crate::task::{Completion, Failure, NewTask, Progress};

/// The text without U+0000.
pub fn clean(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

impl Document {
    /// The same with clean texts.
    #[must_use]
    pub fn cleaned(self) -> Self {
        Self {
            source: clean(self.source),
            external_id: clean(self.external_id),
            url: clean(self.url),
            title: clean(self.title),
            body: clean(self.body),
            ..self
        }
    }
}

impl NewTask {
    /// The same with clean texts.
    #[must_use]
    pub fn cleaned(self) -> Self {
        Self {
            kind: clean(self.kind),
            payload: clean(self.payload),
            key: clean(self.key),
            trace_parent: clean(self.trace_parent),
            group: clean(self.group),
            ..self
        }
    }
}

impl Analysis {
    /// The same with clean texts.
    #[must_use]
    pub fn cleaned(self) -> Self {
        Self {
            recipe: clean(self.recipe),
            output: clean(self.output),
            provider: clean(self.provider),
            model: clean(self.model),
            ..self
        }
    }
}

impl Completion {
    /// The same with clean texts.
    #[must_use]
    pub fn cleaned(self) -> Self {
        Self {
            result: clean(self.result),
            analysis: self.analysis.map(|(query, document, analysis)| (query, document, analysis.cleaned())),
            follow_ups: self.follow_ups.into_iter().map(NewTask::cleaned).collect(),
            ..self
        }
    }
}

impl Progress {
    /// The same with clean texts.
    #[must_use]
    pub fn cleaned(self) -> Self {
        Self { progress: clean(self.progress), ..self }
    }
}

impl Failure {
    /// The same with clean texts.
    #[must_use]
    pub fn cleaned(self) -> Self {
        Self { error: clean(self.error), ..self }
    }
}
