//! What the service answers instead of a result, and how that looks as a gRPC status.
//!
//! `google.rpc.ErrorInfo` carries the kind as its reason, and in its metadata the `cause`: which error of the port it
//! was, with that error's fields. So a caller can tell a changed query set from a task in the wrong state, and an
//! adapter can give the port's error back.

use std::collections::HashMap;
use std::time::Duration;

use tidemill_chassis::FaultExt;
use tidemill_chassis::fault::DOMAIN;
use tidemill_kernel::{ErrorKind, Fault};
use tidemill_store as store;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use tracing::error;

/// Result within this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Key of the port's error in the metadata of `google.rpc.ErrorInfo`.
pub const CAUSE: &str = "cause";

/// What crosses in headers is kept below this many bytes, whatever a caller sent.
const CLIP: usize = 512;

/// Why a call failed. Nothing of it has happened then.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field of the request breaks a rule.
    #[error(transparent)]
    Invalid(#[from] Fault),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// The kind that crosses service boundaries.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(fault) => fault.kind,
            Self::Store(error) => error.kind(),
        }
    }

    /// A field that breaks a rule: which, what is wrong, what would be right.
    pub(crate) fn field(field: &str, description: impl Into<String>) -> Self {
        Self::Invalid(Fault::invalid(field, description))
    }

    /// What was stored is not what this program stores.
    pub(crate) fn corrupt(what: String) -> Self {
        Self::Store(store::Error::Internal(what))
    }
}

/// Errors of an inner message, named by their path from the outer one. Paths are built only when something is wrong.
pub(crate) trait Within<T> {
    /// The field that holds the message.
    fn within(self, field: &str) -> Result<T>;
    /// The place in the list that holds the message.
    fn within_item(self, field: &str, index: usize) -> Result<T>;
}

impl<T> Within<T> for Result<T> {
    fn within(self, field: &str) -> Self {
        self.map_err(|error| prefix(error, field))
    }

    fn within_item(self, field: &str, index: usize) -> Self {
        self.map_err(|error| prefix(error, &format!("{field}[{index}]")))
    }
}

fn prefix(error: Error, path: &str) -> Error {
    match error {
        Error::Invalid(mut fault) if !fault.violations.is_empty() => {
            fault.message = format!("{path}.{}", fault.message);
            for violation in &mut fault.violations {
                violation.field = format!("{path}.{}", violation.field);
            }
            Error::Invalid(fault)
        }
        other => other,
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(fault) => fault.into_status(),
            Error::Store(error) => from_store(&error),
        }
    }
}

fn from_store(error: &store::Error) -> Status {
    let kind = error.kind();
    let message = public_message(error);
    let mut details = ErrorDetails::new();
    details.set_error_info(kind.reason(), DOMAIN, metadata(error));
    match error {
        store::Error::PageToken(_) => {
            details.add_bad_request_violation("page_token", message.clone());
        }
        store::Error::Search { .. } => {
            details.add_bad_request_violation("text", message.clone());
        }
        store::Error::Unavailable(_) => {
            details.set_retry_info(Some(Duration::from_secs(1)));
        }
        _ => {}
    }
    Status::with_error_details(Code::from_i32(kind.grpc_code().into()), message, details)
}

/// What the caller is told. What a database says about itself may name paths and statements: that goes to the log.
fn public_message(error: &store::Error) -> String {
    let message = match error {
        store::Error::Full(_) => {
            "the store is full; free space in the data folder that the storage service's log names, then send the same again"
        }
        store::Error::Unavailable(_) => "the store does not answer; send the same again in a moment",
        store::Error::Internal(_) => "the store failed; the log of the storage service says why",
        told => return clip(&told.to_string()),
    };
    error!(%error, "the store did not take a step");
    message.to_owned()
}

