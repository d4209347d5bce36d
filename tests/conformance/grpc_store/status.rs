//! The port's error of a status: its cause and fields are in `google.rpc.ErrorInfo`.

use std::collections::HashMap;

use tidemill_storage::error::CAUSE;
use tidemill_store::Error;
use tonic::Status;
use tonic_types::StatusExt;

/// The error that the service met.
pub(super) fn read(status: &Status) -> Error {
    let details = status.get_error_details();
    let Some(info) = details.error_info() else {
        return Error::Internal(format!("a status without details: {status}"));
    };
    let fields = &info.metadata;
    let text = |name: &str| fields.get(name).cloned().unwrap_or_default();
    match text(CAUSE).as_str() {
        "not_found" => Error::NotFound { what: lasting(fields, "what"), name: text("name") },
        "exists" => Error::Exists { what: lasting(fields, "what"), name: text("name") },
        "stale_queries" => Error::StaleQueries {
            given: text("given").parse().unwrap_or_default(),
            present: text("present").parse().unwrap_or_default(),
        },
        "wrong_state" => Error::WrongState {
            id: text("id"),
            state: lasting(fields, "state"),
            mend: lasting(fields, "mend"),
        },
        "fenced" => Error::Fenced {
            shard: text("shard").parse().unwrap_or_default(),
            epoch: text("epoch").parse().unwrap_or_default(),
        },
        "page_token" => Error::PageToken(text("token")),
        "search" => Error::Search { text: text("text"), reason: text("reason") },
        "full" => Error::Full(status.message().into()),
        "unavailable" => Error::Unavailable(status.message().into()),
        _ => Error::Internal(format!("{}: {}", info.reason, status.message())),
    }
}

/// The port's words last as long as the program; a test may leak the few that it reads.
fn lasting(fields: &HashMap<String, String>, name: &str) -> &'static str {
    fields.get(name).cloned().unwrap_or_default().leak()
}
