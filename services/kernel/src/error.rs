//! The ten kinds of failure and what each is called in gRPC and in HTTP: the one table of the house.
//!
//! Every crate has its own error enum with a `kind()`; only the kind crosses a service boundary, with a message and
//! details that name the fault and the mend. Codes: `google.rpc.Code`; statuses: the HTTP mapping in `code.proto`.

use std::fmt;
use std::time::Duration;

/// What kind of failure this is; decides the gRPC code, the HTTP status and whether a retry can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is wrong in itself: a field breaks a rule.
    Invalid,
    /// No such thing for this tenant.
    NotFound,
    /// It exists already and is different.
    Exists,
    /// The request is right but the state does not allow it (a stale token, a task already finished).
    Conflict,
    /// No credential, or one that is not known.
    Unauthenticated,
    /// The credential is known and does not allow this.
    Denied,
    /// A limit, a quota or an overload: come back later.
    Exhausted,
    /// The deadline passed before the answer.
    Timeout,
    /// The caller gave up.
    Cancelled,
    /// A dependency is away; a retry can help.
    Unavailable,
    /// This build or configuration does not offer it.
    Unsupported,
    /// A defect or a broken invariant on our side.
    Internal,
}

/// Kind, gRPC code, HTTP status, reason word.
const TABLE: [(ErrorKind, u16, u16, &str); 12] = [
    (ErrorKind::Invalid, 3, 400, "INVALID"),
    (ErrorKind::NotFound, 5, 404, "NOT_FOUND"),
    (ErrorKind::Exists, 6, 409, "EXISTS"),
    (ErrorKind::Conflict, 9, 400, "CONFLICT"),
    (ErrorKind::Unauthenticated, 16, 401, "UNAUTHENTICATED"),
    (ErrorKind::Denied, 7, 403, "DENIED"),
    (ErrorKind::Exhausted, 8, 429, "EXHAUSTED"),
    (ErrorKind::Timeout, 4, 504, "TIMEOUT"),
    (ErrorKind::Cancelled, 1, 499, "CANCELLED"),
    (ErrorKind::Unavailable, 14, 503, "UNAVAILABLE"),
    (ErrorKind::Unsupported, 12, 501, "UNSUPPORTED"),
    (ErrorKind::Internal, 13, 500, "INTERNAL"),
];

impl ErrorKind {
    fn row(self) -> (ErrorKind, u16, u16, &'static str) {
        // The table lists every kind (tested); a missing row would be answered as an internal error.
        TABLE.into_iter().find(|row| row.0 == self).unwrap_or((self, 13, 500, "INTERNAL"))
    }

    /// The `google.rpc.Code` number.
    pub fn grpc_code(self) -> u16 {
        self.row().1
    }

    /// The HTTP status.
    pub fn http_status(self) -> u16 {
        self.row().2
    }

    /// The reason word that goes into `google.rpc.ErrorInfo`.
    pub fn reason(self) -> &'static str {
        self.row().3
    }

    /// The kind for a `google.rpc.Code` number that came from elsewhere. Unknown codes are internal errors;
    /// ABORTED reads as a conflict, OUT_OF_RANGE as invalid, DATA_LOSS and UNKNOWN as internal.
    pub fn from_grpc_code(code: u16) -> Self {
        match code {
            10 => Self::Conflict,
            11 => Self::Invalid,
            _ => TABLE.into_iter().find(|row| row.1 == code).map_or(Self::Internal, |row| row.0),
        }
    }

    /// Whether the same call, made again later, can succeed without anything being changed by the caller.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Exhausted | Self::Timeout | Self::Unavailable)
    }
}

/// One field that breaks a rule: which, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field as in JSON, for example `document.body`.
    pub field: String,
    /// What is wrong and what would be right, one sentence.
    pub description: String,
}

/// A failure ready to cross a service boundary: kind, message, and the details that help its reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Decides the code and whether a retry helps.
    pub kind: ErrorKind,
    /// What went wrong and how to mend it.
    pub message: String,
    /// The fields at fault, for [`ErrorKind::Invalid`].
    pub violations: Vec<Violation>,
    /// When to come back, for [`ErrorKind::Exhausted`] and [`ErrorKind::Unavailable`].
    pub retry_after: Option<Duration>,
}

impl Fault {
    /// A failure of this kind with nothing but a message.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), violations: Vec::new(), retry_after: None }
    }

    /// One field that breaks a rule.
    pub fn invalid(field: impl Into<String>, description: impl Into<String>) -> Self {
        let violation = Violation { field: field.into(), description: description.into() };
        let message = format!("{}: {}", violation.field, violation.description);
        Self { violations: vec![violation], ..Self::new(ErrorKind::Invalid, message) }
    }

    /// The same failure with the time after which a retry makes sense.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_row_and_its_code_reads_back() {
        for (kind, code, status, _) in TABLE {
            assert_eq!(ErrorKind::from_grpc_code(code), kind);
            assert_eq!((kind.grpc_code(), kind.http_status()), (code, status));
        }
        let mut codes: Vec<_> = TABLE.iter().map(|row| row.1).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), TABLE.len());
    }

    #[test]
    fn only_overload_timeout_and_absence_are_worth_a_retry() {
        let transient: Vec<_> = TABLE.iter().filter(|row| row.0.is_transient()).map(|row| row.3).collect();
        assert_eq!(transient, ["EXHAUSTED", "TIMEOUT", "UNAVAILABLE"]);
    }

    #[test]
    fn an_invalid_fault_names_its_field_in_the_message() {
        let fault = Fault::invalid("name", "must not be empty");
        assert_eq!(fault.to_string(), "name: must not be empty");
        assert_eq!(fault.violations[0].field, "name");
    }
}