/// Which error of the port it was, with its fields.
fn metadata(error: &store::Error) -> HashMap<String, String> {
    let pairs: Vec<(&str, String)> = match error {
        store::Error::NotFound { what, name } => {
            vec![(CAUSE, "not_found".into()), ("what", (*what).into()), ("name", clip(name))]
        }
        store::Error::Exists { what, name } => {
            vec![(CAUSE, "exists".into()), ("what", (*what).into()), ("name", clip(name))]
        }
        store::Error::StaleQueries { given, present } => vec![
            (CAUSE, "stale_queries".into()),
            ("given", given.to_string()),
            ("present", present.to_string()),
        ],
        store::Error::Fenced { shard, epoch } => {
            vec![(CAUSE, "fenced".into()), ("shard", shard.to_string()), ("epoch", epoch.to_string())]
        }
        store::Error::WrongState { id, state, mend } => vec![
            (CAUSE, "wrong_state".into()),
            ("id", clip(id)),
            ("state", (*state).into()),
            ("mend", (*mend).into()),
        ],
        store::Error::PageToken(token) => vec![(CAUSE, "page_token".into()), ("token", clip(token))],
        store::Error::Search { text, reason } => {
            vec![(CAUSE, "search".into()), ("text", clip(text)), ("reason", clip(reason))]
        }
        store::Error::Full(_) => vec![(CAUSE, "full".into())],
        store::Error::Unavailable(_) => vec![(CAUSE, "unavailable".into())],
        store::Error::Internal(_) => vec![(CAUSE, "internal".into())],
    };
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// At most [`CLIP`] bytes of a text, cut between characters.
pub(crate) fn clip(text: &str) -> String {
    let end = (0..=CLIP.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    match end {
        Some(end) if end < text.len() => format!("{}...", &text[..end]),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(error: store::Error) -> Status {
        Error::from(error).into()
    }

    #[test]
    fn a_changed_query_set_is_a_failed_precondition_with_both_versions() {
        let status = status(store::Error::StaleQueries { given: 3, present: 5 });
        assert_eq!(status.code(), Code::FailedPrecondition);
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("CONFLICT", DOMAIN));
        assert_eq!(
            (info.metadata[CAUSE].as_str(), info.metadata["present"].as_str()),
            ("stale_queries", "5")
        );
    }

    #[test]
    fn what_a_database_says_about_itself_stays_inside() {
        let secret = "cannot open /var/lib/tidemill/store.db";
        for error in [
            store::Error::Full(secret.into()),
            store::Error::Unavailable(secret.into()),
            store::Error::Internal(secret.into()),
        ] {
            let kind = error.kind();
            let status = status(error);
            assert_eq!(i32::from(status.code()), i32::from(kind.grpc_code()));
            assert!(!status.message().contains("/var"), "{}", status.message());
            assert!(!String::from_utf8_lossy(status.details()).contains("/var"));
        }
    }

    #[test]
    fn a_bad_token_and_a_bad_search_name_their_fields() {
        for (error, field) in [
            (store::Error::PageToken("x".into()), "page_token"),
            (store::Error::Search { text: "!".into(), reason: "has no word".into() }, "text"),
        ] {
            let details = status(error).get_error_details();
            assert_eq!(details.bad_request().unwrap().field_violations[0].field, field);
        }
    }

    #[test]
    fn a_long_name_does_not_burst_the_headers() {
        let status = status(store::Error::NotFound { what: "query", name: "ä".repeat(100_000) });
        assert!(status.message().len() + status.details().len() < 4_096);
    }

    #[test]
    fn an_inner_field_is_named_by_its_path() {
        let inner: Result<()> = Err(Error::field("kind", "is empty"));
        let Err(Error::Invalid(fault)) = inner.within("task").within_item("matches", 2) else {
            panic!("it was refused")
        };
        assert_eq!(fault.violations[0].field, "matches[2].task.kind");
        assert_eq!(fault.message, "matches[2].task.kind: is empty");
    }
}
